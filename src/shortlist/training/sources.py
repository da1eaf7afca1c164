"""Stage 1 for one log: choose the settings of each source on a shift, then fit them."""

from dataclasses import replace
from typing import Any

import numpy as np

from shortlist.config import Config, Target
from shortlist.data.attributes import encode_attributes
from shortlist.data.dataset import REPEATS, Dataset
from shortlist.data.log import Log
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.metrics import mean_over_users, ndcg_at_k
from shortlist.first_stage import FirstStage
from shortlist.ranking.bias import RatingBias, RatingModel
from shortlist.ranking.features import Features, ItemFacts
from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.stages import Source
from shortlist.training.plan import Plan, Settings
from shortlist.training.ranking.rating_features import attribute_groups
from shortlist.training.recipes import RECIPES
from shortlist.training.shifts import Shift

QUERIES_TO_CHOOSE_BY = 1_000
CELLS_TO_CHOOSE_BY = 10_000_000
"""Queries times items: every query scores the whole catalogue, so a large catalogue is asked fewer of them."""
KINDS_OF_QUERY = ("ndcg_away", "ndcg_fresh")
FEWEST_OF_A_KIND = 30
BOUNDS_OF_NEW = 0.01, 0.5


def make_plan(dataset: Dataset, config: Config, target: Target) -> Plan:
    """The parts of the plan that follow from the data alone."""
    order = target != "random"
    attributes, numbers, names = encode_attributes(dataset.items)
    plan = Plan(
        config,
        order,
        order and dataset.time_kind == "seconds",
        dataset.repeat_share < REPEATS if config.filter_seen is None else config.filter_seen,
        attributes,
        numbers,
        names,
        len(dataset.items),
        dataset.items,
    )
    if "history_tower" in config.retrieval.sources or config.ranking.rating_model == "factorization":
        groups = attribute_groups(dataset.users, "user_id"), attribute_groups(dataset.items, "item_id")
        plan = replace(plan, user_groups=groups[0], item_groups=groups[1])
    return _with_sources(plan)


def _with_sources(plan: Plan) -> Plan:
    """The configured sources that the data allow; popularity where there is none."""
    refused = {name: RECIPES[name].refused(plan) for name in plan.config.retrieval.sources}
    names = tuple(name for name, why in refused.items() if why is None)
    return replace(
        plan,
        source_names=names or ("popularity",),
        left_out={name: why for name, why in refused.items() if why is not None},
    )


def choose(plan: Plan, shifts: list[Shift], filter_seen: bool) -> Plan:
    """The plan with each source's settings chosen by its NDCG@10 alone, averaged over shifts.

    Where order is used, the sources that are fitted only once are frozen in the plan, for the shifts that come after.
    """
    trials: list[dict[str, Any]] = []
    frozen: dict[str, Source] = {}
    best: dict[str, float] = {}
    for shift in shifts:
        sample = sampled_queries(shift, plan.config.seed, QUERIES_TO_CHOOSE_BY, CELLS_TO_CHOOSE_BY)
        for name in plan.source_names:
            for settings, source in RECIPES[name].variants(plan, shift.history):
                figures = source_ndcg(source, sample, filter_seen)
                if RECIPES[name].frozen and figures["ndcg_at_10"] > best.get(name, -1):
                    frozen[name], best[name] = source, figures["ndcg_at_10"]
                trials.append({"source": name, "settings": settings, "shift": shift.name} | figures)
    chosen = {name: _best(name, trials) for name in plan.source_names}
    return replace(
        plan, chosen=chosen, trials=trials, frozen=frozen if plan.order else {}, new_share=share_of_new(shifts)
    )


def share_of_new(shifts: list[Shift]) -> float:
    """How much of what users took up no event had touched before, averaged over shifts; within bounds.

    The least is for items added later, so that they are candidates of those whom they suit best where new items hardly
    matter; it costs MovieLens nothing that could be measured (docs/sources.md).
    """
    shares = []
    for shift in shifts:
        touched = np.bincount(shift.history.positives().item_rows, minlength=shift.history.n_items) > 0
        shares.append(1 - touched[shift.relevant.item_rows].mean())
    return round(float(np.clip(np.mean(shares), *BOUNDS_OF_NEW)), 4)


def _best(name: str, trials: list[dict[str, Any]]) -> Settings:
    """The settings with the highest sum of figures; the earlier ones among equals."""
    tried = [trial for trial in trials if trial["source"] == name]
    distinct: list[Settings] = []
    for trial in tried:
        if trial["settings"] not in distinct:
            distinct.append(trial["settings"])
    return max(distinct, key=lambda s: sum(trial["ndcg_at_10"] for trial in tried if trial["settings"] == s))


def fusion_weights(plan: Plan) -> tuple[tuple[float, ...], ...]:
    """The vote of each source in the fusion: the cube of the NDCG@10 it was chosen by; all alike without figures.

    One row for users who have been away, one for those who act just now; one for all where order is not used.

    Measured on MovieLens 100K (last shift, preset ``default``), recall of 200 candidates, of 100 in brackets, votes
    alike -> by figure -> by its cube: random .712 (.533) -> .726 (.548) -> .735 (.559); next .794 (.633) -> .821 (.691)
    -> .820 (.701); window .529 (.346) -> .540 (.350) -> .544 (.356). Another constant than 60 changes less.
    """
    rows = []
    for kind in KINDS_OF_QUERY if plan.order else ("ndcg_at_10",):
        figures = [_chosen_figure(plan, name, kind) for name in plan.source_names]
        if max(figures) <= 0:
            return ()
        rows.append(tuple(round((figure / max(figures)) ** 3, 6) for figure in figures))
    return tuple(rows)


