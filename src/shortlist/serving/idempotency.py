"""The header Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header-07): a call that is sent again.

The first answer under a key is kept and given again. Events count once without it, by their own ids; with it the client
also hears the same answer. Kept in memory: after a restart the events are duplicates, and say so.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from shortlist.serving.calls import Call
from shortlist.serving.problems import ProblemError

HEADER = "Idempotency-Key"
MOST = 10_000
"""Keys whose answers are kept; the oldest go first."""
LONGEST = 256


class Answered:
    """The answers under the keys that were sent last."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, bytes], tuple[bytes, Any]] = OrderedDict()

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
        place, digest = (call.caller.id, key), hashlib.sha256(body).digest()
        if place in self._known:
            sent, answer = self._known[place]
            if sent != digest:
                raise ProblemError("key-reused", f"The {HEADER} was sent before, with another body.")
            if answer is None:
                raise ProblemError("in-flight", f"The call with this {HEADER} is being answered.", 1)
            return answer
        self._known[place] = digest, None
        try:
            answer = await act()
        except BaseException:
            self._known.pop(place, None)  # nothing came of it: it may be tried again
            raise
        self._known[place] = digest, answer
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return answer
