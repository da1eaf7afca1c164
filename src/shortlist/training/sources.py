"""Stage 1 for one log: choose the settings of each source on a shift, then fit them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shortlist.cascade import FirstStage
from shortlist.config import Config, Target
from shortlist.data.attributes import encode_attributes
from shortlist.data.dataset import Dataset
from shortlist.data.log import Floats, Log
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.metrics import mean_over_users, ndcg_at_k
from shortlist.ranking.bias import RatingBias, RatingModel
from shortlist.ranking.features import Features, ItemFacts
from shortlist.retrieval.item_item import ItemItem, keep_strongest
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.stages import Source
from shortlist.training.ranking.rating_features import Groups, attribute_groups
from shortlist.training.retrieval.covisitation import count_covisits, fit_covisitation, normalise, strongest_followers
from shortlist.training.retrieval.ease import MAX_ITEMS, ease_weights, fit_ease, gram_matrix
from shortlist.training.shifts import Shift

QUERIES_TO_CHOOSE_BY = 1_000
CELLS_TO_CHOOSE_BY = 10_000_000
"""Queries times items: every query scores the whole catalogue, so a large catalogue is asked fewer of them."""
NEED_ORDER = ("popularity_decayed", "popularity_recent", "sequence")
NEURAL = ("two_tower", "sequence")
"""Fitted once, on the earliest shift, and not again from shift to shift: only the histories move on."""
KINDS_OF_QUERY = ("ndcg_away", "ndcg_fresh")
FEWEST_OF_A_KIND = 30
Settings = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """What is fitted, the same for every shift and for the final fit.

    Attributes:
        order: whether what came first is known and may be used.
        n_items: size of the catalogue.
        chosen: settings per source name.
        trials: every setting tried, with its validation figure: for the record.
        frozen: sources that are not fitted again from shift to shift; none in the plan of the final fit.
        frozen_ratings: the rating model, where it is not fitted again from shift to shift.
        user_groups, item_groups: the attributes as the factorization machine reads them.
    """

    config: Config
    order: bool
    seconds: bool
    attributes: Floats
    numbers: Floats
    number_names: tuple[str, ...]
    n_items: int
    chosen: dict[str, Settings] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)
    frozen: dict[str, Source] = field(default_factory=dict)
    frozen_ratings: RatingModel | None = None
    user_groups: Groups = ()
    item_groups: Groups = ()

    @property
    def left_out(self) -> dict[str, str]:
        """The configured sources that these data do not allow, and why."""
        reasons: dict[str, str] = {}
        if not self.order:
            reasons |= dict.fromkeys(NEED_ORDER, "the order of events is not known or not used")
        if self.n_items > MAX_ITEMS:
            reasons["ease"] = f"{self.n_items:,} items; its dense matrix has room for {MAX_ITEMS:,}"
        return {name: reasons[name] for name in self.config.retrieval.sources if name in reasons}

    @property
    def source_names(self) -> tuple[str, ...]:
        """The configured sources that these data allow; popularity where there is none."""
        allowed = tuple(name for name in self.config.retrieval.sources if name not in self.left_out)
        return allowed or ("popularity",)


def make_plan(dataset: Dataset, config: Config, target: Target) -> Plan:
    """The parts of the plan that follow from the data alone."""
    order = target != "random"
    attributes, numbers, names = encode_attributes(dataset.items)
    plan = Plan(config, order, order and dataset.time_kind == "seconds", attributes, numbers, names, len(dataset.items))
    if config.ranking.rating_model != "factorization":
        return plan
    groups = attribute_groups(dataset.users, "user_id"), attribute_groups(dataset.items, "item_id")
    return replace(plan, user_groups=groups[0], item_groups=groups[1])


def choose(plan: Plan, shifts: list[Shift], filter_seen: bool) -> Plan:
    """The plan with each source's settings chosen by its NDCG@10 alone, averaged over shifts.

    Where order is used, the neural sources fitted for it are frozen in the plan, for the shifts that come after.
    """
    trials: list[dict[str, Any]] = []
    neural: dict[str, Source] = {}
    for shift in shifts:
        sample = sampled_queries(shift, plan.config.seed, QUERIES_TO_CHOOSE_BY, CELLS_TO_CHOOSE_BY)
        for name in plan.source_names:
            for settings, source in _variants(name, plan, shift.history):
                if name in NEURAL:
                    neural[name] = source
                figures = source_ndcg(source, sample, filter_seen)
                trials.append({"source": name, "settings": settings, "shift": shift.name} | figures)
    chosen = {name: _best(name, trials) for name in plan.source_names}
    return replace(plan, chosen=chosen, trials=trials, frozen=neural if plan.order else {})


def _best(name: str, trials: list[dict[str, Any]]) -> Settings:
    """The settings with the highest sum of figures; the earlier ones among equals."""
    tried = [trial for trial in trials if trial["source"] == name]
    distinct: list[Settings] = []
    for trial in tried:
        if trial["settings"] not in distinct:
            distinct.append(trial["settings"])
    return max(distinct, key=lambda s: sum(trial["ndcg_at_10"] for trial in tried if trial["settings"] == s))


def fusion_weights(plan: Plan) -> tuple[tuple[float, ...], ...]:
    """The vote of each source in the fusion: in proportion to the NDCG@10 it was chosen by; none without figures.

    One row for users who have been away, one for those who act just now; one for all where order is not used.

    Measured on MovieLens (last shift, 200 candidates, alike -> weighted): recall .714 -> .732 (100K, random), .717 ->
    .764 (100K, next), .656 -> .724 (1M, next), .483 -> .477 (100K, window).
    """
    rows = []
    for kind in KINDS_OF_QUERY if plan.order else ("ndcg_at_10",):
        figures = [
            max([trial[kind] for trial in plan.trials if trial["source"] == name], default=0.0)
            for name in plan.source_names
        ]
        if min(figures) <= 0:
            return ()
        rows.append(tuple(round(figure / max(figures), 6) for figure in figures))
    return tuple(rows)


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


def _variants(name: str, plan: Plan, log: Log) -> Iterator[tuple[Settings, Source]]:
    """Every setting worth a trial, each with the source fitted by it; what they share is computed once."""
    retrieval = plan.config.retrieval
    if name == "popularity_decayed":
        counts = ItemCounts.of(log)
        for half_life in retrieval.popularity.half_life:
            yield {"half_life": half_life}, Popularity(name, counts, half_life=half_life)
    elif name == "popularity_recent":
        counts = ItemCounts.of(log)
        for window in retrieval.popularity.recent:
            yield {"window": window}, Popularity(name, counts, window=window)
    elif name == "ease":
        gram = gram_matrix(log.positives())
        for regularisation in retrieval.ease.regularisation:
            matrix = keep_strongest(ease_weights(gram, regularisation), retrieval.ease.neighbours)
            for decay in retrieval.ease.decay if plan.order else (1.0,):
                yield {"regularisation": regularisation, "decay": decay}, ItemItem.of(name, matrix, decay)
    elif name == "sequence":
        from shortlist.training.retrieval.sequence import fit_sequence

        encoder, epochs = fit_sequence(log, retrieval.sequence, seed=plan.config.seed, name=name)
        yield {"epochs": epochs}, encoder
    elif name == "covisitation":
        yield from _covisitation_variants(name, plan, log)
    else:
        yield {}, fit_source(name, {}, plan, log)


def _covisitation_variants(name: str, plan: Plan, log: Log) -> Iterator[tuple[Settings, Source]]:
    settings = plan.config.retrieval.covisitation
    for window in settings.window if plan.order else (0,):
        counts = count_covisits(log, window)
        for power in settings.popularity_power:
            matrix = strongest_followers(normalise(counts, power), settings.neighbours)
            for decay in settings.decay if plan.order else (1.0,):
                tried = {"window": window, "popularity_power": power, "decay": decay}
                yield tried, ItemItem.of(name, matrix, decay)


def fit_source(name: str, settings: Settings, plan: Plan, log: Log) -> Source:
    """One source, fitted on a log with the settings chosen for it."""
    retrieval = plan.config.retrieval
    if name == "popularity":
        return Popularity(name, ItemCounts.of(log))
    if name == "popularity_decayed":
        return Popularity(name, ItemCounts.of(log), half_life=settings["half_life"])
    if name == "popularity_recent":
        return Popularity(name, ItemCounts.of(log), window=settings["window"])
    if name == "ease":
        return fit_ease(
            log,
            regularisation=settings["regularisation"],
            decay=settings["decay"],
            neighbours=retrieval.ease.neighbours,
        )
    if name == "covisitation":
        return fit_covisitation(
            log,
            window=int(settings["window"]),
            popularity_power=settings["popularity_power"],
            decay=settings["decay"],
            neighbours=retrieval.covisitation.neighbours,
        )
    if name == "sequence":
        from shortlist.training.retrieval.sequence import fit_sequence

        epochs = int(settings["epochs"]) if "epochs" in settings else None
        return fit_sequence(log, retrieval.sequence, seed=plan.config.seed, epochs=epochs, name=name)[0]
    from shortlist.training.retrieval.two_tower import fit_two_tower

    return fit_two_tower(log.positives(), retrieval.two_tower, seed=plan.config.seed, name=name)


def default_settings(name: str, plan: Plan) -> Settings:
    """The first of the values to choose from: what is used where the log is too small to choose."""
    retrieval = plan.config.retrieval
    decay = {"decay": 1.0}
    if name == "popularity_decayed":
        return {"half_life": retrieval.popularity.half_life[0]}
    if name == "popularity_recent":
        return {"window": retrieval.popularity.recent[0]}
    if name == "ease":
        return {"regularisation": retrieval.ease.regularisation[0], "decay": retrieval.ease.decay[0]} | (
            {} if plan.order else decay
        )
    if name == "covisitation":
        settings = retrieval.covisitation
        window, power = settings.window[0] if plan.order else 0, settings.popularity_power[0]
        return {"window": window, "popularity_power": power, "decay": settings.decay[0]} | ({} if plan.order else decay)
    return {}


def freeze_ratings(plan: Plan, log: Log) -> Plan:
    """The plan with the factorization machine, if it has one, fitted once for all the shifts from this log on."""
    slow = plan.config.ranking.rating_model == "factorization"
    return replace(plan, frozen_ratings=_rating_model(plan, log) if slow else None)


def fit_first_stage(plan: Plan, log: Log) -> FirstStage:
    """Every source of the plan, the fallback and the features, fitted on a log and on nothing else."""
    sources = tuple(
        plan.frozen[name]
        if name in plan.frozen
        else fit_source(name, plan.chosen.get(name) or default_settings(name, plan), plan, log)
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
    return FirstStage(sources, Popularity("popularity", counts), features)


def _rating_model(plan: Plan, log: Log) -> RatingModel | None:
    wanted = plan.config.ranking.rating_model
    if wanted == "none" or np.isnan(log.ratings).all():
        return None
    if wanted == "bias":
        return RatingBias.of(log)
    if wanted == "factorization":
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
