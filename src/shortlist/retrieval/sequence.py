"""A transformer over the history's items, answered in NumPy: the sequence source."""

from dataclasses import dataclass

import numpy as np

from shortlist.data.log import Floats, Mask, Rows, Times
from shortlist.retrieval.encoder import HistoryEncoder, gap_rows, layer_norm, softmax


@dataclass(frozen=True)
class SequenceEncoder(HistoryEncoder):
    """SASRec (Kang and McAuley 2018, arXiv:1808.09781) with pre-norm blocks and relative instead of absolute positions.

    The item vectors, times the root of d, are the input. Each block adds causal attention and a two-layer network:

        x ← x + softmax(q kᵀ / √(d / h) + r + g) v · out,    x ← x + relu(y · w₁ + b₁) · w₂ + b₂

    with q, k, v and y from the normed x and, in each head, one number r per distance between two events and one g per
    order of magnitude of the time between them. The query vector is the normed x of the last event; the last block is
    computed for that one alone.

    Attributes:
        item_vectors: float32 (n_items, d).
        item_biases: float32 (n_items,).
        known_items: bool (n_items,), items with at least one training event.
        attention_norms: float32 (n_blocks, 2, d), scale and shift.
        attention_inputs: float32 (n_blocks, d, 3 d), to q, k and v.
        attention_outputs: float32 (n_blocks, d, d).
        distances: float32 (n_blocks, n_heads, max_length), the r; distance 0 = the event itself.
        gaps: float32 (n_blocks, n_heads, n_gaps), the g, by `gap_rows`; n_gaps = 1 where times are only an order.
        network_norms: float32 (n_blocks, 2, d).
        network_weights_1, network_biases_1: float32 (n_blocks, d, w), (n_blocks, w).
        network_weights_2, network_biases_2: float32 (n_blocks, w, d), (n_blocks, d).
        final_norm: float32 (2, d).
    """

    name: str
    item_vectors: Floats
    item_biases: Floats
    known_items: Mask
    attention_norms: Floats
    attention_inputs: Floats
    attention_outputs: Floats
    distances: Floats
    gaps: Floats
    network_norms: Floats
    network_weights_1: Floats
    network_biases_1: Floats
    network_weights_2: Floats
    network_biases_2: Floats
    final_norm: Floats

    @property
    def max_length(self) -> int:
        return int(self.distances.shape[2])

    def encode(self, item_rows: Rows, timestamps: Times, user_row: int) -> Floats:
        d = self.item_vectors.shape[1]
        x = self.item_vectors[item_rows] * np.float32(np.sqrt(d))  # (n, d)
        n_blocks = len(self.distances)
        for block in range(n_blocks):
            x = self._block(block, x, timestamps, n_queries=1 if block == n_blocks - 1 else len(x))
        final: Floats = layer_norm(x[-1], *self.final_norm)
        return final

    def _block(self, block: int, x: Floats, timestamps: Times, n_queries: int) -> Floats:
        """float32 (n_queries, d): the block's output for the last so many events of x (n, d)."""
        n, d = x.shape
        n_heads = self.distances.shape[1]
        y = layer_norm(x, *self.attention_norms[block])
        x = x[-n_queries:]
        inputs = self.attention_inputs[block]
        q = self._heads(y[-n_queries:] @ inputs[:, :d])  # (h, n_queries, d / h)
        k = self._heads(y @ inputs[:, d : 2 * d])
        v = self._heads(y @ inputs[:, 2 * d :])
        logits = q @ k.transpose(0, 2, 1) * np.float32((d // n_heads) ** -0.5)  # (h, n_queries, n)
        distance = np.arange(n - n_queries, n)[:, None] - np.arange(n)  # (n_queries, n), < 0 = not yet
        logits += np.where(distance >= 0, self.distances[block][:, np.maximum(distance, 0)], -np.inf)
        n_gaps = self.gaps.shape[2]
        if n_gaps > 1:
            logits += self.gaps[block][:, gap_rows(timestamps[-n_queries:, None] - timestamps, n_gaps)]
        attended = (softmax(logits) @ v).transpose(1, 0, 2).reshape(n_queries, d)
        x = x + attended @ self.attention_outputs[block]
        y = layer_norm(x, *self.network_norms[block])
        hidden = np.maximum(y @ self.network_weights_1[block] + self.network_biases_1[block], 0)
        out: Floats = x + hidden @ self.network_weights_2[block] + self.network_biases_2[block]
        return out

    def _heads(self, x: Floats) -> Floats:
        """(n, d) -> (h, n, d / h)."""
        n_heads = self.distances.shape[1]
        return x.reshape(len(x), n_heads, -1).transpose(1, 0, 2)
