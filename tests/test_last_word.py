"""What acts after the score, asked of whole models."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quick_models import SMALL, fit, with_trees
from shortlist.data.dataset import Dataset
from shortlist.data.synthetic import chain, two_tastes
from shortlist.errors import QueryError
from shortlist.evaluation.metrics import intra_list_diversity

GENRES = ["war", "drama", "comedy", "crime"]


@pytest.fixture(scope="module")
def model():
    """15 candidates of 40 items, each item in up to three genres."""
    random = np.random.default_rng(1)
    dataset = two_tastes()
    genres = [sorted(random.choice(GENRES, random.integers(0, 4), replace=False).tolist()) for _ in range(40)]
    return fit(dataset=Dataset.from_frames(dataset.interactions, dataset.items.with_columns(genres=pl.Series(genres))))


acting = st.fixed_dictionaries(
    {},
    optional={
        "diversity": st.floats(0, 1),
        "caps": st.dictionaries(st.sampled_from(["genres", "group", "year"]), st.integers(1, 4), max_size=2),
        "explore": st.floats(0, 1),
    },
)
asking = st.fixed_dictionaries(
    {"users": st.sampled_from([0, 7, "nobody", None])},
    optional={
        "filter_seen": st.booleans(),
        "include_items": st.lists(st.integers(0, 44), max_size=30),
        "where": st.sampled_from(["year >= 1995", "'war' in genres"]),
        "history": st.lists(st.integers(0, 39), max_size=5),
    },
)


@settings(max_examples=150, deadline=None)
@given(asking, acting, st.integers(1, 45))
def test_every_answer_has_its_length_and_its_first_items(model, asked, acts, k):
    table, details = model.recommend(k=k, details=True, **asked, **acts)
    whole = model.recommend(k=45, **asked, **acts)
    row = details.row(0, named=True)
    assert len(table) == row["returned"] == min(k, row["allowed"])
    assert table.drop("user_id").equals(whole.head(k).drop("user_id"))
    assert set(whole["item_id"]) == set(model.recommend(k=45, **asked)["item_id"])
    if not row["acted"]:
        assert table.select("item_id", "score").equals(model.recommend(k=k, **asked).select("item_id", "score"))
    assert ("propensity" in table.columns) == (acts.get("explore", 0) > 0)
    assert "rules" not in table.columns


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([0, 7, None]), st.integers(1, 3), st.integers(1, 40), st.booleans(), st.sampled_from([0, 0.5]))
def test_at_most_so_many_of_a_genre(model, user, limit, k, filter_seen, diversity):
    asked = {"users": user, "filter_seen": filter_seen}
    table, details = model.recommend(k=k, caps={"genres": limit}, diversity=diversity, details=True, **asked)
    genres = dict(model.items.select("item_id", "genres").iter_rows())
    counts = dict.fromkeys(GENRES, 0)
    left = set(model.recommend(k=45, **asked)["item_id"])
    exceeding = 0
    for item in table["item_id"].to_list():
        if any(counts[genre] >= limit for genre in genres[item]):
            exceeding += 1
            assert all(any(counts[genre] >= limit for genre in genres[other]) for other in left)
        left.discard(item)
        for genre in genres[item]:
            counts[genre] += 1
    notes = details["notes"][0].to_list()
    assert bool(exceeding) == bool(notes)
    if exceeding:
        assert notes[0].startswith(
            f"no other item that is allowed fits the caps (genres: {limit}): the last {exceeding}"
        )


def test_what_follows_the_candidates_has_a_predicted_rating_too(model):
    table = model.recommend(0, k=40, filter_seen=False, caps={"group": 1})
    alone = model.recommend(0, k=40, filter_seen=False)
    both = table.join(alone, on="item_id", suffix="_alone")
    assert (both["predicted_rating"] == both["predicted_rating_alone"]).all()
    assert both["predicted_rating"].null_count() == 0
    ranked = both.drop_nulls(["score", "score_alone"])
    assert (ranked["score"] == ranked["score_alone"]).all()


def test_more_diversity_makes_lists_more_diverse(model):
    users = model.users["user_id"].to_list()
    found = []
    for diversity in (0.0, 0.3, 0.6, 1.0):
        table = model.recommend(users, k=5, diversity=diversity, filter_seen=False)
        lists = np.array(model.item_vocabulary.rows(table["item_id"])).reshape(len(users), 5)
        vectors = model.last_word(model.request(users), diversity=1).vectors
        found.append(float(np.nanmean(intra_list_diversity(lists, vectors))))
    assert found == sorted(found)
    assert found[-1] > found[0] + 0.05


@pytest.mark.parametrize("make", [with_trees, lambda: with_trees("next")])
def test_with_everything_off_nothing_changes(make):
    model = make()
    users = [*model.users["user_id"].to_list(), "nobody"]
    table, details = model.recommend(users, k=30, details=True)
    off, off_details = model.recommend(users, k=30, diversity=0, caps={}, explore=0.0, rules=None, details=True)
    assert off.equals(table)
    assert off_details.equals(details)
    assert details["acted"].to_list() == [[]] * len(users)
    assert model.last_word(model.request(users)) is None


def test_an_answer_does_not_depend_on_who_else_asks(model):
    users = model.users["user_id"].to_list()
    acts = {"diversity": 0.4, "explore": 0.3, "caps": {"genres": 2}, "k": 20}
    together = model.recommend(users, **acts)
    for user in users[::7]:
        assert together.filter(user_id=user).equals(model.recommend(user, **acts))


def test_without_attributes_diversity_goes_by_who_takes_items_up():
    model = fit("next", chain(stray=0))
    plain = model.recommend(0, k=5, filter_seen=False)["item_id"].to_list()
    diverse, details = model.recommend(0, k=5, filter_seen=False, diversity=1.0, details=True)
    assert details["acted"].to_list() == [["diversity"]]
    assert diverse["item_id"][0] == plain[0]
    assert diverse["item_id"].to_list() != plain


def test_exploration_is_the_same_all_day_and_another_one_the_next(model):
    at = model.log.end // 86_400 * 86_400 + 10 * 86_400
    morning, evening, tomorrow = (
        model.recommend([0, 7], k=15, at=[moment, moment], explore=0.5)["item_id"].to_list()
        for moment in (at, at + 86_399, at + 86_400)
    )
    assert morning == evening != tomorrow
    same = model.recommend([0, 7], k=15, at=datetime.fromtimestamp(at, UTC), explore=0.5)["item_id"].to_list()
    assert same == morning


def test_where_all_is_left_to_chance_every_candidate_is_as_likely(model):
    table, details = model.recommend(0, k=20, filter_seen=False, explore=1.0, details=True)
    n = SMALL["retrieval"]["candidates"]
    assert np.allclose(table["propensity"][:n], [1 / left for left in range(n, 0, -1)])
    assert table["propensity"][n:].to_list() == [1.0] * (20 - n)
    assert details["acted"].to_list() == [["exploration"]]


@pytest.mark.parametrize(
    ("acts", "message"),
    [
        ({"diversity": 1.5}, "diversity: expected a number from 0 to 1, got 1.5"),
        ({"explore": -1}, "explore: expected a number from 0 to 1, got -1"),
        ({"caps": {"genre": 1}}, "caps: there is no item attribute 'genre'"),
        ({"caps": {"genres": 0}}, "caps: genres: expected a whole number of at least 1, got 0"),
        ({"caps": 3}, "caps: expected a mapping"),
    ],
)
def test_what_cannot_act_is_refused(model, acts, message):
    with pytest.raises(QueryError, match=message):
        model.recommend(0, **acts)
