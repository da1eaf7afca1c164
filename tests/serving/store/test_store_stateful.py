"""Any order of calls: what the store holds is what a plain recount of the acknowledged calls says."""

import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shortlist.serving.store.contract import Event, Exposure
from shortlist.serving.store.opening import open_store

USERS = st.integers(1, 3)
EVENTS = st.lists(
    st.builds(
        lambda id, user_id, item_id, timestamp, rating: Event(
            id=f"e{id}", user_id=user_id, item_id=item_id, timestamp=timestamp, rating=rating
        ),
        st.integers(0, 15),
        USERS,
        st.sampled_from("ab"),
        st.integers(0, 2),
        st.sampled_from([None, 1.0]),
    ),
    max_size=8,
)


class StoreMachine(RuleBasedStateMachine):
    """The oracle: a list of stored events in order of arrival, and sets."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.url = f"sqlite:///{self.folder.name}/events.db"
        self.store = open_store(self.url)
        self.events, self.exposures, self.items, self.deleted = [], {}, {}, set()
        self.versions = defaultdict(dict)

    @rule(events=EVENTS)
    def append(self, events):
        expected = []
        for event in events:
            same_id = [one for one in self.events if one.id == event.id]
            if not same_id:
                self.events.append(event)
            expected.append("stored" if not same_id else "duplicate" if same_id == [event] else "conflict")
        assert [outcome.status for outcome in self.store.append(events)] == expected

    @rule(batches=st.lists(EVENTS, max_size=4))
    def submit_several_at_once(self, batches):
        futures = [self.store.submit(events) for events in batches]
        for events, future in zip(batches, futures, strict=True):
            outcomes = future.result()
            for event, outcome in zip(events, outcomes, strict=True):
                same_id = [one for one in self.events if one.id == event.id]
                if not same_id:
                    self.events.append(event)
                assert outcome.status == (
                    "stored" if not same_id else "duplicate" if same_id == [event] else "conflict"
                )

    @rule(events=EVENTS, user_id=USERS)
    def delete_what_is_still_queued(self, events, user_id):
        future = self.store.submit(events)
        self.store.delete_user(user_id)
        future.result()
        known = {event.id for event in self.events}
        for event in events:
            if event.id not in known:
                known.add(event.id)
                self.events.append(event)
        self.forget(user_id)

    @rule(user_id=USERS)
    def delete(self, user_id):
        n_rows = sum(event.user_id == user_id for event in self.events)
        n_rows += sum(user == user_id for user in self.exposures.values())
        assert self.store.delete_user(user_id) == n_rows
        self.forget(user_id)

    def forget(self, user_id):
        self.events = [event for event in self.events if event.user_id != user_id]
        self.exposures = {id: user for id, user in self.exposures.items() if user != user_id}
        self.deleted.add(user_id)

    @rule(request=st.integers(0, 5), user_id=USERS)
    def show(self, request, user_id):
        new = f"r{request}" not in self.exposures
        shown = Exposure(request_id=f"r{request}", user_id=user_id, item_ids=("a",), timestamp=1)
        assert self.store.log_exposures([shown]).result() == new
        self.exposures.setdefault(f"r{request}", user_id)

    @rule(item_id=st.sampled_from("ab"), year=st.integers(0, 3))
    def put_item(self, item_id, year):
        self.items.pop(item_id, None)
        self.items[item_id] = year
        self.store.put_item(item_id, {"year": year})

    @rule()
    def restart(self):
        self.store.close()
        self.store = open_store(self.url)

    @invariant()
    def a_recount_agrees(self):
        if not hasattr(self, "store"):
            return
        for user_id in (1, 2, 3):
            history = self.store.history(user_id)
            mine = sorted((e for e in self.events if e.user_id == user_id), key=lambda event: event.timestamp)
            assert [plain(event) for event in history.events] == mine
            assert self.versions[user_id].setdefault(history.version, mine) == mine
            assert (history.deleted_seq > 0) == (user_id in self.deleted)
        stored = self.store.read_events()
        assert [plain(event) for event in stored] == self.events
        assert len({event.seq for event in stored}) == len(stored)
        assert [(one.item_id, one.attributes["year"]) for one in self.store.items_since()] == list(self.items.items())
        counts = self.store.counts()
        assert (counts.events, counts.exposures) == (len(self.events), len(self.exposures))
        assert counts.users == len({event.user_id for event in self.events})
        assert set(self.store.deletion_times([1, 2, 3])) == self.deleted

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


def plain(event):
    return Event(**{name: getattr(event, name) for name in Event.__struct_fields__})


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
