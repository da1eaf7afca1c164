"""Figures as text."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from shortlist.evaluation.dial import DiversityCurve
from shortlist.evaluation.figures import GROUPS, TITLES, Difference, Result, Stages


def result_text(one: Result, k: int) -> str:
    n = one.metrics["ndcg"].n
    lines = [
        "",
        f"{GROUPS[one.users]}, seen items {one.seen}: {n:,} users "
        f"({one.without_relevant:,} more had nothing new to find)",
    ]
    names = [baseline.name for baseline in one.baselines]
    rows = [
        [
            f"{TITLES[name]}@{k}",
            number(interval.mean),
            f"[{number(interval.low)}, {number(interval.high)}]",
            *(number(baseline.means[name]) for baseline in one.baselines),
        ]
        for name, interval in one.metrics.items()
    ]
    lines += aligned([["", "model", "95% interval", *names], *rows])
    lines += [
        f"  model - {baseline.name}: NDCG@{k} {difference_text(baseline.differences['ndcg'])}"
        for baseline in one.baselines
    ]
    accuracy = ", ".join(f"{depth}: {number(share)}" for depth, share in one.top_k_accuracy.items())
    lines.append(f"  Top-K accuracy over {one.n_rows:,} test rows: {accuracy}")
    lines.append(
        f"  Coverage {number(one.coverage)}, novelty {one.novelty:.2f} bits, "
        f"share from the most popular tenth {number(one.popularity_share)}, diversity {number(one.diversity)}"
    )
    lines += [] if one.stages is None else _stages_text(one.stages, k)
    return "\n".join(lines + (_slices_text(one, k) if one.slices else []))


def _stages_text(stages: Stages, k: int) -> list[str]:
    rows = [
        [
            source.name,
            number(source.recall),
            number(source.ndcg_alone),
            number(source.ndcg_same_candidates),
            difference_text(source.model_minus_alone),
        ]
        for source in stages.sources
    ]
    rows += [
        ["union of the sources", number(stages.recall_union), "", "", ""],
        ["fusion (as retrieved)", number(stages.recall_candidates), "", number(stages.ndcg_fusion), ""],
        ["ranker (the model)", "", "", number(stages.ndcg_ranker), ""],
        ["oracle", "", "", number(stages.ndcg_oracle), ""],
    ]
    columns = ["stage", f"recall@{stages.n}", f"NDCG@{k} alone", "same candidates", "model - alone"]
    ends = {
        name: f"[{number(stages.intervals[key].low)}, {number(stages.intervals[key].high)}]"
        for name, key in (("candidates", "recall:candidates"), ("fusion", "order:fusion"), ("ranker", "order:ranker"))
    }
    intervals = (
        f"  95% intervals: recall of the candidates {ends['candidates']}, NDCG of fusion {ends['fusion']}, of the "
        f"ranker {ends['ranker']}"
    )
    return [
        *aligned([columns, *rows]),
        intervals,
        f"  Ranker's lift over fusion: {difference_text(stages.ranker_lift)}",
    ]


def _slices_text(one: Result, k: int) -> list[str]:
    rows = [
        [
            f"{part.by}: {part.name}",
            f"{part.ndcg.n:,}",
            f"{part.n_relevant:,}",
            number(part.ndcg.mean),
            f"[{number(part.ndcg.low)}, {number(part.ndcg.high)}]",
            number(part.baseline),
            difference_text(part.difference),
            number(part.recall_candidates),
        ]
        for part in one.slices
    ]
    names = [f"NDCG@{k}", "95% interval", one.best_baseline.name, "model - baseline", "recall of candidates"]
    return list(aligned([["slice", "users", "relevant", *names], *rows]))


def curve_lines(curve: DiversityCurve, k: int) -> list[str]:
    """The dial of diversity, a line per setting."""
    rows = [
        [
            f"{point.dial:g}",
            number(point.ndcg),
            f"{'+' if point.change.mean > 0 else ''}{number(point.change.mean)} "
            f"[{number(point.change.low)}, {number(point.change.high)}]",
            number(point.diversity),
            number(point.coverage),
        ]
        for point in curve.points
    ]
    head = ["diversity=", f"NDCG@{k}", "change", "diversity", "coverage"]
    return ["", f"What diversity costs and gains, {curve.n_users:,} users:", *aligned([head, *rows])]


def set_aside_lines(validation: dict[str, Any] | None) -> list[str]:
    """What validation had set aside before training, if anything."""
    if not validation or not validation.get("set_aside"):
        return []
    parts = ", ".join(f"{rows:,} {check}" for check, rows in validation["set_aside"].items())
    read, out = validation["rows_read"], validation["rows_read"] - validation["rows_kept"]
    return [f"Before the split {out:,} of {read:,} rows were set aside: {parts}."]


def aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        yield ("  " + "  ".join(cells)).rstrip()


def number(value: float) -> str:
    """Three digits without the zero: ``.390``.

    >>> number(0.39), number(-0.011), number(1.0), number(float("nan"))
    ('.390', '-.011', '1.000', '-')
    """
    text = "-" if np.isnan(value) else f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def difference_text(difference: Difference) -> str:
    interval = difference.interval
    sign = "+" if interval.mean >= 0 else ""
    p = "" if np.isnan(difference.p) else f", p {'< .001' if difference.p < 0.001 else number(difference.p)}"
    return f"{sign}{number(interval.mean)} [{number(interval.low)}, {number(interval.high)}]{p}"
