"""What the store knows of a user, joined to what the model knows already."""

from dataclasses import replace

import numpy as np
import pytest

from shortlist.config import load_config
from shortlist.errors import QueryError
from shortlist.serving.live import Bundle
from shortlist.serving.questions import given_history, later_events, question_of, request_of
from shortlist.serving.schemas import HistoryEvent, Rank, Recommend
from shortlist.serving.store.contract import History, StoredEvent, Unavailable

NOW = 1_700_000_000


@pytest.fixture
def bundle(model):
    return Bundle(model, model, "v", known_seq=10, known_items=0, overlay_version=0, loaded_at=0.0)


def event(seq, item=1, **more):
    fields = {"timestamp": NOW + seq} | more
    return StoredEvent(id=str(seq), user_id=3, item_id=item, seq=seq, **fields)


def n_known(bundle):
    return len(bundle.model.request([3]).queries.item_rows)


def test_only_events_after_those_that_the_model_knows_are_added(bundle):
    stored = History(tuple(event(seq, item=seq) for seq in (9, 10, 11, 12)), version=12)
    queries = request_of(bundle, stored, Recommend(user_id=3)).queries
    assert len(queries.item_rows) == n_known(bundle) + 2
    assert queries.item_rows[-2:].tolist() == [11, 12]
    assert queries.at.tolist() == [NOW + 13]


@pytest.mark.parametrize(("deleted_seq", "known"), [(0, True), (10, True), (11, False)])
def test_what_was_deleted_after_the_model_was_trained_is_not_used(bundle, deleted_seq, known):
    stored = History((event(12),), version=12, deleted_seq=deleted_seq)
    queries = request_of(bundle, stored, Recommend(user_id=3)).queries
    assert (queries.user_rows[0] >= 0) == known
    assert len(queries.item_rows) == (n_known(bundle) if known else 0) + 1


def test_a_given_history_replaces_both_and_both_are_seen(bundle):
    stored = History((event(11, item=39),), version=11)
    request = request_of(bundle, stored, Recommend(user_id=3, history=[5]))
    assert request.queries.item_rows.tolist() == [5]
    assert len(request.seen.item_rows) == n_known(bundle) + 2
    assert 39 in request.seen.item_rows


def test_what_is_positive_is_what_the_models_settings_say(model):
    config = load_config({"positive": {"min_rating": 4.0, "events": ["buy"]}})
    strict = replace(model, config=config)
    events = [
        event(1, rating=5.0, event="buy"),
        event(2, rating=3.0, event="buy"),
        event(3, event="click"),
        event(4, event="buy", weight=0.5),
        event(5, item=999, event="buy"),
    ]
    assert later_events(strict, events).weights.tolist() == [1, 0, 0, 0.5]
    assert later_events(model, events).weights.tolist() == [1, 1, 1, 0.5]


def test_where_the_logs_times_are_an_order_stored_events_come_last(model):
    by_order = replace(model, log=replace(model.log, in_seconds=False))
    times = later_events(by_order, [event(1), event(2)]).timestamps
    assert times.tolist() == [model.log.end, model.log.end + 1]


def test_a_store_that_cannot_be_read_is_told(bundle):
    class Gone:
        def history(self, user_id):
            raise Unavailable("gone")

    question = question_of(bundle, Gone(), Recommend(user_id=3, filter_seen=True))
    assert question.history_failed
    assert question.allowed.sum() == 40 - len(np.unique(bundle.model.request([3]).seen.item_rows))
    assert not question_of(bundle, Gone(), Recommend()).history_failed


def test_all_of_the_callers_candidates_are_ranked(bundle):
    question = question_of(bundle, None, Rank(user_id=3, items=list(range(40))))
    assert (question.k, question.n, question.allowed.sum()) == (40, 40, 40)
    question = question_of(bundle, None, Rank(user_id=3, items=["unknown"]))
    assert (question.k, question.allowed.sum()) == (1, 0)


@pytest.mark.parametrize(
    "history",
    [
        [1, HistoryEvent(2)],
        [HistoryEvent(1), HistoryEvent("a")],
        [HistoryEvent(1, timestamp=5), HistoryEvent(2)],
    ],
)
def test_histories_that_are_mixed(history):
    with pytest.raises(QueryError, match="history"):
        given_history(history)


def test_histories_as_the_library_takes_them():
    assert given_history([1, 2]) == [1, 2]
    assert given_history([HistoryEvent(1, 5, rating=2.0), HistoryEvent(2, 6)]) == {
        "item_id": [1, 2],
        "timestamp": [5, 6],
        "rating": [2.0, None],
    }
