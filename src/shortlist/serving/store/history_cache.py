"""Histories kept in memory, for a process that is the only writer."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from shortlist.serving.store.contract import History, Id

EVENTS = 100_000
"""How many events are kept at most, each user counted as one more: some 50 MB."""


class HistoryCache:
    """The histories asked for last; a commit runs inside of `changing`, and is acknowledged after it."""

    def __init__(self, limit: int = EVENTS) -> None:
        self._histories: OrderedDict[tuple[type, Id], History] = OrderedDict()
        self._lock = threading.Lock()
        self._changing: frozenset[tuple[type, Id]] = frozenset()
        self._n_changes = 0
        self._limit, self._size = limit, 0

    def get(self, user_id: Id, read: Callable[[], History]) -> History:
        """The history kept, or what ``read`` finds; that is kept unless a commit began or ended meanwhile."""
        key = (type(user_id), user_id)
        with self._lock:
            if key in self._histories:
                self._histories.move_to_end(key)
                return self._histories[key]
            n_changes = self._n_changes
        history = read()
        with self._lock:
            if n_changes == self._n_changes and key not in self._histories and key not in self._changing:
                self._histories[key] = history
                self._size += 1 + len(history.events)
                while self._size > self._limit:
                    self._drop(next(iter(self._histories)))
        return history

    @contextlib.contextmanager
    def changing(self, user_ids: Iterable[Id]) -> Iterator[None]:
        """Keep nothing of these users while a commit makes their new histories visible.

        A history kept until after the commit would be answered once more to a reader who has already seen the new one.
        """
        self._change(frozenset((type(user_id), user_id) for user_id in user_ids))
        try:
            yield
        finally:
            self._change(frozenset())

    def _change(self, changing: frozenset[tuple[type, Id]]) -> None:
        with self._lock:
            self._n_changes += 1
            self._changing = changing
            for key in changing & self._histories.keys():
                self._drop(key)

    def _drop(self, key: tuple[type, Id]) -> None:
        self._size -= 1 + len(self._histories.pop(key).events)
