"""What each source adds to the candidates that nothing else gives, and what cheap extras would add.

    python benchmarks/marginal_recall.py --data FOLDER [--edition 100k] [--protocol next]

Looks at the last shift of the training part only, the one that the schedule validates on: the settings are chosen on
the earliest one. Each source of the preset is left out once; each extra (made here, not part of the package) is put in
once. Two figures: recall of the union of all proposals, and of the 200 candidates that the weighted fusion keeps. The
last line is JSON.
"""

import argparse
import json

import numpy as np
import polars as pl
import scipy.sparse as sp

import shortlist as sl
from shortlist.config import load_config
from shortlist.data.log import Log
from shortlist.data.split import split
from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.merge import retrieve
from shortlist.retrieval.popularity import Popularity
from shortlist.stages import Queries, Source
from shortlist.training.retrieval.covisitation import count_covisits, normalise, strongest_followers
from shortlist.training.retrieval.ease import interaction_matrix
from shortlist.training.shifts import Shift, make_shifts
from shortlist.training.sources import choose, fit_first_stage, make_plan, sampled_queries, source_ndcg

N = 200
NEIGHBOURS = 512
TARGETS = {"time": "window", "next": "next", "random": "random"}


def rp3beta(log: Log) -> Source:
    """Paudel et al. 2017: three random steps from the user's items, popular targets held back by a power."""
    x = interaction_matrix(log.positives())
    by_user = sp.diags(1 / np.maximum(np.asarray(x.sum(axis=1)).ravel(), 1)) @ x
    by_item = sp.diags(1 / np.maximum(np.asarray(x.sum(axis=0)).ravel(), 1)) @ x.T
    steps = sp.csr_matrix(by_item @ by_user)
    steps.setdiag(0)
    popularity = np.maximum(np.asarray(x.sum(axis=0)).ravel(), 1)
    held_back = sp.csr_matrix(steps @ sp.diags(popularity**-0.6), dtype=np.float32)
    return ItemItem.of("rp3beta", strongest_followers(held_back, NEIGHBOURS))


def both_ways(log: Log) -> Source:
    """What is taken up near what, before or after, within three events: session co-visitation without direction."""
    counts = count_covisits(log, 3)
    matrix = normalise(sp.csr_matrix(counts + counts.T), 0.25)
    return ItemItem.of("covisitation_both_ways", strongest_followers(matrix, NEIGHBOURS), 0.8)


class UserKnn(Source):
    """The items of the hundred users with the greatest cosine to the history."""

    name = "user_knn"

    def __init__(self, log: Log) -> None:
        self.x = interaction_matrix(log.positives())
        self.norms = np.sqrt(np.maximum(np.asarray(self.x.sum(axis=1)).ravel(), 1))

    def score_catalogue(self, queries: Queries) -> np.ndarray:
        history = queries.history_matrix(self.x.shape[1])
        history.data[:] = 1
        near = (history @ self.x.T).toarray() / self.norms  # (n, n_users)
        rows = np.arange(len(queries))[queries.user_rows >= 0]
        near[rows, queries.user_rows[rows]] = 0
        weakest = np.partition(near, -100, axis=1)[:, [-100]] if near.shape[1] > 100 else 0
        near[near < weakest] = 0
        scores = (sp.csr_matrix(near) @ self.x).toarray().astype(np.float32)
        scores[scores == 0] = np.nan
        return scores


class Segment(Source):
    """Popularity among the users of the same gender and age, where those are known."""

    name = "popularity_in_segment"

    def __init__(self, log: Log, segments: np.ndarray) -> None:
        self.segments = segments
        x = interaction_matrix(log.positives())
        member = sp.csr_matrix((np.ones(len(segments)), (segments, np.arange(len(segments)))))
        self.counts = (member @ x).toarray().astype(np.float32)

    def score_catalogue(self, queries: Queries) -> np.ndarray:
        scores = self.counts[self.segments[np.maximum(queries.user_rows, 0)]].copy()
        scores[(scores == 0) | (queries.user_rows < 0)[:, None]] = np.nan
        return scores


def recall(
    sources: tuple[Source, ...], fallback: Source, shift: Shift, figures: dict[str, float]
) -> tuple[float, float]:
    """Of the union of all proposals, and of the candidates."""
    votes = (np.array([figures[source.name] for source in sources]) / max(figures.values())) ** 3
    in_union = in_candidates = 0
    wanted = np.repeat(np.arange(len(shift.relevant)), shift.relevant.counts)
    pairs = wanted * shift.history.n_items + shift.relevant.item_rows
    for start, queries in shift.queries.blocks(256):
        allowed = shift.allowed(start, start + len(queries), True)
        weights = np.tile(votes, (len(queries), 1))
        found = retrieve(sources, fallback, queries, allowed, N, weights)
        in_candidates += np.isin((found.query_rows + start) * shift.history.n_items + found.item_rows, pairs).sum()
        proposed = np.zeros_like(allowed)
        for source in sources:
            for q, items in enumerate(source.propose(queries, N, allowed)):
                proposed[q, items] = True
        rows, items = np.divmod(pairs, shift.history.n_items)
        here = (rows >= start) & (rows < start + len(queries))
        in_union += proposed[rows[here] - start, items[here]].sum()
    return in_union / len(pairs), in_candidates / len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--edition", choices=("100k", "1m"), default="100k")
    parser.add_argument("--protocol", choices=tuple(TARGETS), default="next")
    parser.add_argument("--preset", default="default")
    arguments = parser.parse_args()
    train = split(sl.movielens(arguments.edition, arguments.data), arguments.protocol).train
    target = TARGETS[arguments.protocol]
    config = load_config({"preset": arguments.preset, "ranking": {"rating_model": "none"}})
    shifts = make_shifts(train.log(), target, config.ranking.shifts, 0, True)
    plan = choose(make_plan(train, config, target), shifts[:2] if target == "random" else shifts[:1], True)
    shift = sampled_queries(shifts[-1], 0, 2_000, 40_000_000)
    sources = fit_first_stage(plan, shift.history).sources
    fallback = next(s for s in sources if isinstance(s, Popularity))
    extras: list[Source] = [rp3beta(shift.history), UserKnn(shift.history)]
    if plan.order:
        extras.append(both_ways(shift.history))
    if {"gender", "age"} <= set(train.users.columns):
        segment = pl.concat_str("gender", pl.col("age") // 10).rank("dense") - 1
        extras.append(Segment(shift.history, train.users.select(segment).to_series().cast(pl.Int64).to_numpy()))
    figures = {s.name: source_ndcg(s, shift, True)["ndcg_at_10"] for s in (*sources, *extras)}
    union, candidates = recall(sources, fallback, shift, figures)
    rows = [("all of the preset", None, union, candidates)]
    for source in sources:
        others = tuple(other for other in sources if other is not source)
        rows.append((f"without {source.name}", figures[source.name], *recall(others, fallback, shift, figures)))
    rows += [
        (f"with {extra.name}", figures[extra.name], *recall((*sources, extra), fallback, shift, figures))
        for extra in extras
    ]
    print(f"{'sources':32} {'NDCG@10 alone':>14} {'union':>8} {'of 200':>8}")
    for name, figure, of_union, of_candidates in rows:
        alone = "" if figure is None else f"{figure:.3f}"
        print(f"{name:32} {alone:>14} {of_union:8.3f} {of_candidates:8.3f}  {of_candidates - candidates:+.3f}")
    print(json.dumps({"edition": arguments.edition, "protocol": arguments.protocol, "rows": rows}))


if __name__ == "__main__":
    main()
