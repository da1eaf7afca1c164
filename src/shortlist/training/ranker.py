"""Stage 2 from rows: labelled candidates of each shift in, a ranker out."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.config import Config, TreesSettings
from shortlist.data.log import Floats, Mask
from shortlist.data.log import Rows as ItemRows
from shortlist.first_stage import FirstStage
from shortlist.ranking.blend import FRESH, Blend
from shortlist.ranking.linear import FUSION, Linear
from shortlist.ranking.trees import Trees
from shortlist.stages import Ranker
from shortlist.training.ranking.trees import best_size, fit_trees
from shortlist.training.shifts import Shift
from shortlist.training.sources import FEWEST_OF_A_KIND

K = 10
SOURCE_WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0)
"""Of the best source's standardised score in the blends tried, beside the margin of the trees."""
FEWEST_JUDGES = 2
ENOUGH_QUERIES = 1_000
"""Shifts judge, from the last one back, until there are so many of them and of their queries."""
ERRORS_OF_A_KIND = 2.0
"""By so many standard errors a blend for one kind of query must beat the one for all: it is the best of several."""
Part = tuple[str, float, float]
"""A source's feature, the weight of the trees, the weight of that feature."""


@dataclass(frozen=True)
class Rows:
    """The candidates of one shift as labelled rows.

    Attributes:
        names: of the feature columns.
        features: float32 (n, n_features).
        labels: bool (n,).
        query_rows: int64 (n,), not decreasing.
        item_rows: int32 (n,).
        ideal: float64 (n_queries,), DCG@10 of a perfect list, with what retrieval missed; 0 = nothing relevant.
        recall: share of the relevant items that are among the candidates.
        period: of the shift.
        user_rows: int32 (n_queries,), who asks; only needed where another shift's period overlaps.
    """

    names: tuple[str, ...]
    features: Floats
    labels: Mask
    query_rows: NDArray[np.int64]
    item_rows: ItemRows
    ideal: NDArray[np.float64]
    recall: float
    period: tuple[int, int] = (0, 0)
    user_rows: ItemRows = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    @property
    def fresh(self) -> Mask:
        """bool (n_queries,): who acts just now; nobody where order is not used."""
        fresh = np.zeros(len(self.ideal), dtype=bool)
        if FRESH in self.names:
            fresh[self.query_rows[self.features[:, self.names.index(FRESH)] > 0]] = True
        return fresh

    def without_labels_of(self, judge: "Rows") -> "Rows":
        """These rows less those whose label another shift has from the same event, where their periods overlap."""
        if self.period[0] >= judge.period[1] or judge.period[0] >= self.period[1]:
            return self
        keep = ~(self.labels & np.isin(self._pairs(), judge._pairs()[judge.labels]))
        return replace(
            self,
            features=self.features[keep],
            labels=self.labels[keep],
            query_rows=self.query_rows[keep],
            item_rows=self.item_rows[keep],
        )

    def _pairs(self) -> NDArray[np.int64]:
        return self.user_rows[self.query_rows].astype(np.int64) << 32 | self.item_rows

    def followed_by(self, more: "Rows") -> "Rows":
        """These rows, then those of another shift; ``recall`` stays that of these."""
        return replace(
            self,
            features=np.concatenate([self.features, more.features]),
            labels=np.concatenate([self.labels, more.labels]),
            query_rows=np.concatenate([self.query_rows, more.query_rows + len(self.ideal)]),
            item_rows=np.concatenate([self.item_rows, more.item_rows]),
            ideal=np.concatenate([self.ideal, more.ideal]),
        )

    def ndcg_of_each(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 (n_queries,): NDCG@10 of these candidates in the order of scores (ties as retrieved).

        ``nan`` where nothing is relevant.
        """
        order = np.lexsort((-scores, self.query_rows))
        first = np.searchsorted(self.query_rows, self.query_rows)  # rows of a query are contiguous, sorted or not
        places = np.arange(len(order)) - first
        hit = self.labels[order] & (places < K)
        gains = np.bincount(self.query_rows[hit], weights=1 / np.log2(places[hit] + 2), minlength=len(self.ideal))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.ideal > 0, gains / self.ideal, np.nan)

    def ndcg(self, scores: NDArray[np.floating]) -> float:
        """The mean of `ndcg_of_each` over the queries with a relevant item; 0 without any."""
        return mean(self.ndcg_of_each(scores))


@dataclass(frozen=True)
class Choice:
    """What validation decided.

    Attributes:
        blend: (source feature, ranker weight, source weight) for all queries, or for those who have been away and those
            who act just now; ``None`` = fusion answers.
        n_trees: of the ranker; 0 = none.
        record: figures behind it.
        ndcg: float64 (n_queries of the last shift,), NDCG@10 of what was chosen.
    """

    blend: tuple[tuple[str, float, float], ...] | None
    n_trees: int
    record: dict[str, Any]
    ndcg: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False)


def shift_rows(first: FirstStage, names: tuple[str, ...], shift: Shift, n: int, filter_seen: bool) -> Rows:
    """Ask the first stage what it would have proposed, by the code that answers, and label it."""
    relevant, n_items = shift.relevant, shift.history.n_items
    wanted = np.repeat(np.arange(len(relevant)), relevant.counts) * n_items + relevant.item_rows
    features, labels, query_rows, item_rows = [], [], [], []
    for start, queries in shift.queries.catalogue_blocks(shift.history.n_items):
        allowed = shift.allowed(start, start + len(queries), filter_seen)
        candidates = first.retrieve(queries, allowed, n)
        rows = candidates.query_rows + start
        labels.append(np.isin(rows * n_items + candidates.item_rows, wanted))
        features.append(first.features.build(names, queries, candidates))
        query_rows.append(rows)
        item_rows.append(candidates.item_rows)
    found = np.concatenate(labels)
    discounts = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(K) + 2))])
    ideal = discounts[np.minimum(relevant.counts, K)]
    recall = float(found.sum() / max(len(wanted), 1))
    return Rows(
        names,
        np.concatenate(features),
        found,
        np.concatenate(query_rows),
        np.concatenate(item_rows),
        ideal,
        recall,
        shift.period,
        shift.users,
    )


def sampled(rows: Rows, negatives: int, rng: np.random.Generator) -> tuple[Floats, Mask]:
    """All positives and some unlabelled candidates of each query that has a positive."""
    has_positive = np.zeros(len(rows.ideal), dtype=bool)
    has_positive[rows.query_rows[rows.labels]] = True
    sizes = np.bincount(rows.query_rows, minlength=len(rows.ideal))
    share = negatives / np.maximum(sizes, 1)[rows.query_rows] if negatives else np.inf
    keep = has_positive[rows.query_rows] & (rows.labels | (rng.random(len(rows.labels)) < share))
    return rows.features[keep], rows.labels[keep]


def negatives_of(rows: list[Rows], settings: TreesSettings) -> int:
    """Negatives per query: as many as wanted, fewer where the queries are so many that the fit would take too long."""
    n_queries = sum(len(np.unique(one.query_rows[one.labels])) for one in rows)
    most = max(1, settings.most_rows // max(n_queries, 1))
    return min(settings.negatives, most) if settings.negatives else most


def choose_ranker(early: list[Rows], last: Rows, config: Config) -> Choice:
    """Fit on all shifts but one; size, blend and whether to answer at all by NDCG@10 on that one, in turn.

    The last two shifts judge, and earlier ones too while their queries are few; trees that are judged have seen none of
    the events that they are judged by. What is more complicated must gain more
    than a standard error: a source alone over fusion, the trees over the better of the two.
    """
    fitted = _fitted([*early, last], config)
    judged = _joined([rows for _, rows in fitted] or [last])
    sources = {n: judged.features[:, i].astype(np.float64) for i, n in enumerate(judged.names) if n.endswith("_z")}
    alone = {name: judged.ndcg_of_each(z) for name, z in sources.items()}
    fusion = judged.ndcg_of_each(judged.features[:, judged.names.index("fusion")])
    record: dict[str, Any] = {
        "validation": {"fusion": mean(fusion)} | {f"source {name[:-2]}": mean(one) for name, one in alone.items()},
        "oracle": judged.ndcg(judged.labels.astype(np.float64)),
        "features": list(judged.names),
    }
    if not fitted:
        why = "the training shifts have nothing to tell candidates apart by"
        return Choice(None, 0, record | {"why": why}, fusion[: len(last.ideal)])
    n_trees, margins = best_size(
        [(trees, rows.features) for trees, rows in fitted], judged.ndcg, config.ranking.trees.step
    )
    record["validation"]["trees"] = judged.ndcg(margins)
    parts, blended, record["blends"] = _blends(judged, margins, sources)
    record["validation"]["blend"] = mean(blended)
    best = max(alone, key=lambda name: mean(alone[name]))
    one_source = exceeds(alone[best], fusion)
    over, simplest = (best[:-2], alone[best]) if one_source else ("fusion", fusion)
    gain, error = paired(blended, simplest)
    record["gain"] = {"over": over, "mean": gain, "standard_error": error, "queries": int((judged.ideal > 0).sum())}
    above, its_error = paired(blended, alone[best])
    record["gain_over_best_source"] = {
        "source": best[:-2],
        "figure": mean(alone[best]),
        "mean": above,
        "standard_error": its_error,
    }
    if gain <= error:
        record["why"] = f"the trained ranker did not beat {over} by more than a standard error on validation"
        if not one_source:
            return Choice(None, n_trees, record, fusion[: len(last.ideal)])
        alone_last = alone[best][: len(last.ideal)]
        return Choice(((best, 0.0, 1.0),), 0, record | {"ranker": f"source {over}"}, alone_last)
    named = [{"trees": w, source: v} for source, w, v in parts]
    record |= {"ranker": "trees", "trees": n_trees, "blend": named[0] if len(named) == 1 else named}
    return Choice(parts, n_trees, record, blended[: len(last.ideal)])  # the last shift comes first


def mean(values: NDArray[np.float64]) -> float:
    """Of the values that are not ``nan``; 0 without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def paired(values: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float]:
    """The mean difference of two figures per query and its standard error, ``nan`` left out; of one query no error."""
    differences = (values - others)[~np.isnan(values)]
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else 0.0
    return mean(differences), float(error)


def exceeds(values: NDArray[np.float64], others: NDArray[np.float64], errors: float = 1.0) -> bool:
    """Whether the mean difference is above so many of its standard errors."""
    gain, error = paired(values, others)
    return gain > errors * error


def _fitted(rows: list[Rows], config: Config) -> list[tuple[Trees, Rows]]:
    """Shifts that judge, the last one first, each with trees fitted on all the others; none where nothing can be."""
    fitted: list[tuple[Trees, Rows]] = []
    n_queries = 0
    for place in reversed(range(len(rows))):
        if len(fitted) >= FEWEST_JUDGES and n_queries >= ENOUGH_QUERIES:
            break
        others = [one.without_labels_of(rows[place]) for at, one in enumerate(rows) if at != place]
        trees = _fit(others, config, config.ranking.trees.max_trees)
        if trees is None and not fitted:
            return []
        if trees is not None:
            fitted.append((trees, rows[place]))
            n_queries += int((rows[place].ideal > 0).sum())
    return fitted


def _joined(parts: list[Rows]) -> Rows:
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.followed_by(part)
    return joined


def kinds_of_query(rows: Rows) -> list[Mask]:
    """Who has been away and who acts just now, if both are many enough to choose by; else all as one."""
    fresh = rows.fresh
    kinds = [~fresh, fresh]
    if all(int((rows.ideal[kind] > 0).sum()) >= FEWEST_OF_A_KIND for kind in kinds):
        return kinds
    return [np.ones(len(fresh), dtype=bool)]


def _blends(
    judged: Rows, margins: NDArray[np.float64], sources: dict[str, NDArray[np.float64]]
) -> tuple[tuple[Part, ...], NDArray[np.float64], list[dict[str, float]]]:
    """One blend for all queries, or two for the kinds of query, where they gain clearly more.

    Returns:
        The blends, the NDCG@10 of each query with them, and the figures of all that were tried.
    """
    kinds = kinds_of_query(judged)
    everybody = np.ones(len(judged.ideal), dtype=bool)
    common, figures, tried = _best_blend(judged, margins, sources, everybody)
    if len(kinds) == 1:
        return (common,), figures, [tried]
    parts, record, blended = [], [tried], figures.copy()
    for kind in kinds:
        part, own, tried = _best_blend(judged, margins, sources, kind)
        clearly = exceeds(own[kind], figures[kind], ERRORS_OF_A_KIND)
        parts.append(part if clearly else common)
        blended[kind] = (own if clearly else figures)[kind]
        record.append(tried)
    return (common,) if parts == [common, common] else tuple(parts), blended, record


def _best_blend(
    judged: Rows, margins: NDArray[np.float64], sources: dict[str, NDArray[np.float64]], kind: Mask
) -> tuple[Part, NDArray[np.float64], dict[str, float]]:
    """The blend of the trees with the source that is best alone, for one kind of query; and every one tried."""
    source = max(sources, key=lambda name: mean(judged.ndcg_of_each(sources[name])[kind]))
    tried = {v: judged.ndcg_of_each(margins + v * sources[source]) for v in SOURCE_WEIGHTS}
    means = {v: mean(figures[kind]) for v, figures in tried.items()}
    best = max(means, key=lambda v: means[v])
    return (source, 1.0, best), tried[best], {f"trees + {v} x {source}": figure for v, figure in means.items()}


def fit_final(rows: list[Rows], choice: Choice, config: Config) -> Ranker:
    """The ranker on all shifts, with the numbers that validation chose."""
    if choice.blend is None:
        return FUSION
    sources, ranker_weights, source_weights = zip(*choice.blend, strict=True)
    trees = _fit(rows, config, choice.n_trees) if any(ranker_weights) else None
    return Linear(sources[:1], (1.0,)) if trees is None else Blend(trees, sources, ranker_weights, source_weights)


def _fit(rows: list[Rows], config: Config, n_trees: int) -> Trees | None:
    """``None`` where all labels, or all rows, are alike."""
    rng = np.random.default_rng(config.seed)
    parts = [sampled(one, negatives_of(rows, config.ranking.trees), rng) for one in rows]
    features, labels = (np.concatenate(side) for side in zip(*parts, strict=True))
    if not labels.any() or labels.all():
        return None
    alike = (features == features[:1]) | (np.isnan(features) & np.isnan(features[:1]))
    if alike.all():
        return None
    return fit_trees(
        rows[-1].names,
        features,
        labels,
        config.ranking.trees,
        n_trees=n_trees,
        seed=config.seed,
        threads=config.threads,
    )