def _chosen_figure(plan: Plan, name: str, kind: str) -> float:
    """Of a source with the settings chosen for it, averaged over the shifts they were tried on; 0 without any."""
    settings = plan.chosen.get(name)
    figures = [trial[kind] for trial in plan.trials if trial["source"] == name and trial["settings"] == settings]
    return float(np.mean(figures)) if figures else 0.0


def sampled_queries(shift: Shift, seed: int, most: int, most_cells: int) -> Shift:
    """The shift with at most so many of its queries, drawn at random, that the work stays bounded.

    Args:
        most: number of queries.
        most_cells: number of queries times number of items; 200 queries stay in any case.
    """
    n = min(most, max(200, most_cells // shift.history.n_items))
    if len(shift.queries) <= n:
        return shift
    drawn = np.sort(np.random.default_rng(seed).permutation(len(shift.queries))[:n])
    relevant = shift.relevant
    new_row = np.full(len(shift.queries), -1)
    new_row[drawn] = np.arange(len(drawn))
    rows = np.repeat(np.arange(len(relevant)), relevant.counts)
    keep = new_row[rows] >= 0
    pairs = Relevant.from_pairs(new_row[rows[keep]], relevant.item_rows[keep], len(drawn))
    return replace(shift, queries=shift.queries.take(drawn), relevant=pairs, users=shift.users[drawn])


def source_ndcg(source: Source, shift: Shift, filter_seen: bool, k: int = 10) -> dict[str, float]:
    """NDCG@k of the source's own proposals on a shift, averaged over its queries.

    Returns:
        ``ndcg_at_10`` of all; ``ndcg_away`` and ``ndcg_fresh`` of those who have been away and who act just now: the
        figure of all where fewer than 30 are of that kind.
    """
    ranked = np.full((len(shift.queries), k), -1, dtype=np.int32)
    for start, queries in shift.queries.blocks(256):
        allowed = shift.allowed(start, start + len(queries), filter_seen)
        for q, items in enumerate(source.propose(queries, k, allowed), start=start):
            ranked[q, : len(items)] = items
    values = ndcg_at_k(ranked, shift.relevant, k)
    overall = float(np.nan_to_num(mean_over_users(values).mean))
    figures = {"ndcg_at_10": overall}
    for kind, mask in zip(KINDS_OF_QUERY, (~shift.fresh, shift.fresh), strict=True):
        mean, n = mean_over_users(values[mask])
        figures[kind] = mean if n >= FEWEST_OF_A_KIND else overall
    return figures


def freeze_ratings(plan: Plan, log: Log) -> Plan:
    """The plan with the factorization machine, if it has one, fitted once for all the shifts from this log on."""
    slow = plan.config.ranking.rating_model == "factorization"
    return replace(plan, frozen_ratings=_rating_model(plan, log) if slow else None)


def fit_first_stage(plan: Plan, log: Log) -> FirstStage:
    """Every source of the plan, the fallback and the features, fitted on a log and on nothing else."""
    sources = tuple(
        plan.frozen[name]
        if name in plan.frozen
        else RECIPES[name].fit(plan, log, plan.chosen.get(name) or RECIPES[name].grid(plan)[0])
        for name in plan.source_names
    )
    counts = next((s.item_counts for s in sources if isinstance(s, Popularity)), None) or ItemCounts.of(log)
    sources = tuple(replace(s, item_counts=counts) if isinstance(s, Popularity) else s for s in sources)
    facts = ItemFacts.of(log, counts, plan.attributes, plan.numbers, plan.number_names)
    similarity = next((s for s in sources if isinstance(s, ItemItem) and s.name == "covisitation"), None)
    short = int(plan.chosen.get("popularity_recent", {}).get("window", 7))
    features = Features(
        tuple(source.name for source in sources),
        counts,
        facts,
        similarity if plan.order else None,
        plan.frozen_ratings or _rating_model(plan, log),
        short,
        4 * short,
        fusion_weights(plan),
    )
    return FirstStage(sources, Popularity("popularity", counts), features, plan.new_share)


def rating_kind(plan: Plan, log: Log) -> str:
    """What predicts ratings: the model asked for; ``bias`` where there are too many for it, ``none`` without any."""
    ranking = plan.config.ranking
    n_ratings = int((~np.isnan(log.ratings)).sum())
    if not n_ratings:
        return "none"
    too_many = ranking.rating_model == "factorization" and n_ratings > ranking.rating_factorization.most_ratings
    return "bias" if too_many else ranking.rating_model


def _rating_model(plan: Plan, log: Log) -> RatingModel | None:
    kind = rating_kind(plan, log)
    if kind == "none":
        return None
    if kind == "bias":
        return RatingBias.of(log)
    if kind == "factorization":
        from shortlist.training.ranking.rating_factorization import fit_rating_factorization

        return fit_rating_factorization(
            log,
            plan.config.ranking.rating_factorization,
            seed=plan.config.seed,
            user_attributes=plan.user_groups,
            item_attributes=plan.item_groups,
        )
    from shortlist.training.ranking.rating_network import fit_rating_network

    rated = log.take(~np.isnan(log.ratings))
    return fit_rating_network(rated, plan.config.ranking.rating_network, seed=plan.config.seed)
