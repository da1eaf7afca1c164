"""Does the ranker learn from the past alone, and from what it will meet when it answers? Checks, and loud sentences."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.config import Target
from shortlist.data.log import Floats, Log
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.suspicion import GAIN_ON_RANDOM, knowing_numbers
from shortlist.first_stage import FirstStage
from shortlist.ranking.blend import FRESH
from shortlist.stages import stored_queries
from shortlist.training.plan import Plan
from shortlist.training.ranker import Rows, shift_rows
from shortlist.training.shifts import Shift, ask_at_last_event

USERS_ASKED_NOW = 300
MOST_FEATURE_ROWS = 100_000
N_BINS = 10
LARGE_SHIFT = 1.0
TIMES_BETWEEN_SHIFTS = 2.0
LARGE_RECALL_GAP = 0.05
ERRORS = 3.0
DRIFTING = ("popularity", "trend", "item_", "history_length", "user_", "idle_", FRESH)
"""How the features begin that move with the log and with who asks: their shift is recorded, but no reason to warn. What
fitted models say of an item should look alike at every moment."""


def leaking_features(
    fit: Callable[[Log, Shift], FirstStage], log: Log, shift: Shift, names: tuple[str, ...], n: int, filter_seen: bool
) -> tuple[str, ...]:
    """The features of a shift that change when everything outside its history is taken out of the log.

    Args:
        fit: how stage 1 is fitted for a shift, with the log at hand.
        log: the whole one.
        names: of the features.
        n: length of the shortlists.

    Returns:
        Their names; ``"candidates"`` where the shortlists themselves change. Empty = only the past is known.
    """
    knowing = shift_rows(fit(log, shift), names, shift, n, filter_seen)
    blind = shift_rows(fit(shift.history, shift), names, shift, n, filter_seen)
    if knowing.features.shape != blind.features.shape or (knowing.item_rows != blind.item_rows).any():
        return ("candidates",)
    pairs = zip(names, knowing.features.T, blind.features.T, strict=True)
    return tuple(name for name, one, other in pairs if one.tobytes() != other.tobytes())


@dataclass(frozen=True)
class Learned:
    """What the ranker learned from, as far as the checks need it.

    Attributes:
        rows: of all shifts, the last one last; of the features a part, see `thinned`.
        last: the last shift.
        first: the first stage that was fitted for it.
    """

    rows: list[Rows]
    last: Shift
    first: FirstStage


def thinned(rows: Rows) -> Rows:
    """The rows with evenly spaced ones of their features, some hundred thousand at most; all else stays."""
    step = -(-len(rows.features) // MOST_FEATURE_ROWS)
    return replace(rows, features=rows.features[:: max(step, 1)].copy())


def doubts(
    learned: Learned, first: FirstStage, log: Log, plan: Plan, target: Target, record: dict[str, Any]
) -> dict[str, Any]:
    """For the record: how far each feature lies from training when the model is asked now, and what to warn of.

    Args:
        first: fitted on the whole log.
        record: with the gains that validation found.
    """
    now = asked_now(first, learned.last, log, learned.rows[-1].names, plan, target)
    shifts = feature_shifts(learned.rows[-1], now)
    sentences = list(warnings_of(learned, target, record, shifts))
    return {"feature_shifts": {name: round(value, 4) for name, value in shifts.items()}, "warnings": sentences}


def asked_now(first: FirstStage, last: Shift, log: Log, names: tuple[str, ...], plan: Plan, target: Target) -> Rows:
    """The rows that some users of the last shift give when the finished first stage is asked now.

    Args:
        first: fitted on the whole log.
        names: of the features.
    """
    users = np.random.default_rng(plan.config.seed).permutation(np.unique(last.users))[:USERS_ASKED_NOW]
    users = users.astype(np.int32)
    if target == "next":
        queries = ask_at_last_event(log, users)
    else:
        queries = stored_queries(log, users, np.full(len(users), log.end), strictly_before=False)
    nothing = Relevant.from_pairs(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), len(users))
    shift = Shift(log, queries, nothing, users, "now")
    return shift_rows(first, names, shift, plan.config.retrieval.candidates, plan.filter_seen)


def feature_shifts(trained: Rows, asked: Rows) -> dict[str, float]:
    """The population stability index of each feature between training and answering, largest first."""
    pairs = zip(trained.names, trained.features.T, asked.features.T, strict=True)
    shifts = {name: stability_index(one, other) for name, one, other in pairs}
    return dict(sorted(shifts.items(), key=lambda item: -item[1]))


def stability_index(expected: Floats, actual: Floats, n_bins: int = N_BINS) -> float:
    """Population stability index: Σ (p − q) ln(p / q) over bins that hold as many expected values each.

    0 = alike; by a common rule of thumb above .25 a large shift. ``nan`` has a bin of its own; half a value is added to
    every bin.

    Args:
        expected, actual: float32 (n,), (m,).

    >>> rng = np.random.default_rng(0)
    >>> round(stability_index(rng.normal(0, 1, 9999), rng.normal(0, 1, 9999)), 2)
    0.0
    >>> round(stability_index(rng.normal(0, 1, 9999), rng.normal(1, 1, 9999)), 1)
    0.9
    """
    known = expected[~np.isnan(expected)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, n_bins + 1)[1:-1])) if len(known) else np.zeros(0)
    p, q = (_shares(values, edges) for values in (expected, actual))
    return float(((p - q) * np.log(p / q)).sum())


def _shares(values: Floats, edges: NDArray[np.floating]) -> NDArray[np.float64]:
    missing = np.isnan(values)
    counts = np.bincount(np.searchsorted(edges, values[~missing], side="left"), minlength=len(edges) + 1)
    filled = np.append(counts, missing.sum()) + 0.5
    shares: NDArray[np.float64] = filled / filled.sum()
    return shares


def warnings_of(learned: Learned, target: Target, record: dict[str, Any], shifts: dict[str, float]) -> Iterator[str]:
    """Sentences about what makes the figures of a run doubtful; few, and loud.

    Args:
        record: with the gains that validation found.
        shifts: of the features between the last shift and now, see `feature_shifts`.
    """
    yield from _recall_warnings(learned.rows)
    yield from _shift_warnings(learned.rows, shifts)
    yield from _gain_warnings(target, record)
    features = learned.first.features
    before = [features.item_counts.before(0, window) for window in (np.inf, features.long, features.short)]
    during = np.bincount(learned.last.relevant.item_rows, minlength=features.item_counts.n_items)
    yield from knowing_numbers(features.item_facts.numbers, features.item_facts.number_names, before, during)


def _recall_warnings(rows: list[Rows]) -> Iterator[str]:
    """Where candidates hold clearly more or less of what was taken up in training than on the last shift.

    Where that differs as much between the training shifts, the log moves: no reason to warn.
    """
    found = [int(one.labels.sum()) for one in rows]
    wanted = [max(round(n / one.recall), 1) if one.recall else 1 for n, one in zip(found, rows, strict=True)]
    training, validating = sum(found[:-1]) / sum(wanted[:-1]), found[-1] / wanted[-1]
    error = np.sqrt(sum(p * (1 - p) / n for p, n in ((training, sum(wanted[:-1])), (validating, wanted[-1]))))
    recalls = [one.recall for one in rows[:-1]]
    if abs(training - validating) > max(LARGE_RECALL_GAP, ERRORS * error, max(recalls) - min(recalls)):
        yield (
            f"the candidates hold {training:.0%} of what was taken up on the training shifts, but {validating:.0%} on "
            "the validating one: the ranker learns from other shortlists than it will get. Look for events or "
            "attributes that know the future, and for sources fitted on unlike parts of the log"
        )


def _shift_warnings(rows: list[Rows], shifts: dict[str, float]) -> Iterator[str]:
    """Features that lie further from the last shift when asked now than the shifts lie from each other."""
    between = feature_shifts(rows[-1], rows[0])
    far = {
        name: value
        for name, value in shifts.items()
        if not name.startswith(DRIFTING) and value > max(LARGE_SHIFT, TIMES_BETWEEN_SHIFTS * between[name])
    }
    if far:
        named = ", ".join(f"{name} ({value:.1f})" for name, value in far.items())
        yield (
            f"features have other values when the model is asked now than in training (stability index): {named}. "
            "What trees say of values that they have not seen is chance: look at what happened at the end of the log"
        )


def _gain_warnings(target: Target, record: dict[str, Any]) -> Iterator[str]:
    gain = record.get("gain_over_best_source")
    if target != "random" or not gain or not gain["figure"]:
        return
    relative = gain["mean"] / gain["figure"]
    if relative > GAIN_ON_RANDOM and gain["mean"] > 2 * gain["standard_error"]:
        yield (
            f"the ranker gains {relative:.0%} over the best source ({gain['source']}) on held-out rows, where more "
            f"than {GAIN_ON_RANDOM:.0%} is rare: a feature, or an attribute, may know the labels. It is a leak until "
            "proven otherwise"
        )
