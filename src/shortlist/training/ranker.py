"""Stage 2 from rows: labelled candidates of each shift in, a ranker out."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.cascade import QUERIES_AT_ONCE, FirstStage
from shortlist.config import Config
from shortlist.data.log import Floats, Mask
from shortlist.data.log import Rows as ItemRows
from shortlist.ranking.blend import FRESH, Blend
from shortlist.ranking.linear import FUSION, Linear
from shortlist.ranking.trees import Trees
from shortlist.retrieval.merge import retrieve
from shortlist.stages import Ranker
from shortlist.training.ranking.trees import best_size, first_trees, fit_trees
from shortlist.training.shifts import Shift
from shortlist.training.sources import FEWEST_OF_A_KIND

K = 10
WEIGHTS = ((1.0, 0.0), (1.0, 0.1), (1.0, 0.3), (1.0, 1.0), (1.0, 3.0), (0.0, 1.0))
"""(ranker weight, source weight) of the blends tried; the last is the source alone."""


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
    """

    names: tuple[str, ...]
    features: Floats
    labels: Mask
    query_rows: NDArray[np.int64]
    item_rows: ItemRows
    ideal: NDArray[np.float64]
    recall: float

    @property
    def fresh(self) -> Mask:
        """bool (n_queries,): who acts just now; nobody where order is not used."""
        fresh = np.zeros(len(self.ideal), dtype=bool)
        if FRESH in self.names:
            fresh[self.query_rows[self.features[:, self.names.index(FRESH)] > 0]] = True
        return fresh

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

    def ndcg(self, scores: NDArray[np.floating], among: Mask | None = None) -> float:
        """NDCG@10 of these candidates in the order of scores (ties as retrieved), over queries with a relevant item.

        Args:
            among: bool (n_queries,), only these queries; ``None`` = all.
        """
        order = np.lexsort((-scores, self.query_rows))
        first = np.searchsorted(self.query_rows, self.query_rows)  # rows of a query are contiguous, sorted or not
        places = np.arange(len(order)) - first
        hit = self.labels[order] & (places < K)
        gains = np.bincount(self.query_rows[hit], weights=1 / np.log2(places[hit] + 2), minlength=len(self.ideal))
        asked = self.ideal > 0 if among is None else (self.ideal > 0) & among
        return float((gains[asked] / self.ideal[asked]).mean()) if asked.any() else 0.0


@dataclass(frozen=True)
class Choice:
    """What validation decided.

    Attributes:
        blend: (source feature, ranker weight, source weight) for all queries, or for those who have been away and those
            who act just now; ``None`` = fusion answers.
        n_trees: of the ranker; 0 = none.
        record: figures behind it.
    """

    blend: tuple[tuple[str, float, float], ...] | None
    n_trees: int
    record: dict[str, Any]


def shift_rows(first: FirstStage, names: tuple[str, ...], shift: Shift, n: int, filter_seen: bool) -> Rows:
    """Ask the first stage what it would have proposed, by the code that answers, and label it."""
    relevant, n_items = shift.relevant, shift.history.n_items
    wanted = np.repeat(np.arange(len(relevant)), relevant.counts) * n_items + relevant.item_rows
    features, labels, query_rows, item_rows = [], [], [], []
    for start, queries in shift.queries.blocks(QUERIES_AT_ONCE):
        allowed = shift.allowed(start, start + len(queries), filter_seen)
        candidates = retrieve(first.sources, first.fallback, queries, allowed, n, first.features.weights_of(queries))
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
        names, np.concatenate(features), found, np.concatenate(query_rows), np.concatenate(item_rows), ideal, recall
    )


def sampled(rows: Rows, negatives: int, rng: np.random.Generator) -> tuple[Floats, Mask]:
    """All positives and some unlabelled candidates of each query that has a positive."""
    has_positive = np.zeros(len(rows.ideal), dtype=bool)
    has_positive[rows.query_rows[rows.labels]] = True
    sizes = np.bincount(rows.query_rows, minlength=len(rows.ideal))
    share = negatives / np.maximum(sizes, 1)[rows.query_rows] if negatives else np.inf
    keep = has_positive[rows.query_rows] & (rows.labels | (rng.random(len(rows.labels)) < share))
    return rows.features[keep], rows.labels[keep]


