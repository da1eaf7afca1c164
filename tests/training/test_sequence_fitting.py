"""The transformer's fit on logs whose structure is known, and the same answer in torch and NumPy."""

from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
import torch

from shortlist.data.synthetic import chain, shop, shuffled_items
from shortlist.errors import ConfigError, DataError
from shortlist.neural_settings import SequenceSettings
from shortlist.retrieval.sequence import SequenceEncoder
from shortlist.stages import stored_queries
from shortlist.training import history_fit
from shortlist.training.histories import Histories
from shortlist.training.history_fit import Fit, HeldOut, hardly_repeats, hold_out
from shortlist.training.retrieval.sequence import Transformer, fit_sequence

SMALL = SequenceSettings(dimension=16, blocks=1, heads=2, max_length=20, epochs=30, learning_rate=0.01, batch_size=256)


def hit_rate(encoder, log, held_out, k=3):
    """Share of the held-out events whose item is among the first k, of those that the history does not hold."""
    users, first = np.unique(held_out.user_rows, return_index=True)
    queries = stored_queries(log, users.astype(np.int32), np.full(len(users), log.end), strictly_before=False)
    asked = HeldOut(queries, held_out.item_rows[first], unseen_only=True)
    scores = encoder.score_catalogue(queries)
    own = scores[np.arange(len(users)), asked.item_rows][:, None]
    scores[queries.event_queries, queries.item_rows] = np.nan
    return float(((scores >= own).sum(axis=1) <= k).mean())


def parts(dataset):
    log = dataset.log()
    return log.take(log.positions_from_end >= 1), log.take(log.positions_from_end == 0)


def same_arrays(one, other):
    arrays = [f.name for f in fields(SequenceEncoder) if isinstance(getattr(one, f.name), np.ndarray)]
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in arrays)


@pytest.fixture(scope="module")
def log():
    return chain().log()


def test_learns_what_follows():
    train, held_out = parts(chain(200))
    encoder, epochs = fit_sequence(train, SMALL, seed=0, epochs=20)
    assert epochs == 20
    assert hit_rate(encoder, train, held_out) > 0.8  # one step in ten strays
    train, held_out = parts(shuffled_items(chain(200)))
    encoder, _ = fit_sequence(train, SMALL, seed=0, epochs=20)
    assert hit_rate(encoder, train, held_out) < 0.3  # by chance 3 of about 15


def test_a_sampled_catalogue_teaches_the_same(monkeypatch):
    monkeypatch.setattr(history_fit, "FULL_SOFTMAX_ITEMS", 10)
    train, held_out = parts(chain(200))
    settings = msgspec.structs.replace(SMALL, negatives=8, batch_size=128)
    encoder, _ = fit_sequence(train, settings, seed=0, epochs=20)
    assert hit_rate(encoder, train, held_out) > 0.8


def test_an_item_is_compared_as_often_as_its_q_says(monkeypatch, make_log):
    """Uniform and in-batch negatives together: q is the probability that an item is among either."""
    monkeypatch.setattr(history_fit, "FULL_SOFTMAX_ITEMS", 10)
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(12, 0.5))
    log = make_log(np.arange(4000) % 50, np.append(np.arange(12), rng.choice(12, 3988, p=shares)), 50, 14)
    settings = msgspec.structs.replace(SMALL, negatives=5)
    fit = Fit(Transformer(log, settings, 0, "s"), log, settings, 0, ordered=True, unseen_only=False)
    n, batch = 4000, 10
    counts, stated = np.zeros(14), np.full(14, -np.inf)
    for _ in range(n):
        items, log_q = fit._compared(torch.from_numpy(rng.choice(log.item_rows, batch).astype(np.int64)))
        counts[items] += 1
        stated[items] = log_q
    assert counts[12:].tolist() == [0, 0]  # items without an event are never drawn
    q = np.exp(stated[:12])
    np.testing.assert_allclose(counts[:12] / n, q, atol=4 * np.sqrt(0.25 / n))
    every = msgspec.structs.replace(SMALL, negatives=5_000)
    fit = Fit(Transformer(log, every, 0, "s"), log, every, 0, ordered=True, unseen_only=False)
    items, log_q = fit._compared(torch.zeros(1, dtype=torch.int64))
    assert items.tolist() == list(range(12))
    np.testing.assert_allclose(log_q, 0, atol=1e-6)  # then it is the full softmax


@pytest.mark.parametrize("in_seconds", [True, False])
def test_torch_and_numpy_say_the_same(make_log, in_seconds):
    settings = SequenceSettings(dimension=64, blocks=2, heads=2, max_length=50, dropout=0)
    rng = np.random.default_rng(0)
    log = make_log(np.repeat([0, 1, 2], [51, 20, 2]), rng.integers(0, 300, 73), 3, 300)
    log = replace(log, timestamps=np.cumsum(2 ** rng.integers(0, 20, 73)), in_seconds=in_seconds)
    model = Transformer(log, settings, 0, "sequence")
    for weight in model.weights.values():
        weight.data += torch.from_numpy(rng.normal(0, 0.05, weight.shape).astype(np.float32))
    encoder = model.encoder({name: weight.detach() for name, weight in model.weights.items()})
    assert encoder.gaps.shape[2] == (32 if in_seconds else 1)
    n = 0
    for batch in Histories(log).batches(50, 1000, 1000, rng):
        vectors = model.encode(batch).detach()
        scores = (vectors @ model.weights["item_vectors"].T + model.weights["item_biases"][:, 0]).detach().numpy()
        for line, items in enumerate(batch.item_rows.numpy()):
            for t in np.flatnonzero(batch.weights[line] > 0):
                times = batch.timestamps[line, : t + 1].numpy()
                answered = encoder.encode(items[: t + 1].astype(np.int32), times, -1)
                np.testing.assert_allclose(answered, vectors[line, t].numpy(), atol=1e-5)
                products = encoder.item_vectors @ answered + encoder.item_biases
                np.testing.assert_allclose(products, scores[line, t], atol=1e-5, rtol=1e-5)
                n += 1
    assert n == 70


