"""A history encoded as a query vector, against item vectors."""

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Mask, Rows, Times
from shortlist.stages import Queries, Source

N_GAPS = 32
"""`gap_rows` of up to 34 years of seconds and longer ones."""


class HistoryEncoder(Source):
    """A subclass says how it encodes a history; the score of an item is its dot product with that, plus its bias.

    Only positive events of items that have a vector count, and of them the latest `max_length`. Where none is left the
    source abstains.

    Attributes:
        item_vectors: float32 (n_items, d).
        item_biases: float32 (n_items,).
        known_items: bool (n_items,), items whose vector says something; the others have no evidence.
    """

    proposes_above: ClassVar[float] = -math.inf

    item_vectors: Floats
    item_biases: Floats
    known_items: Mask

    @property
    @abstractmethod
    def max_length(self) -> int:
        """How many latest events are read."""

    @abstractmethod
    def encode(self, item_rows: Rows, timestamps: Times, user_row: int) -> Floats:
        """float32 (d,): the query vector.

        Args:
            item_rows: int32 (n,), items with a vector, oldest first; 1 to `max_length` of them.
            timestamps: int64 (n,), when each was taken up.
            user_row: -1 = unknown.
        """

    def score_catalogue(self, queries: Queries) -> Floats:
        scores = np.full((len(queries), len(self.item_vectors)), np.nan, dtype=np.float32)
        counts = (queries.weights > 0) & self.known_items[queries.item_rows]  # (n_events,)
        for q, user_row in enumerate(queries.user_rows.tolist()):
            # One query at a time, never a block: its bits do not depend on the batch.
            events = slice(queries.offsets[q], queries.offsets[q + 1])
            item_rows = queries.item_rows[events][counts[events]][-self.max_length :]
            timestamps = queries.timestamps[events][counts[events]][-self.max_length :]
            if len(item_rows):
                products = self.item_vectors @ self.encode(item_rows, timestamps, user_row)  # (n_items,)
                scores[q] = np.where(self.known_items, products + self.item_biases, np.nan)
        return scores


def gap_rows(gaps: Times, n_gaps: int) -> NDArray[np.int64]:
    """Lengths of time by order of magnitude: how many binary digits each has, at most n_gaps − 1; below 0 as 0.

    >>> gap_rows(np.array([0, 1, 2, 3, 4, 86_400]), 32)
    array([ 0,  1,  2,  2,  3, 17])
    """
    digits = np.frexp(np.maximum(gaps, 0).astype(np.float64))[1]
    return np.minimum(digits, n_gaps - 1).astype(np.int64)


def layer_norm(x: Floats, scale: Floats, shift: Floats) -> Floats:
    """Each row with mean 0 and variance 1 over the last axis, times the scale, plus the shift (ε = 1e-5 as in torch).

    >>> layer_norm(np.array([[1, 3]], dtype=np.float32), np.ones(2, np.float32), np.zeros(2, np.float32)).round(3)
    array([[-1.,  1.]], dtype=float32)
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    normed: NDArray[np.float32] = centred / np.sqrt(variance + np.float32(1e-5)) * scale + shift
    return normed


def softmax(logits: Floats) -> Floats:
    """Over the last axis; -inf gives 0.

    >>> softmax(np.array([0, 0, -np.inf], dtype=np.float32))
    array([0.5, 0.5, 0. ], dtype=float32)
    """
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares
