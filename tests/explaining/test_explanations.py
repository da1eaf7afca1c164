"""Explanations of whole models: they sum, they name what is in the history, and they say how things are."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import quick_models
from shortlist.data.log import DAY
from shortlist.data.synthetic import chain, shop, two_tastes
from shortlist.errors import QueryError
from shortlist.explaining.sentences import language_of
from shortlist.ranking.linear import FUSION
from shortlist.retrieval.item_item import ItemItem

MADE = {
    "trees": quick_models.with_trees,
    "trees, next": lambda: quick_models.with_trees("next"),
    "fusion": lambda: quick_models.fit(ranking=quick_models.SMALL["ranking"] | {"ranker": "fusion"}),
    "repeats": lambda: quick_models.fit(dataset=shop()),
    "order only": lambda: quick_models.fit("next", dataset=chain()),
}
FITTED = {}


def fitted(kind):
    if kind not in FITTED:
        FITTED[kind] = MADE[kind]()
    return FITTED[kind]


@pytest.fixture(scope="module")
def trees():
    return fitted("trees")


def check_sums(explanation):
    groups = explanation.ranking
    assert explanation.base + sum(group.contribution for group in groups) == pytest.approx(explanation.score, abs=1e-6)
    for group in groups:
        assert sum(share.contribution for share in group.features) == pytest.approx(group.contribution, abs=1e-9)
    sizes = [abs(group.contribution) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    assert len({group.group for group in groups}) == len(groups)


def check_because(explanation, history):
    for source in explanation.sources:
        assert {because.item_id for because in source.because} <= set(history)
        assert sum(because.share for because in source.because) <= 1 + 1e-9
        assert source.score > 0 or not source.because


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from(sorted(MADE)), k=st.integers(1, 30))
def test_whoever_asks_for_whatever_the_sums_are_exact(data, kind, k):
    """Known users and strangers, stored histories and given ones, now and in the past, recommended items and others."""
    model = fitted(kind)
    items, users = model.known_items, model.users["user_id"].to_list()
    user = data.draw(st.sampled_from([*users[:9], None]))
    history = data.draw(st.none() | st.lists(st.sampled_from(items), max_size=6))
    ago = data.draw(st.sampled_from([None, 1, 40 * DAY])) if model.log.in_seconds else None
    at = None if ago is None else model.log.end - ago
    asked = data.draw(st.none() | st.lists(st.sampled_from(items), min_size=1, max_size=9))
    explained = model.explain(user, asked, k=k, at=at, history=history)
    known = model.request([user], at, history).queries
    for explanation in explained.values():
        if explanation.score is not None:
            check_sums(explanation)
        check_because(explanation, [items[row] for row in known.item_rows])
        assert explanation.sentence
    if asked is not None:
        assert list(explained) == list(dict.fromkeys(asked))
        assert all(explanation.score is not None for explanation in explained.values())


@pytest.mark.parametrize("kind", MADE)
def test_the_rows_of_an_answer_are_explained_as_they_are_answered(kind):
    model = fitted(kind)
    users = model.users["user_id"].to_list()[:3]
    table = model.recommend(users, k=20, explain=True)
    plain = model.recommend(users, k=20)
    assert table.drop("explanation").equals(plain)
    for row in table.to_dicts():
        told = row["explanation"]
        assert told["score"] == row["score"]
        by = [source["source"] for source in told["sources"] if source["proposed"]]
        assert sorted(by or ["fallback"] * (row["retrieval_score"] == 0)) == sorted(row["sources"])
        assert (row["score"] is None) == (told["ranking"] == [])
        if row.get("predicted_rating") is not None:
            terms = sum(term["contribution"] for term in told["rating"])
            assert terms == pytest.approx(row["predicted_rating"], abs=1e-5)
    again = model.explain(users[0], k=20)
    assert list(again) == table.filter(pl.col("user_id") == users[0])["item_id"].to_list()
    first = table["explanation"][0]
    assert (again[table["item_id"][0]].sentence, again[table["item_id"][0]].base) == (first["sentence"], first["base"])


def test_below_the_candidates_there_is_no_score_to_explain(trees):
    explained = list(trees.explain(3, k=40, filter_seen=False).values())
    n = trees.config.retrieval.candidates
    assert [explanation.score is None for explanation in explained] == [False] * n + [True] * (40 - n)
    assert explained[-1].ranking == []
    assert explained[-1].base == 0
    assert explained[-1].sources


def test_shares_are_those_of_the_dense_matrix(trees):
    """EASE and co-visitation, worked out event by event from dense matrices."""
    request = trees.request([4]).queries
    explained = trees.explain(4, k=8)
    n_checked = 0
    for item, explanation in explained.items():
        for told in explanation.sources:
            source = next(one for one in trees.first.sources if one.name == told.source)
            if not isinstance(source, ItemItem):
                assert told.because == []
                continue
            dense = source.matrix.toarray().astype(np.float64)
            amounts = np.zeros(len(trees.items))
            for back, row in enumerate(request.item_rows[::-1]):
                amounts[row] += source.decay**back * dense[row, item]  # the ids of this catalogue are its row numbers
            assert amounts.sum() == pytest.approx(told.score, rel=1e-4)
            shares = amounts / amounts.sum()
            for because in told.because:
                assert because.share == pytest.approx(shares[because.item_id], rel=1e-3, abs=1e-6)
                n_checked += 1
            best = max(told.because, key=lambda because: because.share)
            assert shares[best.item_id] == pytest.approx(shares.max(), rel=1e-3)
    assert n_checked > 20


def named_in(sentence, model):
    return [title for title in model.items["title"] if f"{title};" in f"{sentence};" or f"{title} and" in sentence]


def test_named_items_are_in_the_history_and_carry_the_most(trees):
    """Of the best-placed source among those that proposed the item; nobody else is named."""
    n_named = 0
    for user in range(12):
        for explanation in trees.explain(user, k=8).values():
            proposed = [source for source in explanation.sources if source.proposed] or explanation.sources
            carried = next((source.because for source in proposed if source.because), [])
            positive = sorted((one for one in carried if one.share > 0), key=lambda one: -one.share)
            titles = [trees.items["title"][one.item_id] for one in positive]
            named = named_in(explanation.sentence, trees)
            assert set(named) <= set(titles[:2])
            assert len(named) >= bool(titles)
            n_named += len(named)
    assert n_named > 30


def with_ratings(model, ratings):
    """The model with other ratings in its log; who rates what stays."""
    return replace(model, log=replace(model.log, ratings=ratings.astype(np.float32)))


def test_liked_is_said_of_good_ratings_only(trees):
    n = len(trees.log)
    mixed = with_ratings(trees, np.where(np.arange(n) % 2 == 0, 5, 1))
    words = set()
    for user in range(10):
        request = mixed.request([user]).queries
        rating_of = dict(zip(request.item_rows.tolist(), request.ratings.tolist(), strict=True))
        for explanation in mixed.explain(user, k=6).values():
            named = named_in(explanation.sentence, mixed)
            ratings = [rating_of[trees.items["title"].to_list().index(title)] for title in named]
            if "liked" in explanation.sentence:
                assert set(ratings) == {5.0}
                words.add("liked")
            elif "because you took up" in explanation.sentence:
                assert 1.0 in ratings
                words.add("took up")
    assert words == {"liked", "took up"}
    for same in (np.full(n, 5.0), np.full(n, np.nan)):
        alike = with_ratings(trees, same)
        assert not any("liked" in one.sentence for one in alike.explain(2, k=6).values())


def test_what_is_said_of_counts_is_so(trees):
    """The counts before the moment, worked out from the log."""
    log, window = trees.log, trees.first.features.short
    said = 0
    for explained in (trees.explain(5, trees.known_items), trees.explain(None, k=15)):
        for item, explanation in explained.items():
            counts = np.bincount(log.item_rows, minlength=len(trees.items))
            recent = log.timestamps >= log.end - window * DAY
            lately = np.bincount(log.item_rows[recent], minlength=len(trees.items))
            if "taken up a lot" in explanation.sentence:
                assert lately[item] >= np.sort(lately)[-int(np.ceil(0.05 * (lately > 0).sum()))]
                assert lately[item] >= 3
                said += 1
            if "times" in explanation.sentence:
                assert f"taken up {counts[item]} times" in explanation.sentence
                said += 1
    assert said > 3


def test_what_was_taken_up_a_lot_long_ago_is_not_said_of_now(trees):
    def sentences(days_ago):
        at = trees.log.end - days_ago * DAY
        return " ".join(one.sentence for one in trees.explain(5, trees.known_items, at=at).values())

    now, then = sentences(0), " ".join(sentences(days) for days in (40, 60, 80, 100))
    assert trees.first.features.short < 40
    assert re.search("taken up a lot (this|in the last)", now)
    assert "taken up a lot at the time" not in now
    assert "taken up a lot at the time" in then
    assert not re.search("taken up a lot (this|in the last)", then)


def test_somebody_unknown_is_told_that_nothing_is_known(trees):
    for user in (None, 10**6):
        for explanation in trees.explain(user, k=5).values():
            assert explanation.sentence.startswith("nothing is known of you yet; ")
            assert not any(source.because for source in explanation.sources)
    given = trees.explain(None, k=5, history=[0, 2, 4])
    assert not any("nothing is known" in explanation.sentence for explanation in given.values())


def test_an_item_that_was_taken_up_says_so(trees):
    row = int(trees.request([6]).queries.item_rows[0])
    (explanation,) = trees.explain(6, [row]).values()
    assert "you have taken it up before" in explanation.sentence
    assert not any(source.proposed for source in explanation.sources)
    (kept,) = trees.explain(6, [row], filter_seen=False).values()
    assert any(source.proposed for source in kept.sources)


def test_a_new_item_and_what_only_fills_the_list():
    dataset = two_tastes()
    items = pl.concat([dataset.items, dataset.items.head(1).with_columns(item_id=pl.lit(99, pl.Int64))])
    model = quick_models.fit(dataset=replace(dataset, items=items))
    assert 99 in model.known_items
    (asked,) = model.explain(1, [99]).values()
    assert "nobody has taken it up yet" in asked.sentence
    assert asked.sources == []
    check_sums(asked)
    last = model.recommend(1, k=41, explain=True).filter(pl.col("item_id") == 99)
    assert last["sources"].to_list() == [["fallback"]]
    sentence = last["explanation"][0]["sentence"]
    assert sentence.startswith("it fills the list: no source has a reason to propose it; nobody has taken it up yet")


def test_without_titles_the_id_stands_for_an_item(trees):
    bare = replace(trees, items=trees.items.drop("title"))
    explained = trees.explain(4, k=5)
    for item, explanation in bare.explain(4, k=5).items():
        assert explanation.sentence == re.sub(r"Item (\d+) of the (even|odd)", r"item \1", explained[item].sentence)
    german = bare.explain(4, k=5, language="de")
    assert any("Artikel " in explanation.sentence for explanation in german.values())


def test_the_other_language_says_the_same_numbers(trees):
    english, german = trees.explain(4, k=5), trees.explain(4, k=5, language="de")
    words = language_of("de").groups
    for item, explanation in german.items():
        assert {group.group for group in explanation.ranking} <= set(words.values())
        numbers = [group.contribution for group in explanation.ranking]
        assert numbers == [group.contribution for group in english[item].ranking]
        assert explanation.sources == english[item].sources
    told = trees.recommend(4, k=5, explain="de")["explanation"].struct.field("sentence").to_list()
    assert told == [explanation.sentence for explanation in german.values()]


def test_the_fusion_is_told_source_by_source():
    model = fitted("fusion")
    assert model.ranker == FUSION
    for explanation in model.explain(7, k=10).values():
        votes = {share.feature: share for group in explanation.ranking for share in group.features}
        assert set(votes) <= {f"{source.name}_vote" for source in model.first.sources}
        for source in explanation.sources:
            assert votes[f"{source.source}_vote"].value == source.rank
        assert explanation.base == 0


def test_rules_that_touched_an_item_are_named(trees):
    """Also of an item that no source proposed, pinned to the top."""
    fourth = trees.recommend(3, k=5)["item_id"][3]
    stranger = next(item for item in trees.known_items[::-1] if item % 2 == 0)  # of the other taste than user 3's
    for item in (fourth, stranger):
        rules = f'[[pin]]\nname = "spring"\nitems = [{item}]\nposition = 1\n'
        table = trees.recommend(3, k=5, rules=rules, explain=True)
        told = table["explanation"].to_list()
        assert table["item_id"][0] == item
        assert told[0]["sentence"].endswith("; touched by the rule spring")
        assert "rule" not in told[1]["sentence"]


def test_the_tutorials_network_has_one_group_and_one_term():
    model = quick_models.train(two_tastes(), "random", quick_models.load_config(quick_models.TUTORIAL))
    for item, explanation in model.explain(1, k=5).items():
        check_sums(explanation)
        assert [group.group for group in explanation.ranking] == ["predicted rating"]
        assert [term.term for term in explanation.rating] == ["network"]
        assert explanation.rating[0].contribution == pytest.approx(explanation.score, abs=1e-6)
        assert not any(source.because for source in explanation.sources), item


def test_every_feature_of_a_model_has_a_group():
    for kind in MADE:
        model = fitted(kind)
        labels = language_of("en").groups
        for explanation in model.explain(model.users["user_id"][0], k=3).values():
            assert labels["other"] not in {group.group for group in explanation.ranking}


def test_mistakes_are_refused(trees):
    with pytest.raises(QueryError, match="items: not in the catalogue: 12345, 'x'"):
        trees.explain(1, [1, 12345, "x"])
    with pytest.raises(QueryError, match="expected true or a language"):
        trees.explain(1, language="tlh")
    with pytest.raises(QueryError, match="expected true or a language"):
        trees.recommend(1, explain="tlh")
    with pytest.raises(QueryError, match="k: expected"):
        trees.explain(1, k=0)
    assert trees.explain(1, []) == {}
    assert trees.recommend([], explain=True)["explanation"].to_list() == []


def test_it_gives_up_when_its_time_is_over(trees):
    request = trees.request([1]).queries
    allowed = np.ones((1, len(trees.items)), dtype=bool)
    (ranked,) = trees.rank(request, allowed, 5)
    from shortlist.explaining.asking import explain_answer

    assert len(explain_answer(trees.explainer, request, ranked, language_of(True))) == 5
    with pytest.raises(TimeoutError):
        explain_answer(trees.explainer, request, ranked, language_of(True), until=0.0)
