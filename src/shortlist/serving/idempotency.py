"""The header Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header-07): a call that is sent again.

The first answer under a key is kept and given again. Events count once without it, by their own ids; with it the client
also hears the same answer. Kept in memory: after a restart a call that is sent again has the events as duplicates, and
one with another body under the same key is a new call.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from shortlist.serving.calls import Call
from shortlist.serving.problems import ProblemError

HEADER = "Idempotency-Key"
MOST = 10_000
"""Keys whose answers are kept; the oldest go first."""
MOST_BYTES = 16_000_000
"""Of the bodies of these calls, which are about as large as the answers."""
LONGEST = 256


class Known(NamedTuple):
    """One call: the digest and length of its body, and the answer; ``None`` = it is being answered."""

    digest: bytes
    n_bytes: int
    answer: Any = None


class Answered:
    """The answers under the keys that were sent last."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._known: OrderedDict[tuple[str, bytes], Known] = OrderedDict()
        self._n_bytes = 0

    async def once(self, call: Call, body: bytes, act: Callable[[], Awaitable[Any]]) -> Any:
        """What ``act`` returns, or what it returned for the same caller, key and body; without a key it just acts.

        Raises:
            ProblemError: the key is too long, was sent with another body, or its first call is being answered.
        """
        key = call.headers.get(HEADER.lower().encode())
        if key is None:
            return await act()
        if not 0 < len(key) <= LONGEST:
            raise ProblemError("invalid-request", f"{HEADER}: expected 1 to {LONGEST} characters, got {len(key)}.")
        place, sent = (call.caller.id, key), Known(hashlib.sha256(body).digest(), len(body))
        if known := self._known.get(place):
            if known.digest != sent.digest:
                raise ProblemError("key-reused", f"The {HEADER} was sent before, with another body.")
            if known.answer is None:
                raise ProblemError("in-flight", f"The call with this {HEADER} is being answered.", 1)
            return known.answer
        self._keep(place, sent)
        try:
            answer = await act()
        except BaseException:
            self._drop(place)  # nothing came of it: it may be tried again
            raise
        self._keep(place, sent._replace(answer=answer))
        return answer

    def _keep(self, place: tuple[str, bytes], known: Known) -> None:
        self._drop(place)
        self._known[place] = known
        self._n_bytes += known.n_bytes
        while len(self._known) > self._most or self._n_bytes > self._most_bytes:
            self._drop(next(iter(self._known)))

    def _drop(self, place: tuple[str, bytes]) -> None:
        if known := self._known.pop(place, None):
            self._n_bytes -= known.n_bytes
