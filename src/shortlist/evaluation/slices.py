"""Where a model is good and where it is not: by history, by popularity of the items, by their age."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Log, Mask, Rows
from shortlist.evaluation.figures import RESAMPLES, Difference, Slice
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.metrics import mean_over_users, ndcg_at_k, recall_all_at_k
from shortlist.evaluation.significance import bootstrap_intervals, holm, randomisation_test
from shortlist.stages import Queries

DAY = 86_400
HISTORY_LENGTHS = ((0, 0), (1, 5), (6, 20), (21, 100), (101, None))
AGES_DAYS = ((0, 7), (7, 30), (30, 365), (365, None))
HEAD = 0.1
"""Of the catalogue: the most popular tenth, as in `popularity_share`."""


@dataclass(frozen=True, eq=False)
class Part:
    """Labels of one slice.

    Attributes:
        by: what cuts.
        name: which part.
        labels: bool (n_labels,): which test rows are in it.
    """

    by: str
    name: str
    labels: Mask


def make_parts(
    log: Log, queries: Queries, label_queries: NDArray[np.int64], label_items: NDArray[np.int64]
) -> list[Part]:
    """Every slice that holds a label.

    - ``history length``: events of the user before the moment of asking.
    - ``item popularity``: ``head`` = the most popular tenth of the catalogue, ``tail`` = the other items with an event
      in training; both together are ``warm``; ``cold`` = no event.
    - ``item age``: days from the item's first training event to the moment of asking; only where times are seconds.

    Args:
        log: the training events that count, items as in the evaluation's catalogue.
        queries: the questions, in the same catalogue.
        label_queries: int64 (n_labels,), position of the query.
        label_items: int64 (n_labels,), row in the catalogue.
    """
    parts = [*_by_history(queries, label_queries), *_by_popularity(log, label_items)]
    if log.in_seconds and len(log):
        parts += _by_age(log, queries, label_queries, label_items)
    return [part for part in parts if part.labels.any()]


def _by_history(queries: Queries, label_queries: NDArray[np.int64]) -> Iterator[Part]:
    lengths = queries.lengths[label_queries]
    for low, high in HISTORY_LENGTHS:
        name = str(low) if low == high else f"over {low - 1}" if high is None else f"{low} to {high}"
        yield Part("history length", name, (lengths >= low) & (lengths <= (np.inf if high is None else high)))


def _by_popularity(log: Log, label_items: NDArray[np.int64]) -> Iterator[Part]:
    counts = np.bincount(log.item_rows, minlength=log.n_items)
    in_head = np.zeros(log.n_items, dtype=bool)
    in_head[np.argsort(-counts, kind="stable")[: max(1, round(HEAD * log.n_items))]] = True
    in_head &= counts > 0
    warm = counts > 0
    for name, items in (("head", in_head), ("tail", warm & ~in_head), ("warm", warm), ("cold", ~warm)):
        yield Part("item popularity", name, items[label_items])


def _by_age(
    log: Log, queries: Queries, label_queries: NDArray[np.int64], label_items: NDArray[np.int64]
) -> Iterator[Part]:
    first = np.full(log.n_items, np.iinfo(np.int64).max)
    np.minimum.at(first, log.item_rows, log.timestamps)
    known = first[label_items] < queries.at[label_queries]
    days = np.where(known, (queries.at[label_queries] - np.where(known, first[label_items], 0)) / DAY, np.nan)
    for low, high in AGES_DAYS:
        name = f"over {low} days" if high is None else f"{low} to {high} days"
        yield Part("item age", name, (days >= low) & (days < (np.inf if high is None else high)))


def measure_slices(
    parts: Sequence[Part],
    label_queries: NDArray[np.int64],
    label_items: NDArray[np.int64],
    n_queries: int,
    lists: tuple[Rows, Rows],
    shortlists: Rows | None,
    k: int,
    seed: int,
) -> tuple[Slice, ...]:
    """NDCG@k of two lists with only the labels of a slice as relevant.

    Args:
        parts: from `make_parts`, over these labels.
        lists: int32 (n_queries, k) each: the model's and the baseline's.
        shortlists: int32 (n_queries, n), the candidates; ``None`` = there are none.
    """
    measured, tests = [], {}
    for i, part in enumerate(parts):
        relevant = Relevant.from_pairs(label_queries[part.labels], label_items[part.labels], n_queries)
        model, baseline = (ndcg_at_k(ranked, relevant, k) for ranked in lists)
        intervals = bootstrap_intervals(
            {"model": model, "difference": model - baseline}, seed=seed, resamples=RESAMPLES
        )
        ceiling = (
            float("nan")
            if shortlists is None
            else mean_over_users(recall_all_at_k(shortlists, relevant, shortlists.shape[1])).mean
        )
        tests[str(i)] = randomisation_test(model, baseline, seed=seed, resamples=RESAMPLES)
        measured.append((part, len(relevant.item_rows), intervals, mean_over_users(baseline).mean, ceiling))
    p = holm(tests)
    return tuple(
        Slice(part.by, part.name, n, one["model"], baseline, Difference(one["difference"], p[str(i)]), ceiling)
        for i, (part, n, one, baseline, ceiling) in enumerate(measured)
    )
