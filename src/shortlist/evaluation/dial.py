"""What diversity costs and what it gains: the same lists at several settings of its dial."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Rows
from shortlist.evaluation import metrics
from shortlist.evaluation.answering import Model, to_lists
from shortlist.evaluation.baselines import allowed_items
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.metrics import mean_over_users
from shortlist.evaluation.significance import Interval, bootstrap_intervals
from shortlist.ranking.greedy import choose
from shortlist.requests import Request

DIALS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
MOST_USERS = 1_000
RESAMPLES = 2_000


@dataclass(frozen=True)
class DialPoint:
    """The lists at one setting.

    Attributes:
        dial: ``diversity`` of `Cascade.recommend`.
        ndcg: mean over users.
        change: of NDCG against the order of the score, paired over users, 95 %.
        diversity: 1 - mean cosine over pairs of listed items, mean over users; as in `Result`.
        coverage: share of the catalogue that appears in any of the lists.
    """

    dial: float
    ndcg: float
    change: Interval
    diversity: float
    coverage: float


@dataclass(frozen=True)
class DiversityCurve:
    """The headline's questions, asked again at every setting.

    Attributes:
        n_users: at most `MOST_USERS`, spread evenly over those with something to find.
        points: from the order of the score on.
    """

    n_users: int
    points: tuple[DialPoint, ...]


def measure_dial(
    model: Model,
    request: Request,
    relevant: Relevant,
    catalogue_rows: Rows,
    vectors: Floats,
    k: int,
    *,
    filter_seen: bool,
    seed: int = 0,
) -> DiversityCurve | None:
    """The curve of a cascade; ``None`` where nobody has anything to find.

    Args:
        request: in the model's row numbers.
        relevant: of each query, in rows of the evaluation's catalogue.
        catalogue_rows: int32 (n_model_items,), where the model's items stand in that catalogue.
        vectors: float32 (n_catalogue, d), by which `metrics.intra_list_diversity` measures.
    """
    askable = np.flatnonzero(relevant.counts > 0)
    if not len(askable):
        return None
    chosen = askable[np.unique(np.linspace(0, len(askable) - 1, min(MOST_USERS, len(askable))).astype(int))]
    queries, seen = request.queries.take(chosen), request.seen.take(chosen)
    likeness = model.last_word(request, diversity=1.0).vectors
    n = model.config.retrieval.candidates
    lists: dict[float, list[Rows]] = {dial: [] for dial in DIALS}
    for start, block in queries.catalogue_blocks(len(model.items)):
        allowed = allowed_items(seen if filter_seen else None, start, start + len(block), len(model.items))
        for ranked in model.rank(block, allowed, max(n, k)):
            pool, rest = ranked.item_rows[:n], ranked.item_rows[n:]
            for dial in DIALS:
                best = pool[choose(pool, k, dial, likeness[pool]).places] if dial else pool[:k]
                lists[dial].append(catalogue_rows[np.concatenate([best, rest])[:k]])
    found = _part(relevant, chosen)
    tables = {dial: to_lists(answered, k) for dial, answered in lists.items()}
    ndcg = {dial: metrics.ndcg_at_k(table, found, k) for dial, table in tables.items()}
    changes = bootstrap_intervals(
        {str(dial): values - ndcg[0.0] for dial, values in ndcg.items()}, seed=seed, resamples=RESAMPLES
    )
    points = [
        DialPoint(
            dial,
            mean_over_users(ndcg[dial]).mean,
            changes[str(dial)],
            mean_over_users(metrics.intra_list_diversity(table, vectors)).mean,
            metrics.coverage(table, len(vectors)),
        )
        for dial, table in tables.items()
    ]
    return DiversityCurve(len(chosen), tuple(points))


def _part(relevant: Relevant, users: NDArray[np.int64]) -> Relevant:
    """The relevant items of some users."""
    counts = relevant.counts[users]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    items = np.arange(counts.sum()) + np.repeat(relevant.offsets[users] - offsets[:-1], counts)
    return Relevant(offsets, relevant.item_rows[items])
