"""What an answer promises, whatever is asked."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quick_models import SMALL, TUTORIAL, fit, with_trees
from shortlist.config import load_config
from shortlist.data.dataset import Dataset
from shortlist.data.synthetic import chain, shop, two_tastes
from shortlist.errors import DataError, QueryError
from shortlist.stages import QUERIES_AT_ONCE
from shortlist.training.schedule import train

SCHEMA = {
    "user_id": pl.Int64,
    "item_id": pl.Int64,
    "rank": pl.Int32,
    "score": pl.Float64,
    "retrieval_rank": pl.Int32,
    "retrieval_score": pl.Float64,
    "sources": pl.List(pl.String),
    "predicted_rating": pl.Float32,
}
SCORES = ["item_id", "rank", "score", "retrieval_rank", "retrieval_score", "sources", "predicted_rating"]
MODELS = {"window": with_trees, "next": lambda: with_trees("next")}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


@pytest.fixture(scope="module")
def windowed():
    return with_trees()


@pytest.fixture(scope="module")
def log():
    return two_tastes().interactions


def items_of(log, user):
    return log.filter(user_id=user)["item_id"].to_list()


# What an answer looks like


def check_answer(table, details):
    """Everything that holds of every answer."""
    assert dict(table.schema) == SCHEMA
    assert table.drop("score", "user_id").null_count().sum_horizontal().item() == 0
    start = 0
    for asked in details.iter_rows(named=True):
        stop = start + asked["returned"]
        part = table[start:stop]
        assert asked["returned"] == min(asked["asked"], asked["allowed"])
        assert (asked["reason"] is None) == (asked["returned"] == asked["asked"])
        assert part["rank"].to_list() == list(range(1, len(part) + 1))
        assert part["item_id"].n_unique() == len(part)
        assert part["retrieval_rank"].n_unique() == len(part)
        assert part["user_id"].null_count() in (0, len(part))
        ranked = part.filter(pl.col("score").is_not_null())
        assert part["score"][: len(ranked)].null_count() == 0
        assert ranked["score"].is_sorted(descending=True)
        ties = ranked.filter(pl.col("score") == pl.col("score").shift())
        for tie in ties.iter_rows(named=True):
            assert ranked["item_id"][tie["rank"] - 2] < tie["item_id"]
        rest = part[len(ranked) :]
        assert rest["retrieval_rank"].is_sorted()
        by_retrieval = part.sort("retrieval_rank")
        # Each piece that follows the candidates starts anew, and is twice as long as the one before: it may hold a
        # better fused item that no source proposed among its n.
        n = SMALL["retrieval"]["candidates"]
        for first, last in ((1, n), (n + 1, 2 * n), (2 * n + 1, 4 * n)):
            piece = by_retrieval.filter(pl.col("retrieval_rank").is_between(first, last))
            assert piece["retrieval_score"].is_sorted(descending=True)
        assert part["retrieval_rank"].max() is None or part["retrieval_rank"].min() >= 1
        start = stop
    assert start == len(table)


ITEM_IDS = st.lists(st.integers(-2, 45), max_size=30)
USERS = st.lists(st.sampled_from([0, 1, 7, 59, 60, -5, 10**30]), min_size=1, max_size=4)


@settings(max_examples=120, deadline=None)
@given(
    users=USERS,
    k=st.sampled_from([1, 3, 10, 15, 16, 40, 1000]),
    filter_seen=st.sampled_from([None, True, False]),
    include=st.none() | ITEM_IDS,
    exclude=st.none() | ITEM_IDS,
    where=st.sampled_from([None, "year > 2000", "group == 'odd'", "year < 0"]),
    history=st.none() | ITEM_IDS,
    at=st.none() | st.sampled_from([0, 1_608_000_000, 2_000_000_000]),
)
def test_exactly_min_of_k_and_allowed(windowed, log, users, k, filter_seen, include, exclude, where, history, at):
    given_history = None if history is None else [history] * len(users)
    table, details = windowed.recommend(users, k, at, given_history, filter_seen, include, exclude, where, details=True)
    assert details["user_id"].cast(pl.String).to_list() == [str(user) for user in users]
    assert details["asked"].to_list() == [k] * len(users)
    check_answer(table.with_columns(pl.col("user_id").cast(pl.Int64, strict=False)), details)
    for position, user in enumerate(users):
        allowed = set(range(40)) if include is None else set(include) & set(range(40))
        allowed -= set(exclude or ())
        if where:
            allowed &= set(windowed.items.sql(f"select item_id from self where {where}".replace("==", "="))["item_id"])
        if filter_seen is not False:
            stored = log.filter(user_id=user) if user < 2**63 else log.clear()
            stored = stored if at is None else stored.filter(pl.col("timestamp") < at)
            allowed -= set(stored["item_id"])
            allowed -= set(history or ())
        assert details["allowed"][position] == len(allowed)
        start = details["returned"][:position].sum()
        assert set(table["item_id"][start : start + details["returned"][position]]) <= allowed


def test_the_whole_catalogue_with_what_nobody_touched():
    dataset = two_tastes()
    items = pl.concat([dataset.items, pl.DataFrame({"item_id": [900]})], how="diagonal")
    model = fit(dataset=Dataset.from_frames(dataset.interactions, items))
    table, details = model.recommend([0, None], k=41, filter_seen=False, details=True)
    check_answer(table, details)
    assert set(table["item_id"]) == set(items["item_id"])
    assert table["score"].null_count() == 2 * (41 - 15)
    beyond, details = model.recommend(0, k=42, filter_seen=False, details=True)
    assert len(beyond) == 41
    assert details["reason"].to_list() == ["the catalogue has only 41 items"]


def test_the_first_items_are_the_same_for_every_k():
    model = fit("next", retrieval={"candidates": 8})
    users = model.users["user_id"].to_list()
    short, long = (model.recommend(users, k=k).drop("user_id") for k in (5, 30))
    assert long.filter(pl.col("rank") <= 5).equals(short)
    tail = long.filter(pl.col("rank") > 8)
    assert tail["score"].null_count() == len(tail) > 0
    assert (tail["retrieval_rank"] == tail["rank"]).all()


def test_nothing_allowed(model):
    table, details = model.recommend([0, "nobody"], include_items=[], details=True)
    assert len(table) == 0
    assert table.columns == list(SCHEMA)
    assert details["returned"].to_list() == details["allowed"].to_list() == [0, 0]
    assert "0 of 40 items" in details["reason"][0]


def test_nobody_asks(model):
    table, details = model.recommend([], details=True)
    assert dict(table.schema) == SCHEMA
    assert (len(table), len(details)) == (0, 0)
    assert len(model.recommend([], history=[])) == 0


def test_fewer_allowed_than_asked(model, log):
    unseen = sorted(set(range(40)) - set(items_of(log, 3)))[:4]
    table, details = model.recommend(3, k=10, include_items=[*unseen, *items_of(log, 3), "x", None], details=True)
    assert sorted(table["item_id"]) == unseen
    assert details["reason"].to_list() == ["only 4 of 40 items are allowed after filters and seen items"]


# Filters and batches change nothing about an item


@settings(max_examples=60, deadline=None)
@given(
    user=st.sampled_from([0, 1, 33, -1]),
    include=st.sets(st.integers(0, 39), min_size=1),
    at=st.none() | st.just(1_610_000_000),
)
def test_filters_change_no_score(windowed, user, include, at):
    columns = ["item_id", "score", "predicted_rating", "retrieval_score"]
    whole = windowed.recommend(user, 15, at, filter_seen=False).select(columns)
    some = windowed.recommend(user, 15, at, filter_seen=False, include_items=include).select(columns)
    both = whole.join(some, on="item_id", suffix="_filtered").filter(
        (pl.col("retrieval_score") > 0) & (pl.col("retrieval_score_filtered") > 0)
    )
    for name in columns[1:]:
        assert (both[name] == both[f"{name}_filtered"]).all()
    again = windowed.recommend(user, 15, at, filter_seen=False, include_items=whole["item_id"]).select(columns[:3])
    assert_frame_equal(again, whole.select(columns[:3]), check_exact=True)


def test_alone_as_in_company(model):
    users = [*range(60), None, "nobody"] * 5
    assert len(users) > 2 * QUERIES_AT_ONCE
    rng = np.random.default_rng(0)
    at = rng.choice([1_602_000_000, 1_608_000_000, 1_617_000_000], len(users)).tolist()
    together = model.recommend(users, k=20, at=at, details=True)
    ends = together.details["returned"].cum_sum().to_list()
    for position in rng.choice(len(users), 60, replace=False).tolist():
        alone = model.recommend([users[position]], k=20, at=[at[position]])
        part = together.table[ends[position] - len(alone) : ends[position]]
        assert_frame_equal(alone.select(SCORES), part.select(SCORES), check_exact=True)
    assert_frame_equal(model.recommend(users, k=20, at=at), together.table, check_exact=True)


def test_histories_alone_as_in_company(model):
    rng = np.random.default_rng(1)
    histories = [rng.integers(0, 40, rng.integers(0, 30)).tolist() for _ in range(QUERIES_AT_ONCE + 9)]
    users = [None] * len(histories)
    together = model.recommend(users, k=7, history=histories, details=True)
    ends = together.details["returned"].cum_sum().to_list()
    for position in range(0, len(users), 7):
        alone = model.recommend(None, k=7, history=histories[position])
        part = together.table[ends[position] - len(alone) : ends[position]]
        assert_frame_equal(alone.select(SCORES), part.select(SCORES), check_exact=True)


def test_the_stored_history_given_in_the_call_is_answered_alike(model, log):
    frame = log.filter(pl.col("user_id").is_in([4, 5, 6]))
    stored = model.recommend([4, 5, 6])
    assert_frame_equal(model.recommend([4, 5, 6], history=frame), stored, check_exact=True)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=0)
    assert_frame_equal(model.recommend([4, 5, 6], history=shuffled), stored, check_exact=True)
    unknown = frame.with_columns(user_id=pl.col("user_id").cast(pl.String) + "?")
    answered = model.recommend(["4?", "5?", "6?"], history=unknown)
    assert answered["user_id"].unique(maintain_order=True).to_list() == ["4?", "5?", "6?"]
    assert_frame_equal(answered.select(SCORES), stored.select(SCORES), check_exact=True)


def test_repeated_users_are_answered_again(model):
    once = model.recommend(9)
    assert_frame_equal(model.recommend([9, 9, 8, 9])[-10:], once, check_exact=True)


# Seen items


def test_seen_is_stored_and_given_and_wins(model, log):
    seen = items_of(log, 2)
    fresh = next(item for item in range(40) if item not in seen)
    assert len(model.recommend(2, include_items=seen)) == 0
    assert len(model.recommend(2, include_items=seen, filter_seen=True)) == 0
    assert sorted(model.recommend(2, k=40, include_items=seen, filter_seen=False)["item_id"]) == sorted(seen)
    assert len(model.recommend(2, history=[fresh], include_items=[*seen, fresh])) == 0
    assert model.recommend(2, k=40, exclude_items=seen, include_items=seen, filter_seen=False).is_empty()
    assert len(model.recommend(None, k=40)) == 40


def test_where_people_come_back_seen_items_stay():
    model = fit("next", shop())
    assert model.filter_seen is False
    stored = set(shop().interactions.filter(user_id="u3")["item_id"])
    assert stored & set(model.recommend("u3", k=10)["item_id"])
    assert not stored & set(model.recommend("u3", k=10, filter_seen=True)["item_id"])


def test_a_taste_is_recognised(model):
    even = model.recommend(None, k=10, history=[0, 2, 4, 6])
    assert (even["item_id"] % 2 == 0).all()
    assert (model.recommend(1, k=3)["item_id"] % 2 == 1).all()


# The moment of asking


def test_the_past_knows_only_the_past(windowed, log):
    moment = 1_608_000_000
    before = log.filter(pl.col("timestamp") < moment)
    asked, details = windowed.recommend([0, 1], k=40, at=moment, details=True)
    assert details["history_items"].to_list() == [before.filter(user_id=user).height for user in (0, 1)]
    assert all("weights know later events" in notes[0] for notes in details["notes"].to_list())
    assert set(asked.filter(user_id=0)["item_id"]) == set(range(40)) - set(before.filter(user_id=0)["item_id"])
    popular = windowed.first.fallback.score_catalogue(windowed.request(0, at=moment).queries)[0]
    ticks = windowed.first.fallback.item_counts
    complete = ticks.end + ticks.tick_of(np.array([moment]))[0] * ticks.tick_length
    counted = log.filter(pl.col("timestamp") < complete)["item_id"].value_counts()
    assert {item: n for item, n in enumerate(popular.tolist()) if n == n} == dict(counted.iter_rows())


def test_each_user_at_their_own_moment(model):
    moments = [1_602_000_000, 1_612_000_000]
    both = model.recommend([7, 7], at=moments)
    parts = [model.recommend(7, at=moment) for moment in moments]
    assert_frame_equal(both, pl.concat(parts), check_exact=True)
    assert not parts[0].equals(parts[1])


def test_all_ways_to_say_a_moment(model):
    at = 1_608_000_000
    naive = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    expected = model.recommend(1, at=at)
    for moment in (naive, naive.replace(tzinfo=UTC), np.int64(at), np.datetime64(at, "s"), [at], np.array([at]),
                   pl.Series([naive])):  # fmt: skip
        assert_frame_equal(model.recommend(1, at=moment), expected, check_exact=True)


def test_beyond_the_end_nothing_is_said_about_the_past(model):
    details = model.recommend([0, None], at=4_000_000_000, details=True).details
    assert details["notes"].to_list() == [[], []]
    now = model.recommend(0, details=True).details
    assert now["notes"].to_list() == [[]]


def test_at_zero_everybody_is_new(model):
    table, details = model.recommend([0, 1], k=40, at=0, details=True)
    assert details["history_items"].to_list() == [0, 0]
    assert len(table) == 80


def test_an_order_is_asked_by_place():
    frame = chain().interactions.with_columns(timestamp=pl.int_range(pl.len()))
    model = fit("next", Dataset.from_frames(frame))
    early = model.recommend(0, at=10, details=True)
    assert early.details["history_items"][0] == frame.head(10).filter(user_id=0).height
    with pytest.raises(QueryError, match="order of the log"):
        model.recommend(0, at=datetime(2020, 1, 1))


# Details


def test_details(model, log):
    table, details = model.recommend([0, "0"], history=[[1, "x", None], []], details=True)
    assert details["known_user"].to_list() == [True, False]
    assert details["history_items"].to_list() == [1, 0]
    assert details["unknown_history_items"].to_list() == [2, 0]
    assert details["notes"].to_list()[0] == ["2 history items are not in the catalogue and were ignored"]
    assert details["degraded"].to_list() == [False, False]
    assert set(table["user_id"]) == {"0"}


def test_who_proposed_what(model):
    table = model.recommend(0, k=40)
    names = [source.name for source in model.first.sources]
    request = model.request(0)
    allowed = np.ones((1, len(model.items)), dtype=bool)
    allowed[0, request.seen.item_rows] = False
    n = model.config.retrieval.candidates
    best = {s.name: set(s.propose(request.queries, n, allowed)[0].tolist()) for s in model.first.sources}
    rows = model.item_vocabulary.rows(table["item_id"]).tolist()
    proposers = [[name for name in names if row in best[name]] for row in rows]
    for sources, by, score in zip(table["sources"], proposers, table["retrieval_score"], strict=True):
        assert sources.to_list() == (by if by or score else ["fallback"])


def test_wrong_arguments(model):
    for arguments, word in (
        ({"k": 0}, "k:"), ({"k": True}, "k:"), ({"k": 2.0}, "k:"), ({"filter_seen": "no"}, "filter_seen"),
        ({"include_items": "abc"}, "include_items"), ({"exclude_items": 3}, "exclude_items"),
        ({"where": "colour == 'red'"}, "colour"), ({"where": 3}, "where"), ({"where": ["year > 1"]}, "where"),
    ):  # fmt: skip
        with pytest.raises(QueryError, match=word):
            model.recommend(0, **arguments)


# Similar items


def test_similar_items(model):
    table = model.similar_items([0, "x", 5, np.int64(7)], k=100)
    assert table.columns == ["item_id", "similar_item_id", "rank", "score"]
    assert table["item_id"].unique(maintain_order=True).to_list() == [0, 5, 7]
    assert (table["item_id"] != table["similar_item_id"]).all()
    assert ((table["item_id"] - table["similar_item_id"]) % 2 == 0).mean() > 0.9
    for _, part in table.group_by("item_id"):
        assert part["rank"].to_list() == list(range(1, len(part) + 1))
        assert part["score"].is_sorted(descending=True)
    assert model.similar_items(5, k=3).equals(table.filter(item_id=5).head(3))
    assert model.similar_items("x").is_empty()
    assert model.similar_items([]).is_empty()
    with pytest.raises(QueryError, match="k:"):
        model.similar_items(5, k=0)


def test_similar_items_by_vectors_or_not_at_all():
    table = train(two_tastes(), "random", load_config(TUTORIAL)).similar_items(3, k=5)
    assert len(table) == 5
    popular = fit(retrieval={"sources": ["popularity"]}, ranking={"ranker": "fusion"})
    with pytest.raises(QueryError, match="popularity"):
        popular.similar_items(3)


# Predicted ratings


@pytest.fixture(scope="module")
def rated():
    frame = pl.DataFrame(
        {
            "user_id": [1, 2, 1, 2],
            "item_id": [7, 7, 8, 8],
            "timestamp": [1.0e9, 1.1e9, 1.2e9, 1.3e9],
            "rating": [5, 3, 1, 3],
        }
    )
    return fit("next", Dataset.from_frames(frame))


def test_predicted_ratings_by_hand(rated):
    # mean 3; items: (2 + 0) / (2 + 3), (-2 + 0) / (2 + 3), the users' biases being 0; user 1 once only item 7 is rated:
    asked = pl.DataFrame({"user_id": [1, 1, 9, 1], "item_id": [8, 8, 8, 99], "timestamp": [1.2e9, 0, 2e9, 1.2e9]})
    first = (5 - 3 - 2 / 5) / (1 + 3)
    expected = [3 - 2 / 5 + first, 3 - 2 / 5, 3 - 2 / 5, 3 + first]
    predicted = rated.predict_ratings(asked)
    assert predicted["predicted_rating"].to_list() == pytest.approx(expected, rel=1e-6)
    assert predicted.drop("predicted_rating").equals(asked)
    assert rated.predict_ratings(asked.drop("timestamp"))["predicted_rating"][0] == pytest.approx(3 - 2 / 5)


def test_times_of_predictions_in_all_forms(rated):
    seconds = pl.DataFrame({"user_id": [1, 1], "item_id": [8, 8], "timestamp": [1_200_000_000, 1_200_000_001]})
    dates = seconds.with_columns(pl.from_epoch("timestamp", time_unit="s"))
    expected = rated.predict_ratings(seconds)["predicted_rating"]
    assert expected[0] != expected[1]
    for frame in (dates, dates.with_columns(pl.col("timestamp").dt.cast_time_unit("ns").dt.replace_time_zone("UTC"))):
        assert rated.predict_ratings(frame)["predicted_rating"].equals(expected)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user_id": [1, 1], "item_id": [8, 8], "timestamp": dates["timestamp"].to_list()})
    assert rated.predict_ratings(frame)["predicted_rating"].equals(expected)


def test_row_order_and_batches_of_predictions(windowed, log):
    shuffled = log.sample(fraction=1, shuffle=True, seed=1)
    together = windowed.predict_ratings(shuffled)["predicted_rating"]
    assert len(shuffled) > 2 * QUERIES_AT_ONCE
    for row in range(0, len(shuffled), 97):
        assert windowed.predict_ratings(shuffled[row])["predicted_rating"][0] == together[row]
    assert together.is_between(4, 5).all()


def test_what_no_rating_can_be_predicted_for(windowed, rated):
    with pytest.raises(DataError, match="'item_id' is missing"):
        windowed.predict_ratings({"user_id": [1]})
    with pytest.raises(QueryError, match="row 1, column 'timestamp'"):
        windowed.predict_ratings({"user_id": [1, 1], "item_id": [1, 1], "timestamp": [5, None]})
    with pytest.raises(QueryError, match="no rating model"):
        fit("next", chain(), ranking={"ranker": "fusion"}).predict_ratings({"user_id": [1], "item_id": [1]})
    nobody = windowed.predict_ratings({"user_id": [None, "1"], "item_id": [1, 1]})["predicted_rating"]
    assert nobody[0] == nobody[1]
    assert windowed.predict_ratings({"user_id": [], "item_id": []}).height == 0


def test_it_says_what_it_is(model):
    assert "ease" in repr(model)
    assert "40 items" in repr(model)
