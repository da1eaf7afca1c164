"""Two towers whose user tower reads the history: attention over item vectors, answered in NumPy."""

from dataclasses import dataclass

import numpy as np

from shortlist.data.log import Floats, Mask, Rows, Times
from shortlist.retrieval.encoder import HistoryEncoder, gap_rows, layer_norm, softmax


@dataclass(frozen=True)
class HistoryTower(HistoryEncoder):
    """The query vector is a weighted mean of the history's item vectors, turned by a matrix, plus the user's own:

        q = norm(Σ_e w_e y_e P + w_0 · prior + u),    w = softmax over e of (y_e · a + r + g), and 0

    with one number r per position from the end and one g per order of magnitude of the time before the last event. The
    softmax has one more place, of logit 0, so that a short history leaves room for the prior.

    An item's vector, made of its id, attributes and words when it is fitted, serves in the history and as the target.

    Attributes:
        item_vectors: float32 (n_items, d).
        item_biases: float32 (n_items,).
        known_items: bool (n_items,), items with a training event or an attribute.
        attention: float32 (d,), the a.
        distances: float32 (max_length,), the r; distance 0 = the last event.
        gaps: float32 (n_gaps,), the g, by `gap_rows`; n_gaps = 1 where times are only an order.
        projection: float32 (d, d), the P.
        prior: float32 (d,).
        user_vectors: float32 (n_users + 1, d), the u, from id and attributes; the last row is the unknown user's. Where
            nothing tells users apart, it is the only one.
        final_norm: float32 (2, d), scale and shift.
    """

    name: str
    item_vectors: Floats
    item_biases: Floats
    known_items: Mask
    attention: Floats
    distances: Floats
    gaps: Floats
    projection: Floats
    prior: Floats
    user_vectors: Floats
    final_norm: Floats

    @property
    def max_length(self) -> int:
        return len(self.distances)

    def encode(self, item_rows: Rows, timestamps: Times, user_row: int) -> Floats:
        y = self.item_vectors[item_rows]  # (n, d)
        n = len(y)
        logits = np.zeros(n + 1, dtype=np.float32)  # the last place is the prior's
        gaps = gap_rows(timestamps[-1] - timestamps, len(self.gaps))
        logits[:n] = y @ self.attention + self.distances[n - 1 :: -1] + self.gaps[gaps]
        shares = softmax(logits)
        user = self.user_vectors[user_row if user_row < len(self.user_vectors) - 1 else -1]
        vector = (shares[:n] @ y) @ self.projection + shares[n] * self.prior + user
        query: Floats = layer_norm(vector, *self.final_norm)
        return query
