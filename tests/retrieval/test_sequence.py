"""The transformer's answering side: by hand, against plain loops, and as a source."""

from typing import ClassVar

import numpy as np
import pytest
from made_logs import make_queries
from source_contract import HistorySourceContract

from shortlist.neural_settings import SequenceSettings
from shortlist.retrieval.encoder import layer_norm, softmax
from shortlist.retrieval.sequence import SequenceEncoder
from shortlist.training.retrieval.sequence import fit_sequence

SMALL = SequenceSettings(dimension=8, max_length=10, epochs=60, blocks=1, learning_rate=0.01)


def random_encoder(n_items=9, d=8, heads=2, blocks=2, max_length=6, width=5, n_gaps=4, seed=0):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(0, 0.5, shape).astype(np.float32)

    return SequenceEncoder(
        "sequence",
        draw(n_items, d),
        draw(n_items),
        np.arange(n_items) != 4,
        draw(blocks, 2, d),
        draw(blocks, d, 3 * d),
        draw(blocks, d, d),
        draw(blocks, heads, max_length),
        draw(blocks, heads, n_gaps),
        draw(blocks, 2, d),
        draw(blocks, d, width),
        draw(blocks, width),
        draw(blocks, width, d),
        draw(blocks, d),
        draw(2, d),
    )


def slow_encoding(e, items, times):
    """The query vector of the last item, event by event and head by head in float64, every block in full."""
    d, heads = e.item_vectors.shape[1], e.distances.shape[1]
    size = d // heads
    x = [e.item_vectors[item].astype(np.float64) * d**0.5 for item in items]

    def normed(v, norm):
        return (v - v.mean()) / (v.var() + 1e-5) ** 0.5 * norm[0] + norm[1]

    for block in range(len(e.distances)):
        y = [normed(v, e.attention_norms[block]) @ e.attention_inputs[block] for v in x]
        out = []
        for t in range(len(x)):
            attended = np.zeros(d)
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                q = y[t][:d][part]
                weights = np.array(
                    [
                        np.exp(
                            q @ y[s][d : 2 * d][part] / size**0.5
                            + e.distances[block, head, t - s]
                            + e.gaps[block, head, min(int(times[t] - times[s]).bit_length(), e.gaps.shape[2] - 1)]
                        )
                        for s in range(t + 1)
                    ]
                )
                values = [y[s][2 * d :][part] for s in range(t + 1)]
                attended[part] = sum(w * v for w, v in zip(weights / weights.sum(), values, strict=True))
            v = x[t] + attended @ e.attention_outputs[block]
            hidden = normed(v, e.network_norms[block]) @ e.network_weights_1[block] + e.network_biases_1[block]
            out.append(v + np.maximum(hidden, 0) @ e.network_weights_2[block] + e.network_biases_2[block])
        x = out
    return normed(x[-1], e.final_norm)


class TestSequenceEncoder(HistorySourceContract):
    fitted: ClassVar[dict[bytes, SequenceEncoder]] = {}

    def make_source(self, log):
        key = log.item_rows.tobytes()  # that a second fit gives the same bits: tests/training/test_sequence_fitting.py
        if key not in self.fitted:
            self.fitted[key] = fit_sequence(log, SMALL, seed=0, epochs=40)[0]
        return self.fitted[key]


@pytest.mark.parametrize(("heads", "blocks"), [(1, 1), (2, 1), (2, 2), (4, 3)])
@pytest.mark.parametrize("items", [[3], [0, 1, 2], [5, 5, 1, 8, 0, 2]])
def test_encodes_as_plain_loops_do(heads, blocks, items):
    encoder = random_encoder(heads=heads, blocks=blocks)
    times = np.array([5, 5, 6, 8, 8, 999])[: len(items)]
    expected = slow_encoding(encoder, items, times)
    np.testing.assert_allclose(encoder.encode(np.array(items, dtype=np.int32), times, -1), expected, atol=2e-5)


def test_times_matter_where_they_are_times():
    items = np.array([1, 2, 3], dtype=np.int32)
    early, late = np.array([0, 10, 11]), np.array([0, 1, 11])
    timed, untimed = random_encoder(n_gaps=4), random_encoder(n_gaps=1)
    assert np.abs(timed.encode(items, early, -1) - timed.encode(items, late, -1)).max() > 1e-3
    assert untimed.encode(items, early, -1).tobytes() == untimed.encode(items, late, -1).tobytes()
    assert timed.encode(items, early, -1).tobytes() == timed.encode(items, early + 10**9, -1).tobytes()


def test_the_order_matters():
    encoder = random_encoder()
    scores = encoder.score_catalogue(make_queries([[1, 2, 3], [2, 1, 3]]))
    assert np.abs(scores[0] - scores[1])[encoder.known_items].max() > 1e-3


def test_only_the_latest_events_are_read():
    encoder = random_encoder(max_length=3)
    scores = encoder.score_catalogue(make_queries([[0, 8, 1, 2, 3], [7, 1, 2, 3], [1, 2, 3], [2, 3]]))
    # Times in made queries rise by one: gaps are the same in all.
    assert scores[0].tobytes() == scores[1].tobytes() == scores[2].tobytes()
    assert scores[2].tobytes() != scores[3].tobytes()


def test_items_without_a_vector_are_neither_read_nor_scored():
    encoder = random_encoder()
    queries = make_queries([[4, 1, 4, 2], [1, 2], [4], []])
    queries.timestamps[:] = 7
    scores = encoder.score_catalogue(queries)
    assert scores[0].tobytes() == scores[1].tobytes()
    np.testing.assert_array_equal(np.isnan(scores[0]), ~encoder.known_items)
    assert np.isnan(scores[2:]).all()


def test_norm_and_softmax():
    x = np.array([[1, 2, 6], [-1, -1, -1]], dtype=np.float32)
    normed = layer_norm(x, np.full(3, 2, np.float32), np.full(3, 1, np.float32))
    np.testing.assert_allclose(normed.mean(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(normed.std(axis=1), [2, 0], atol=1e-5)
    shares = softmax(np.array([[1000, 1000, -np.inf], [0, np.log(3), -1000]], dtype=np.float32))
    np.testing.assert_allclose(shares, [[0.5, 0.5, 0], [0.25, 0.75, 0]], atol=1e-6)
    assert shares.dtype == np.float32
