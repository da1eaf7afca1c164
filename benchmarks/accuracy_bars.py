"""The bars of ``accuracy.py``: what a preset must reach and what it aims at, by data set and protocol."""

from dataclasses import dataclass

from accuracy_systems import BEST_ON_VALIDATION, OURS, Row

from shortlist.evaluation.significance import Interval

METRICS = {"ndcg": "NDCG@10", "hit_rate": "HR@10", "top_100": "top-100"}
LEAST: dict[tuple[str, str, str], dict[str, tuple[float, float]]] = {
    ("100k", "random", "default"): {"ndcg": (0.0, 0.465), "top_100": (0.63, 0.66)},
    ("100k", "next", "default"): {"hit_rate": (0.22, 0.27), "ndcg": (0.118, 0.15)},
    ("1m", "next", "default"): {"ndcg": (0.165, 0.165)},
    ("1m", "next", "best"): {"hit_rate": (0.305, 0.345), "ndcg": (0.175, 0.203)},
    ("100k", "rolling", "default"): {"ndcg": (0.0, 0.30)},
}
"""Least value that must be, and that is aimed at; 0 = no must."""
CPU_MINUTES = {
    ("100k", "default"): (3.0, 1.5),
    ("100k", "best"): (10.0, 5.0),
    ("1m", "default"): (15.0, 7.5),
    ("1m", "best"): (90.0, 45.0),
}
LATENCY_MS = {("1m", "default"): (4.0, 1.0), ("1m", "best"): (8.0, 3.0)}
AIM_OVER_SOURCE = 1.10
MOVIELENS = ("100k", "1m")


@dataclass(frozen=True)
class Bar:
    """One bar and what was measured. ``must`` and ``aim`` say whether they are reached; ``None`` = there is none."""

    name: str
    measured: str
    must: bool | None
    aim: bool | None

    @property
    def line(self) -> str:
        words = [
            f"{kind} {'reached' if ok else 'MISSED'}"
            for kind, ok in (("must", self.must), ("aim", self.aim))
            if ok is not None
        ]
        return f"{', '.join(words):28} {self.name}: {self.measured}"


def accuracy_bars(
    data: str, protocol: str, preset: str, groups: dict[str, dict[str, Row]], sources: list[str]
) -> list[Bar]:
    """The bars on accuracy: of logs that are not MovieLens, not to be worse than any source or implicit's ALS.

    Args:
        groups: the rows by group of users; the first one is the headline, all users or the warm ones.
        sources: names of the model's sources.
    """
    rows = next(iter(groups.values()))
    found = [least(metric, rows[OURS], *values) for metric, values in LEAST.get((data, protocol, preset), {}).items()]
    if data not in MOVIELENS:
        rivals = [*sources, "implicit ALS"]
        return [not_below(name, own, best([r for r in rivals if r in own], own)) for name, own in groups.items()]
    if protocol == "random":
        return [*found, not_below("all", rows, "ease")]
    if protocol == "next":
        return [*found, above(rows, best(sources, rows))]
    return found + [not_below(name, own, BEST_ON_VALIDATION, AIM_OVER_SOURCE) for name, own in groups.items()]


def cost_bars(data: str, preset: str, minutes: float, p50_ms: float) -> list[Bar]:
    """The bars on the CPU minutes of one training and the median milliseconds of one ``recommend`` call."""
    measured = {"CPU minutes": (minutes, CPU_MINUTES), "one user, p50 ms": (p50_ms, LATENCY_MS)}
    found = []
    for name, (value, table) in measured.items():
        if (data, preset) in table:
            must, aim = table[data, preset]
            found.append(Bar(f"{name} <= {must:g} (aim {aim:g})", f"{value:.2f}", value <= must, value <= aim))
    return found


def best(names: list[str], rows: dict[str, Row]) -> str:
    """The one with the highest NDCG on the test: the hardest to hold one's own against."""
    return max(names, key=lambda name: rows[name].metrics["ndcg"].mean)


def least(metric: str, row: Row, must: float, aim: float) -> Bar:
    value = row.top_100 if metric == "top_100" else row.metrics[metric].mean
    said = f"{METRICS[metric]} >= {must:g} (aim {aim:g})" if must else f"{METRICS[metric]}, aim {aim:g}"
    return Bar(said, short(value), value >= must if must else None, value >= aim)


def not_below(group: str, rows: dict[str, Row], name: str, aim: float | None = None) -> Bar:
    """Not worse: the paired interval of the difference reaches 0. The aim is a multiple of the rival's figure."""
    difference = rows[name].cascade_minus
    assert difference is not None
    ratio = rows[OURS].metrics["ndcg"].mean / max(rows[name].metrics["ndcg"].mean, 1e-9)
    more = f" (aim {aim:g} x)" if aim else ""
    told = f"{said(difference.interval)}, {ratio:.3f} x"
    reached = difference.interval.high >= 0
    return Bar(f"{group}: NDCG@10 not below {name}{more}", told, reached, ratio >= aim if aim else None)


def above(rows: dict[str, Row], name: str) -> Bar:
    difference = rows[name].cascade_minus
    assert difference is not None
    return Bar(f"NDCG@10 above the best source ({name})", said(difference.interval), difference.interval.low > 0, None)


def said(interval: Interval) -> str:
    """A difference with its interval."""
    return f"{'+' * (interval.mean > 0)}{short(interval.mean)} [{short(interval.low)}, {short(interval.high)}]"


def short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1).replace("-", "−")
