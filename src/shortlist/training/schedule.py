"""The schedule that joins the stages without leakage.

1. Make shifts: moments in the past, each with a log from which all that will be labelled is gone.
2. Choose the sources' settings on the earliest shift.
3. Fit stage 1 on each later shift's log; its candidates, labelled, are stage 2's rows.
4. Fit the ranker on the early shifts; choose its size, the blend and whether it answers at all on the last.
5. Refit the ranker on all shifts and stage 1 on everything. Nothing is chosen after that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.cascade import Cascade
from shortlist.config import Config, Target, load_config
from shortlist.data.dataset import Dataset
from shortlist.data.log import Log
from shortlist.errors import ConfigError, DataError
from shortlist.first_stage import FirstStage
from shortlist.ranking.linear import BY_PREDICTED_RATING, FUSION
from shortlist.stages import Ranker
from shortlist.training.leaks import Learned, doubts, thinned
from shortlist.training.plan import Plan
from shortlist.training.ranker import Rows, choose_ranker, fit_final, shift_rows
from shortlist.training.shifts import Shift, make_shifts
from shortlist.training.sources import choose, fit_first_stage, freeze_ratings, make_plan, rating_kind, sampled_queries

MOST_QUERIES = 20_000
MOST_CELLS = 40_000_000
"""Of one shift: queries, and queries times items, that give the ranker its rows; more are drawn from at random."""
TARGETS: dict[str, Target] = {"window": "window", "next": "next", "random": "random"}
Progress = Callable[[str], None]


def train(
    dataset: Dataset,
    target: Target | None = None,
    config: Config | str | Path | dict[str, Any] | None = None,
    *,
    progress: Progress | None = None,
) -> Cascade:
    """Fit both stages on a log.

    Args:
        dataset: what happened.
        target: what the model will be asked: ``"window"``, what a user takes up in the period after the moment of
            asking; ``"next"``, the next item; ``"random"``, held-out rows. ``None`` = ``window`` where there are
            times, else ``random``.
        config: a preset's name, a TOML file, a dictionary or a `Config`; ``None`` = ``default``.
        progress: called with one sentence per step.

    Raises:
        ConfigError: a setting is unknown or does not fit the data.
        DataError: no event counts as positive, or the target needs times that the log does not have.
        MissingExtraError: the extra ``train`` is not installed.

    >>> from shortlist.data.synthetic import two_tastes
    >>> train(two_tastes(), "next", {"ranking": {"ranker": "fusion"}}).target
    'next'
    """
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"train: expected a Dataset, got {type(dataset).__name__}; Dataset.from_frames makes one of tables"
        )
    started = time.perf_counter()
    say = progress or (lambda sentence: None)
    config = load_config(config)
    target = check_target(dataset, target)
    log = dataset.log(config.positive.min_rating, config.positive.events)
    if not (log.weights > 0).any():
        raise DataError(f"none of the {len(log):,} interactions counts as positive: {config.positive}")
    if config.ranking.ranker == "rating" and not dataset.has_ratings:
        raise ConfigError("setting 'ranking.ranker': 'rating' sorts by predicted rating, but the log has no ratings")
    plan = make_plan(dataset, config, target)
    filter_seen = plan.filter_seen
    plan, ranker, record, learned, judged = fit_ranking(log, plan, target, filter_seen, say)
    say(f"fitting stage 1 on all {len(log):,} interactions")
    first = fit_first_stage(plan, log)
    if learned is not None:
        record |= doubts(learned, first, log, plan, target, record)
        for sentence in record["warnings"]:
            say(f"warning: {sentence}")
    check_ranker(ranker, first)
    record |= {
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "interactions": len(dataset),
            "positives": int((log.weights > 0).sum()),
            "users": len(dataset.users),
            "items": len(dataset.items),
            "time": dataset.time_kind,
            "repeat_share": round(dataset.repeat_share, 6),
            "notes": list(dataset.notes),
            "validation": dataset.validation,
        },
        "filter_seen": filter_seen,
        "sources_left_out": plan.left_out,
        "rating_model": rating_kind(plan, log),
        "settings_chosen": plan.chosen,
        "share_of_new": plan.new_share,
        "trials": plan.trials,
        "fit_seconds": time.perf_counter() - started,
    }
    validation = None if judged is None else judged_users(judged, dataset.users)
    return Cascade(
        dataset.items, dataset.users, log, first, ranker, config, target, filter_seen, record, validation=validation
    )


def check_target(dataset: Dataset, target: str | None) -> Target:
    """The target asked for, or the one that the log allows."""
    if target is None:
        return "random" if dataset.time_kind == "none" else "window"
    if target not in TARGETS:
        raise ConfigError(f"target: expected 'window', 'next' or 'random', got {target!r}")
    if target == "window" and dataset.time_kind == "none":
        raise DataError("target 'window' needs times; this log has none, or they are all equal. 'random' does not")
    return TARGETS[target]


def check_ranker(ranker: Ranker, first: FirstStage) -> None:
    if "predicted_rating" in ranker.feature_names and first.features.rating_model is None:
        raise ConfigError("setting 'ranking.ranker': 'rating' sorts by predicted rating, but the log has no ratings")


@dataclass(frozen=True)
class Prepared:
    """A shift with the first stage fitted for it and the rows that came of it."""

    shift: Shift
    first: FirstStage
    rows: Rows


Judged = tuple[Shift, NDArray[np.float64]]
"""A shift that nothing was fitted on, and NDCG@10 of the answers to its queries; ``nan`` = nothing to find."""


def judged_users(judged: Judged, users: pl.DataFrame) -> pl.DataFrame | None:
    """`Cascade.validation`; ``None`` where nobody had anything to find."""
    shift, ndcg = judged
    figures = pl.DataFrame({"row": shift.users, "ndcg": ndcg}).filter(pl.col("ndcg").is_not_nan())
    if not len(figures):
        return None
    means = figures.group_by("row").agg(pl.col("ndcg").mean()).sort("row")
    return pl.DataFrame([users["user_id"].gather(means["row"]), means["ndcg"]])


def fit_ranking(
    log: Log, plan: Plan, target: Target, filter_seen: bool, say: Progress
) -> tuple[Plan, Ranker, dict[str, Any], Learned | None, Judged | None]:
    """Steps 1 to 5 of the schedule but for the last fit of stage 1.

    Returns:
        The settings chosen, the ranker, the record, what the ranker learned from, if it did, and how it was judged; a
        model that sorts by predicted rating is not.
    """
    ranking = plan.config.ranking
    if ranking.ranker == "rating":
        return plan, BY_PREDICTED_RATING, {"ranker": "rating"}, None, None
    shifts = make_shifts(log, target, ranking.shifts, plan.config.seed, filter_seen)
    shifts = [shift for shift in shifts if len(shift.relevant.item_rows) and (shift.history.weights > 0).any()]
    by = shifts[:2] if target == "random" else shifts[:1]  # a fold is as early as any other
    if shifts:
        say(f"choosing the sources' settings on {' and '.join(shift.name for shift in by)}")
        fitted = choose(plan, by, filter_seen)
        plan = replace(fitted, frozen={})
    record: dict[str, Any] = {"shifts": [shift.name for shift in shifts], "ranker": "fusion"}
    if ranking.ranker != "fusion" and len(shifts) < 3:
        record["why"] = f"the log gives only {len(shifts)} moments to learn from, at least 3 are needed"
    if ranking.ranker == "fusion" or len(shifts) < 3:
        if len(shifts) <= len(by):
            return plan, FUSION, record, None, None
        last = prepare(fitted, shifts[-1], filter_seen, say)
        scores = FUSION.score(last.rows.features[:, [last.rows.names.index("fusion")]])
        return plan, FUSION, record, None, (last.shift, last.rows.ndcg_of_each(scores))
    # Shifts of time only add events to the earliest one's log; what a fold hides, another one knows.
    if target != "random":
        fitted = freeze_ratings(fitted, shifts[1].history)
    prepared = [prepare(fitted, shift, filter_seen, say) for shift in shifts[1:]]
    say("fitting the ranker and choosing on the last shift")
    rows = [one.rows for one in prepared]
    choice = choose_ranker(rows[:-1], rows[-1], plan.config)
    record |= choice.record
    record["candidate_recall"] = {one.shift.name: one.rows.recall for one in prepared}
    if choice.n_trees and choice.blend is not None:
        say(f"refitting {choice.n_trees} trees on all shifts")
    learned = Learned([thinned(one) for one in rows], prepared[-1].shift, prepared[-1].first)
    return plan, fit_final(rows, choice, plan.config), record, learned, (prepared[-1].shift, choice.ndcg)


def prepare(plan: Plan, shift: Shift, filter_seen: bool, say: Progress) -> Prepared:
    shift = sampled_queries(shift, plan.config.seed, MOST_QUERIES, MOST_CELLS)
    say(f"stage 1 for {shift.name}: {len(shift.history):,} interactions, {len(shift.queries):,} queries")
    first = fit_first_stage(plan, shift.history)
    names = first.features.names(order=plan.order, seconds=plan.seconds, repeats=not filter_seen)
    return Prepared(shift, first, shift_rows(first, names, shift, plan.config.retrieval.candidates, filter_seen))