def test_same_seed_same_bits(log):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, again, other = (fit_sequence(log, SMALL, seed=seed, epochs=2)[0] for seed in (5, 5, 6))
    assert same_arrays(first, again)
    assert not same_arrays(first, other)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_stops_at_the_best_epoch(log):
    settings = msgspec.structs.replace(SMALL, epochs=25, patience=2, learning_rate=0.03)
    stopped, epochs = fit_sequence(log, settings, seed=1)
    assert 1 <= epochs < 25
    rest, held_out = hold_out(log, 1, True)
    by_epoch = [fit_sequence(rest, settings, seed=1, epochs=n)[0] for n in range(1, epochs + 2)]
    assert same_arrays(by_epoch[epochs - 1], stopped)
    losses = [held_out.loss(encoder) for encoder in by_epoch]
    assert int(np.argmin(losses)) == epochs - 1


def test_a_large_log_is_read_fewer_times(log):
    def epochs(**settings):
        changed = msgspec.structs.replace(SMALL, **settings)
        return Fit(Transformer(log, changed, 0, "s"), log, changed, 0, ordered=True, unseen_only=True).epochs

    per_epoch = (len(log) - log.n_users) * (log.n_items + 4_000)
    assert epochs() == SMALL.epochs
    assert epochs(cells=7 * per_epoch) == 7
    assert epochs(cells=7 * per_epoch - 1) == 6
    assert epochs(cells=1) == 1
    _, n = fit_sequence(log, msgspec.structs.replace(SMALL, cells=2 * per_epoch, patience=30), seed=0)
    assert n <= 2


def test_hold_out_takes_last_positives(make_log):
    log = make_log([0, 1, 0, 2, 1, 0, 3], [1, 2, 3, 4, 5, 6, 7], 5, 9, weights=[1, 1, 1, 1, 1, 0, 1])
    rest, held_out = hold_out(log, 0, True)
    assert rest.item_rows.tolist() == [1, 2, 4, 7]  # users 2 and 3 keep their only event
    assert held_out.queries.user_rows.tolist() == [0, 1]
    assert held_out.item_rows.tolist() == [3, 5]
    assert held_out.queries.item_rows.tolist() == [1, 2]


def test_hold_out_without_order_takes_any(make_log):
    log = make_log(np.repeat(np.arange(50), 10), np.tile(np.arange(10), 50), 50, 10)
    rest, held_out = hold_out(log, 0, True, ordered=False)
    assert len(rest) == 450
    assert len(np.unique(held_out.item_rows)) > 5
    for user, item in zip(held_out.queries.user_rows, held_out.item_rows, strict=True):
        assert item not in rest.item_rows[rest.user_rows == user]


def test_hold_out_loss_by_hand(make_log):
    rest = make_log([0, 1, 2], [0, 1, 2], 3, 4)
    queries = stored_queries(rest, np.arange(3, dtype=np.int32), np.full(3, 9))

    class Fixed:
        def score_catalogue(self, queries):
            return np.array([[9, 3, 2, 1], [4, 9, 4, np.nan], [1, 2, 9, np.nan]], dtype=np.float32)[queries.user_rows]

    held_out = HeldOut(queries, np.array([2, 0, 3]), unseen_only=True)
    # Ranks 2, 1.5 (a tie with one other) and a miss; seen items left out.
    assert held_out.loss(Fixed()) == pytest.approx(-(1 / np.log2(3) + 1 / np.log2(2.5)) / 3)
    kept = HeldOut(queries, np.array([2, 0, 3]), unseen_only=False)
    assert kept.loss(Fixed()) == pytest.approx(-(1 / np.log2(4) + 1 / np.log2(3.5)) / 3)


def test_repeats_are_noticed(log):
    assert hardly_repeats(log)
    assert not hardly_repeats(shop().log())


def test_repeats_are_learned():
    train, _ = parts(shop())
    encoder, _ = fit_sequence(train, SMALL, seed=0, epochs=20)
    users = np.arange(train.n_users, dtype=np.int32)
    queries = stored_queries(train, users, np.full(len(users), train.end))
    scores = np.nan_to_num(encoder.score_catalogue(queries), nan=-np.inf)
    best = scores.argmax(axis=1)
    again = [item in queries.item_rows[queries.event_queries == q] for q, item in enumerate(best)]
    assert np.mean(again) > 0.8


def test_nobody_with_two_events(make_log):
    encoder, epochs = fit_sequence(make_log([0, 1, 2], [0, 0, 1], 3, 3), SMALL, seed=0)
    assert epochs == 1
    scores = encoder.score_catalogue(
        stored_queries(make_log([0], [1], 1, 3), np.array([0], dtype=np.int32), np.array([9]))
    )
    assert scores[0, 0] > scores[0, 1]  # popularity is all there is
    assert np.isnan(scores[0, 2])


def test_refuses_what_cannot_be_fitted(log):
    empty = replace(log, weights=np.zeros(len(log), dtype=np.float32))
    with pytest.raises(DataError, match="weight above 0"):
        fit_sequence(empty, SMALL, seed=0)
    with pytest.raises(ConfigError, match="3 heads"):
        fit_sequence(log, msgspec.structs.replace(SMALL, heads=3), seed=0)
    with pytest.raises(ConfigError, match="no longer finite"):
        fit_sequence(log, msgspec.structs.replace(SMALL, learning_rate=1e30), seed=0, epochs=3)
