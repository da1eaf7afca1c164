"""Stage 1 fitted and its settings chosen on one log."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from shortlist.config import load_config
from shortlist.data.dataset import Dataset
from shortlist.data.synthetic import chain, shop, two_tastes
from shortlist.ranking.bias import RatingBias
from shortlist.retrieval.item_item import ItemItem
from shortlist.stages import stored_queries
from shortlist.training import sources
from shortlist.training.recipes import RECIPES
from shortlist.training.retrieval.history_tower import fit_history_tower
from shortlist.training.retrieval.sequence import fit_sequence
from shortlist.training.schedule import train
from shortlist.training.shifts import make_shifts
from shortlist.training.sources import choose, fit_first_stage, fusion_weights, make_plan, source_ndcg

RETRIEVAL = {
    "ease": {"regularisation": [50.0, 500.0], "decay": [1.0, 0.5]},
    "covisitation": {"window": [1, 20], "popularity_power": [0.0], "decay": [1.0, 0.3]},
    "popularity": {"recent": [7, 30], "half_life": [30.0]},
}
CONFIG = load_config({"preset": "fast", "retrieval": RETRIEVAL})
SEQUENCE = RETRIEVAL | {
    "sources": ["popularity", "sequence"],
    "sequence": {"dimension": 8, "blocks": 1, "heads": 1, "epochs": 3, "max_length": 10},
    "history_tower": {"dimension": 8, "epochs": 3, "max_length": 10},
}


@pytest.fixture(scope="module")
def chosen():
    dataset = chain(n_users=100)
    plan = make_plan(dataset, CONFIG, "next")
    shifts = make_shifts(dataset.log(), "next", 2, 0, True)
    return dataset, shifts, choose(plan, shifts[:1], True)


def test_every_setting_is_tried_once_and_the_best_is_kept(chosen):
    _, shifts, plan = chosen
    tried = [trial["source"] for trial in plan.trials]
    counts = {name: tried.count(name) for name in plan.source_names}
    expected = {"popularity": 1, "popularity_decayed": 1, "popularity_recent": 2, "ease": 4, "covisitation": 4}
    assert counts == expected
    for name, settings in plan.chosen.items():
        best = max(trial["ndcg_at_10"] for trial in plan.trials if trial["source"] == name)
        source = RECIPES[name].fit(plan, shifts[0].history, settings)
        assert source_ndcg(source, shifts[0], True)["ndcg_at_10"] == pytest.approx(best, abs=1e-12)


def test_of_a_walk_only_the_last_step_matters(chosen):
    _, _, plan = chosen
    assert plan.chosen["covisitation"]["decay"] == 0.3
    assert plan.chosen["ease"]["decay"] == 0.5


def test_a_trial_is_the_source_that_its_settings_give(chosen):
    _, shifts, plan = chosen
    log = shifts[0].history
    for name in plan.source_names:
        for settings, source in RECIPES[name].variants(plan, log):
            fitted = RECIPES[name].fit(plan, log, settings or plan.chosen[name])
            queries = shifts[0].queries.block(0, 20)
            one, other = fitted.score_catalogue(queries), source.score_catalogue(queries)
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_without_order_nothing_depends_on_it():
    dataset = two_tastes()
    plan = make_plan(dataset, CONFIG, "random")
    shifts = make_shifts(dataset.log(), "random", 2, 0, True)
    plan = choose(plan, shifts[:2], True)
    assert plan.source_names == ("popularity", "ease", "covisitation")
    assert set(plan.left_out) == {"popularity_decayed", "popularity_recent", "repeats"}
    assert {trial["settings"].get("decay", 1.0) for trial in plan.trials} == {1.0}
    assert plan.chosen["covisitation"]["window"] == 0
    first = fit_first_stage(plan, dataset.log())
    assert first.features.similarity is None


def test_all_parts_share_one_table_of_counts(chosen):
    dataset, _, plan = chosen
    first = fit_first_stage(plan, dataset.log())
    counts = {id(source.item_counts) for source in first.sources if not isinstance(source, ItemItem)}
    assert counts == {id(first.fallback.item_counts)} == {id(first.features.item_counts)}


def test_votes_follow_the_figures(chosen):
    _, _, plan = chosen
    away, fresh = fusion_weights(plan)
    assert away == fresh  # everybody is asked just after an event
    weights = dict(zip(plan.source_names, fresh, strict=True))
    assert max(weights.values()) == weights["covisitation"] == 1
    assert 0 < weights["popularity"] < 0.9
    assert fusion_weights(make_plan(chain(), CONFIG, "next")) == ()


def test_those_who_were_away_and_those_who_act_have_votes_of_their_own(chosen):
    _, _, plan = chosen
    trials = [
        {"source": name, "settings": {}, "ndcg_at_10": 0.2, "ndcg_away": away, "ndcg_fresh": fresh}
        for name, away, fresh in zip(
            plan.source_names, (0.4, 0.2, 0.2, 0.1, 0.1), (0.1, 0.1, 0.1, 0.5, 0.4), strict=True
        )
    ]
    nothing = {name: {} for name in plan.source_names}
    tried_in_vain = [trial | {"settings": {"decay": 0.5}, "ndcg_away": 0.9, "ndcg_fresh": 0.9} for trial in trials]
    weights = fusion_weights(replace(plan, chosen=nothing, trials=[*tried_in_vain, *trials]))
    assert weights == ((1.0, 0.125, 0.125, 0.015625, 0.015625), (0.008, 0.008, 0.008, 1.0, 0.512))
    assert len(fusion_weights(replace(plan, chosen=nothing, trials=trials, order=False))) == 1


def test_the_figures_of_each_kind_are_those_of_its_queries(chosen):
    _, shifts, plan = chosen
    shift = shifts[0]
    source = RECIPES["covisitation"].fit(plan, shift.history, plan.chosen["covisitation"])
    queries, half = shift.queries, np.arange(len(shift.queries)) < 40
    away = replace(shift, queries=replace(queries, at=np.where(half, queries.at + 10**7, queries.at)))
    assert away.fresh.tolist() == (~half).tolist()
    figures = source_ndcg(source, away, True)
    assert figures["ndcg_at_10"] * len(half) == pytest.approx(
        figures["ndcg_away"] * half.sum() + figures["ndcg_fresh"] * (~half).sum()
    )
    assert figures["ndcg_away"] != figures["ndcg_fresh"]
    few = replace(
        shift, queries=replace(queries, at=np.where(np.arange(len(half)) < 29, queries.at + 10**7, queries.at))
    )
    figures = source_ndcg(source, few, True)
    assert figures["ndcg_away"] == figures["ndcg_at_10"] != figures["ndcg_fresh"]


def test_too_many_queries_are_sampled(chosen, monkeypatch):
    _, shifts, _ = chosen
    monkeypatch.setattr(sources, "QUERIES_TO_CHOOSE_BY", 30)
    sample = sources.sampled_queries(shifts[0], 0, sources.QUERIES_TO_CHOOSE_BY, sources.CELLS_TO_CHOOSE_BY)
    assert len(sample.queries) == len(sample.relevant) == 30
    whole, some = (dict(labels_by_user(shift)) for shift in (shifts[0], sample))
    assert some == {user: whole[user] for user in some}


def labels_by_user(shift):
    parts = np.split(shift.relevant.item_rows, shift.relevant.offsets[1:-1])
    return [(user, part.tolist()) for user, part in zip(shift.queries.user_rows.tolist(), parts, strict=True)]


def test_small_logs_take_the_first_setting(chosen):
    dataset, _, _ = chosen
    plan = make_plan(dataset, CONFIG, "next")
    first = fit_first_stage(plan, dataset.log())
    by_name = {source.name: source for source in first.sources}
    assert by_name["ease"].decay == 1.0
    assert by_name["popularity_recent"].window == 7


@pytest.mark.parametrize("name", ["sequence", "history_tower"])
def test_a_history_model_is_fitted_once_voted_for_and_refitted_with_its_epochs(name):
    """Its figure gives it a vote; the shifts share one fit; the final fit runs so many epochs on everything."""
    config = load_config({"preset": "fast", "retrieval": SEQUENCE | {"sources": ["popularity", name]}})
    dataset = chain(n_users=100)
    plan = make_plan(dataset, config, "next")
    shifts = make_shifts(dataset.log(), "next", 2, 0, True)
    plan = choose(plan, shifts[:1], True)
    epochs = plan.chosen[name]["epochs"]
    assert 1 <= epochs <= 3
    assert [trial["source"] for trial in plan.trials] == ["popularity", name]
    assert len(fusion_weights(plan)[0]) == 2
    frozen = [fit_first_stage(plan, shift.history).sources[1] for shift in shifts]
    assert frozen[0] is frozen[1] is plan.frozen[name]
    final = fit_first_stage(replace(plan, frozen={}), dataset.log()).sources[1]
    if name == "sequence":
        alone, n = fit_sequence(dataset.log(), config.retrieval.sequence, seed=config.seed, epochs=int(epochs))
    else:
        alone, n = fit_history_tower(
            dataset.log(), config.retrieval.history_tower, seed=config.seed, epochs=int(epochs)
        )
    assert n == epochs
    assert final.item_vectors.tobytes() == alone.item_vectors.tobytes() != frozen[0].item_vectors.tobytes()
    assert ("sequence" in make_plan(dataset, config, "random").left_out) == (name == "sequence")


def test_the_history_tower_reads_attributes_and_without_order_no_order():
    retrieval = {"sources": ["history_tower"], "history_tower": SEQUENCE["history_tower"]}
    dataset = two_tastes()
    for target in ("window", "random"):
        plan = make_plan(dataset, load_config({"preset": "fast", "retrieval": retrieval}), target)
        (tower,) = fit_first_stage(plan, dataset.log()).sources
        (other,) = fit_first_stage(replace(plan, items=dataset.items.select("item_id")), dataset.log()).sources
        assert np.abs(tower.item_vectors - other.item_vectors).max() > 0.01
        assert tower.user_vectors.any()
        assert not fit_first_stage(replace(plan, user_groups=()), dataset.log()).sources[0].user_vectors.any()
        assert (len(tower.gaps), tower.distances.any()) == ((32, True) if plan.order else (1, False))


CLOSED_FORMS = load_config(
    {
        "retrieval": {
            "sources": ["als", "content"],
            "als": {"regularisation": [0.1, 0.4], "decay": [1.0, 0.5], "fit_decay": [1.0, 0.9], "dimension": 4},
            "content": {"decay": [1.0, 0.5], "dimension": 4},
        }
    }
)


def test_als_and_content_are_tried_with_every_setting_and_refitted_with_the_best():
    dataset = two_tastes()
    plan = make_plan(dataset, CLOSED_FORMS, "next")
    shifts = make_shifts(dataset.log(), "next", 2, 0, True)
    chosen = choose(plan, shifts[:1], True)
    tried = [trial["source"] for trial in chosen.trials]
    assert (tried.count("als"), tried.count("content")) == (8, 2)
    for name in ("als", "content"):
        for settings, source in RECIPES[name].variants(plan, shifts[0].history):
            again = RECIPES[name].fit(plan, shifts[0].history, settings)
            queries = shifts[0].queries.block(0, 20)
            assert again.score_catalogue(queries).tobytes() == source.score_catalogue(queries).tobytes()
    first = fit_first_stage(chosen, dataset.log())
    assert [source.name for source in first.sources] == ["als", "content"]
    assert [source.decay for source in first.sources] == [chosen.chosen[name]["decay"] for name in ("als", "content")]
    random = make_plan(dataset, CLOSED_FORMS, "random")
    assert RECIPES["als"].grid(random) == [
        {"regularisation": regularisation, "fit_decay": 1.0, "decay": 1.0} for regularisation in (0.1, 0.4)
    ]
    assert RECIPES["content"].grid(random) == [{"decay": 1.0}]


def test_without_attributes_there_is_no_content():
    dataset = chain()
    plan = make_plan(dataset, CLOSED_FORMS, "next")
    assert plan.source_names == ("als",)
    assert "no attribute" in plan.left_out["content"]


def test_repeats_rank_the_own_items_by_how_often_and_how_lately():
    events = pl.DataFrame({"user_id": [1] * 4 + [2], "item_id": ["a", "b", "b", "c", "d"], "timestamp": range(5)})
    dataset = Dataset.from_frames(events)
    config = load_config({"retrieval": {"sources": ["repeats"], "repeats": {"decay": [0.9]}}, "filter_seen": False})
    plan = make_plan(dataset, config, "next")
    source = RECIPES["repeats"].fit(plan, dataset.log(), {"decay": 0.9})
    queries = stored_queries(dataset.log(), np.array([0], dtype=np.int32), np.array([9]))
    ids = dataset.items["item_id"]
    (proposed,) = source.propose(queries, 10)
    assert ids.gather(proposed).to_list() == ["b", "c", "a"]
    assert source.score_catalogue(queries)[0, proposed].tolist() == pytest.approx([0.9 + 0.81, 1.0, 0.729])


def test_a_shop_gets_its_repeats():
    model = train(shop(), "next", load_config({"ranking": {"ranker": "fusion"}}))
    assert "repeats" in {source.name for source in model.first.sources}
    assert not model.filter_seen


def test_too_many_ratings_for_the_sampler_are_predicted_by_biases():
    few = load_config({"ranking": {"ranker": "fusion", "rating_factorization": {"most_ratings": 10}}})
    model = train(two_tastes(), "window", few)
    assert model.record["rating_model"] == "bias"
    assert isinstance(model.first.features.rating_model, RatingBias)
