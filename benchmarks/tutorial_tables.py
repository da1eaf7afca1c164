"""The tables of ``tutorial.py``, in Markdown."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from shortlist.training.tutorial import KS

TUTORIALS = "the tutorial's settings"
SMALL_BATCHES = "batches of 256"
WAYS = {
    "title_by_title": "title by title, as the tutorial does",
    "batched": "one call per stage",
    "two_graphs": "each stage compiled",
    "one_graph": "both stages written as one graph",
}
EAGER = ("title_by_title", "batched")
MODELS = {
    "fast_200": "preset `fast`, 200 candidates",
    "tutorial_200": "preset `tutorial`, 200 candidates",
    "tutorial_10": "preset `tutorial`, ten candidates",
}
Results = dict[str, Any]


class Line(NamedTuple):
    """One line of the table: the same thing measured on both sides.

    Attributes:
        what: what was measured.
        unit: of the figures; less is better.
        peer, ours: one figure per run.
        asked: the ratio aimed at, peer / ours; ``None`` = none was.
    """

    what: str
    unit: str
    peer: list[float]
    ours: list[float]
    asked: float | None = None

    @property
    def ratio(self) -> float:
        return float(np.median(self.peer) / np.median(self.ours))

    def cells(self) -> list[str]:
        asked = "" if self.asked is None else f"{self.asked:g}"
        return [self.what, self.unit, spread(self.peer), spread(self.ours), figure(self.ratio), asked]


def figure(value: float) -> str:
    """Three digits.

    >>> figure(0.0123456), figure(61.23), figure(345.6)
    ('.0123', '61.2', '346')
    """
    digits = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 0
    return f"{value:.{digits}f}".removeprefix("0") if value else "0"


def spread(values: list[float]) -> str:
    """The median, with the least and the greatest of several."""
    middle = figure(float(np.median(values)))
    return middle if len(values) == 1 else f"{middle} ({figure(min(values))} to {figure(max(values))})"


def lines(results: Results) -> Iterator[Line]:
    """The table: medians of the rounds, and where a process does the same several times, of all of them."""
    fits = [lap for run in results["ours retrieval"] for lap in run["laps"][1:]]
    first_fits = [run["laps"][0] for run in results["ours retrieval"]]
    for name, what, asked in (
        ("peer retrieval", "", 60),
        ("peer retrieval with metrics", ", training metrics on", 120),
    ):
        peer = results[name]
        fit = f"{results['plan']['epochs']} epochs of retrieval{what}"
        yield Line(fit, "CPU s", [warm(run["laps"])[0] for run in peer], column(fits, 0), asked)
        yield Line(fit, "wall s", [warm(run["laps"])[1] for run in peer], column(fits, 1))
        first = [float(np.sum(run["laps"], axis=0)[0]) for run in peer]
        yield Line(f"{fit}, the first in a process", "CPU s", first, column(first_fits, 0))
    evaluations = [lap for run in results["ours retrieval"] for lap in run["evaluations"]]
    for name, what, asked in (
        ("evaluate", "20,000 rows evaluated: the tutorial's `evaluate`", 50),
        ("metric", "the same, `FactorizedTopK` by itself", 50),
        ("brute_force_metric", "the same, over a brute-force index", None),
    ):
        laps = [lap for run in results["peer retrieval"] for lap in run["evaluations"][name]]
        yield Line(what, "CPU s", column(laps, 0), column(evaluations, 0), asked)
        yield Line(what, "wall s", column(laps, 1), column(evaluations, 1))
    yield from rating_lines(results)
    yield from answer_lines(results)


def rating_lines(results: Results) -> Iterator[Line]:
    until = f"ratings until RMSE ≤ {figure(results['plan']['target_rmse'])}"
    ours, peer = {}, {}
    for name in (TUTORIALS, SMALL_BATCHES):
        ours[name] = [run["set_up"][0] + sum(column(run["laps"], 0)) for run in results[f"ours ranking, {name}"]]
        peer[name] = [warm(run["laps"])[0] for run in results[f"peer ranking, {name}"]]
        yield Line(f"{until}, both with {name}", "CPU s", peer[name], ours[name])
    yield Line(f"{until}, {TUTORIALS} against our {SMALL_BATCHES}", "CPU s", peer[TUTORIALS], ours[SMALL_BATCHES], 20)
    biases = [lap for run in results["ours biases"] for lap in run["laps"]]
    yield Line(f"{until}, the tutorial's network against our biases", "CPU s", peer[TUTORIALS], column(biases, 0), 20)


def answer_lines(results: Results) -> Iterator[Line]:
    ours = [run["fast_200"]["p50"] for run in results["ours answers"]]
    for way, what in WAYS.items():
        peer = [run[way]["p50"] for run in results["peer answers"]]
        yield Line(f"one user's ten titles, {what}", "ms, p50", peer, ours, 20 if way in EAGER else None)


def warm(laps: list[list[float]]) -> list[float]:
    """``[CPU, wall]`` of all epochs at the price of those after the first, which has the tracing of the graph."""
    later: list[float] = (np.mean(laps[1:] or laps, axis=0) * len(laps)).tolist()
    return later


def column(laps: list[list[float]], which: int) -> list[float]:
    return [lap[which] for lap in laps]


def print_tables(results: Results) -> None:
    table(["what", "unit", "TensorFlow Recommenders", "Shortlist", "ratio", "asked for"])
    for line in lines(results):
        row(line.cells())
    print()
    table(["one user's ten titles, both stages", "p50, ms", "p95, ms", "CPU ms"])
    for side, names in (("peer", WAYS), ("ours", MODELS)):
        for name, what in names.items():
            runs = [run[name] for run in results[f"{side} answers"]]
            row([what, *(spread([run[measure] for run in runs]) for measure in ("p50", "p95", "cpu"))])
    print()
    table(["the same job", "TensorFlow Recommenders", "Shortlist"])
    for k in KS:
        found = ([run["accuracy"][str(k)] for run in results[f"{side} retrieval"]] for side in ("peer", "ours"))
        row([f"top-{k} accuracy, seen kept", *(f"{np.median(v):.4f} ({min(v):.4f} to {max(v):.4f})" for v in found)])
    for name in (TUTORIALS, SMALL_BATCHES):
        sides = (reached(results, results[f"{side} ranking, {name}"]) for side in ("peer", "ours"))
        row([f"RMSE on validation, {name}", *sides])
    row(["RMSE on validation, biases", "", spread([run["rmse"][0] for run in results["ours biases"]])])
    print("\nThe peer's vectors judged by our metric: k: [rows more, rows of rank k]")
    for found in results["parity"]:
        print(found)
    versions = results["peer retrieval"][0]["versions"] | results["ours retrieval"][0]["versions"]
    print(f"{versions}; load before and after: {results['load_before']}, {results['load_after']}")


def table(header: list[str]) -> None:
    row(header)
    row(["---"] * len(header))


def row(cells: list[str]) -> None:
    print("| " + " | ".join(cells) + " |")


def reached(results: Results, runs: list[Results]) -> str:
    """Epochs used and the last RMSE of each run, and which did not get there."""
    texts, target = [], results["plan"]["target_rmse"]
    for run in runs:
        missed = "" if run["rmse"][-1] <= target else " (not reached)"
        texts.append(f"{run['rmse'][-1]:.4f} after {len(run['laps'])}{missed}")
    return ", ".join(texts)
