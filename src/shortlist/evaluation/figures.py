"""The figures of an evaluation: what was measured, for whom, and how sure it is."""

from dataclasses import dataclass
from typing import Any, Literal

from shortlist.evaluation.metrics import PerUser
from shortlist.evaluation.questions import Group
from shortlist.evaluation.significance import Interval

RESAMPLES = 2_000
COMPARED = ("ndcg", "recall", "hit_rate")
LEVEL = 0.05
METRICS = ("ndcg", "recall", "hit_rate", "mrr", "map", "precision")
TITLES = {
    "ndcg": "NDCG",
    "recall": "Recall",
    "hit_rate": "HR",
    "mrr": "MRR",
    "map": "MAP",
    "precision": "Precision",
}
GROUPS: dict[Group, str] = {"all": "All users", "warm": "Warm users", "fold_in": "New users, folded in"}
Seen = Literal["removed", "kept"]


@dataclass(frozen=True)
class Difference:
    """A paired difference over users.

    Attributes:
        interval: of the mean difference, 95 %.
        p: two-sided, by randomisation, Holm-adjusted over the systems compared on the same metric; ``nan`` = nobody
            to compare.
    """

    interval: Interval
    p: float

    @property
    def sign(self) -> int:
        """1 = above 0, -1 = below, by interval and p alike; 0 = not clear."""
        if not self.p < LEVEL:
            return 0
        return int(self.interval.low > 0) - int(self.interval.high < 0)


@dataclass(frozen=True, eq=False)
class Baseline:
    """A baseline on the same questions.

    Attributes:
        name: which.
        per_user: float64 (n_users,) for each metric.
        means: over users with a relevant item.
        differences: model - baseline, for ``ndcg``, ``recall`` and ``hit_rate``.
    """

    name: str
    per_user: dict[str, PerUser]
    means: dict[str, float]
    differences: dict[str, Difference]


@dataclass(frozen=True)
class SourceFigures:
    """One source on its own.

    Attributes:
        name: of the source.
        recall: relevant items among its own n proposals, divided by all relevant ones.
        ndcg_alone: NDCG@k of its own list from the full catalogue.
        ndcg_same_candidates: NDCG@k of the shortlist sorted by its score.
        model_minus_alone: the whole model against it, paired.
    """

    name: str
    recall: float
    ndcg_alone: float
    ndcg_same_candidates: float
    model_minus_alone: Difference


@dataclass(frozen=True)
class Stages:
    """What each stage contributes, on the same queries; NDCG is at k, recall at n over *all* relevant items.

    Attributes:
        n: length of the shortlist.
        sources: each by itself.
        recall_union: relevant items that any source proposed.
        recall_candidates: relevant items among the n candidates: the ceiling of what the ranker can find.
        ndcg_fusion: the candidates in the order of retrieval.
        ndcg_ranker: the same candidates in the order of the ranker: the model itself, where k is at most n.
        ndcg_oracle: the same candidates with the relevant ones first.
        ranker_lift: ranker - fusion, paired over users.
        intervals: 95 %, of each figure above: ``recall:NAME`` and ``alone:NAME`` of the sources, ``recall:union``,
            ``recall:candidates``, ``order:fusion``, ``order:ranker``, ``order:oracle``.
    """

    n: int
    sources: tuple[SourceFigures, ...]
    recall_union: float
    recall_candidates: float
    ndcg_fusion: float
    ndcg_ranker: float
    ndcg_oracle: float
    ranker_lift: Difference
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Slice:
    """A part of the questions: some users by their history, or all users but only some of their relevant items.

    Attributes:
        by: what cuts: ``history length``, ``item popularity`` or ``item age``.
        name: which part.
        n_relevant: relevant items in it.
        ndcg: of the model's list; relevant is only what lies in the slice. Its ``n`` counts the users.
        baseline: the same mean of the baseline that is best over all users.
        difference: model - baseline, paired; p Holm-adjusted over the slices.
        recall_candidates: relevant items of the slice among the n candidates, the ceiling; ``nan`` for a callable.
    """

    by: str
    name: str
    n_relevant: int
    ndcg: Interval
    baseline: float
    difference: Difference
    recall_candidates: float


@dataclass(frozen=True, eq=False)
class Result:
    """The figures of one group of users with seen items removed or kept.

    Attributes:
        users: ``all``, ``warm`` or ``fold_in``.
        seen: ``removed`` = no list holds what the user has, and only first-time items are relevant; ``kept`` = any
            item may be listed, and every test item is relevant.
        user_ids: everybody asked, by id.
        without_relevant: how many of them the metrics leave out, since they had seen all their test items before.
        per_user: float64 (n_users,) for each metric, ``nan`` = left out.
        metrics: mean, 95% bootstrap interval and number of users for each metric.
        coverage: share of the catalogue (training and test) that appears in any first-k list.
        novelty: mean of -log2(share of training events) of the listed items, in bits, mean over users.
        popularity_share: share of the lists in the most popular tenth of the catalogue, mean over users.
        diversity: 1 - mean cosine over pairs of listed items, mean over users; see `evaluation.diversity`.
        top_k_accuracy: share of the test rows whose item is among the user's first K, for K = 1, 5, 10, 50, 100.
        n_rows: the rows that this is over.
        seen_before: rows left out because the user had the item before (0 where seen items are kept).
        baselines: on the same questions.
        stages: the two stages; ``None`` for a callable, and where they were not measured (all but the model's own way
            with seen items).
        slices: parts of the questions; empty where ``stages`` is not measured for that reason.
    """

    users: Group
    seen: Seen
    user_ids: list[Any]
    without_relevant: int
    per_user: dict[str, PerUser]
    metrics: dict[str, Interval]
    coverage: float
    novelty: float
    popularity_share: float
    diversity: float
    top_k_accuracy: dict[int, float]
    n_rows: int
    seen_before: int
    baselines: tuple[Baseline, ...]
    stages: Stages | None
    slices: tuple[Slice, ...] = ()

    @property
    def best_baseline(self) -> Baseline:
        """The one with the highest NDCG."""
        return max(self.baselines, key=lambda one: one.means["ndcg"])


@dataclass(frozen=True)
class RatingFigures:
    """Errors of predicted ratings over the test rows with a rating, in units of the rating.

    Attributes:
        n: number of rows; unknown users and items included.
        rmse_low: lower end of the 95% interval of the RMSE, users resampled; ``nan`` for a single user.
        rmse_high: upper end.
        rmse_mean: of answering the training mean always.
    """

    n: int
    rmse: float
    rmse_low: float
    rmse_high: float
    mae: float
    rmse_mean: float
    mae_mean: float
