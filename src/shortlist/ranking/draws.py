"""What decides the draws of exploration: the same for a user all day, another for others and on other days."""

import hashlib
import time
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import DAY
from shortlist.stages import Queries


def today() -> int:
    """The UTC day, counted from 1970-01-01."""
    return int(time.time()) // DAY


def seeds(user_ids: Iterable[Any], queries: Queries, days: Iterable[int], seed: int) -> NDArray[np.uint64]:
    """uint64 (n_queries,): a seed per query, from the user's id, the day and the model's seed.

    Where there is no id (``None``), the history stands for the user.

    Args:
        user_ids: the caller's, one per query.
        days: one per query, see `today`.
        seed: of the model.
    """
    made = np.empty(len(queries), dtype=np.uint64)
    for q, (user, day) in enumerate(zip(user_ids, days, strict=True)):
        events = slice(queries.offsets[q], queries.offsets[q + 1])
        who = [type(user).__name__, str(user)] if user is not None else queries.item_rows[events].tolist()
        digest = hashlib.blake2b(msgspec.json.encode([seed, int(day), who]), digest_size=8).digest()
        made[q] = int.from_bytes(digest, "little")
    return made
