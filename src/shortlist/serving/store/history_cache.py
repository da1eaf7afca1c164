"""Histories kept in memory, for a process that is the only writer."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

from shortlist.serving.store.contract import History, Id

EVENTS = 100_000
"""How many events are kept at most, each user counted as one more: some 50 MB."""


class HistoryCache:
    """The histories asked for last. `forget` is called after each commit, before it is acknowledged."""

    def __init__(self, limit: int = EVENTS) -> None:
        self._histories: OrderedDict[tuple[type, Id], History] = OrderedDict()
        self._lock = threading.Lock()
        self._n_commits = 0
        self._limit, self._size = limit, 0

    def get(self, user_id: Id, read: Callable[[], History]) -> History:
        """The history kept, or what ``read`` finds; that is kept unless something was committed meanwhile."""
        key = (type(user_id), user_id)
        with self._lock:
            if key in self._histories:
                self._histories.move_to_end(key)
                return self._histories[key]
            n_commits = self._n_commits
        history = read()
        with self._lock:
            if n_commits == self._n_commits and key not in self._histories:
                self._histories[key] = history
                self._size += 1 + len(history.events)
                while self._size > self._limit:
                    self._drop(next(iter(self._histories)))
        return history

    def forget(self, user_ids: Iterable[Id]) -> None:
        with self._lock:
            self._n_commits += 1
            for user_id in user_ids:
                if (type(user_id), user_id) in self._histories:
                    self._drop((type(user_id), user_id))

    def _drop(self, key: tuple[type, Id]) -> None:
        self._size -= 1 + len(self._histories.pop(key).events)