def choose_ranker(early: list[Rows], last: Rows, config: Config) -> Choice:
    """Fit on the early shifts; size, blend and whether to answer at all by NDCG@10.

    The size is chosen on the last shift. Blend and gate are chosen on it and on the one before, each with the margins
    of trees that did not learn from it: one shift alone may hold hardly anybody who was away.
    """
    margins, n_trees = _margins(early, last, config)
    judged = last if margins is None or len(margins) == len(last.labels) else last.followed_by(early[-1])
    sources = {n: judged.features[:, i].astype(np.float64) for i, n in enumerate(judged.names) if n.endswith("_z")}
    fusion = judged.ndcg(judged.features[:, judged.names.index("fusion")])
    record: dict[str, Any] = {
        "validation": {"fusion": fusion} | {f"source {name[:-2]}": judged.ndcg(z) for name, z in sources.items()},
        "oracle": judged.ndcg(judged.labels.astype(np.float64)),
        "features": list(judged.names),
    }
    if margins is None:
        return Choice(None, 0, record | {"why": "the training shifts have nothing to tell candidates apart by"})
    record["validation"]["trees"] = judged.ndcg(margins)
    kinds = kinds_of_query(judged)
    parts, tried = zip(*(_best_blend(judged, margins, sources, kind) for kind in kinds), strict=True)
    record["blends"] = list(tried)
    blended = np.zeros(len(margins))
    for (source, w, v), kind in zip(parts, kinds, strict=True):
        blended = np.where(kind[judged.query_rows], w * margins + v * sources[source], blended)
    record["validation"]["blend"] = judged.ndcg(blended)
    if record["validation"]["blend"] <= fusion:
        return Choice(None, n_trees, record | {"why": "the trained ranker did not beat fusion on the last shifts"})
    if len(parts) == 1 and not parts[0][1]:
        source = parts[0][0]
        record |= {"ranker": f"source {source[:-2]}", "why": "one source alone was best on the last shifts"}
        return Choice(parts, 0, record)
    named = [{"trees": w, source: v} for source, w, v in parts]
    record |= {"ranker": "trees", "trees": n_trees, "blend": named[0] if len(named) == 1 else named}
    return Choice(parts, n_trees, record)


def _margins(early: list[Rows], last: Rows, config: Config) -> tuple[NDArray[np.float64] | None, int]:
    """What trees say of the rows of the last shift, then of the one before; and how many trees.

    ``None`` where the early shifts teach nothing; only the last shift's where what is left without the one before does.
    """
    trees = _fit(early, config, config.ranking.trees.max_trees)
    if trees is None:
        return None, 0
    n_trees = best_size(trees, last.features, last.ndcg, config.ranking.trees.step)
    margins = first_trees(trees, n_trees).score(last.features)
    without = _fit([*early[:-1], last], config, n_trees)
    return (margins if without is None else np.append(margins, without.score(early[-1].features))), n_trees


def kinds_of_query(rows: Rows) -> list[Mask]:
    """Who has been away and who acts just now, if both are many enough to choose by; else all as one."""
    fresh = rows.fresh
    kinds = [~fresh, fresh]
    if all(int((rows.ideal[kind] > 0).sum()) >= FEWEST_OF_A_KIND for kind in kinds):
        return kinds
    return [np.ones(len(fresh), dtype=bool)]


def _best_blend(
    last: Rows, margins: NDArray[np.float64], sources: dict[str, NDArray[np.float64]], kind: Mask
) -> tuple[tuple[str, float, float], dict[str, float]]:
    """The blend of the trees with the source that is best alone, for one kind of query; and every one tried."""
    source = max(sources, key=lambda name: last.ndcg(sources[name], kind))
    tried = {(w, v): last.ndcg(w * margins + v * sources[source], kind) for w, v in WEIGHTS}
    best = max(tried, key=lambda weights: tried[weights])
    return (source, *best), {f"{w} x trees + {v} x {source}": figure for (w, v), figure in tried.items()}


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
    parts = [sampled(one, config.ranking.trees.negatives, rng) for one in rows]
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
