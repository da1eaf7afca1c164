"""From a ranked pool to an answer: pins, caps, what follows; and what the recorded propensities are good for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.errors import QueryError
from shortlist.ranking.caps import Cap, Count
from shortlist.ranking.draws import seeds, today
from shortlist.ranking.rerank import Filling, LastWord, Ruled, parse_dial, rerank
from shortlist.stages import Candidates, Queries

N_ITEMS = 14


def nobody(n=1):
    """Queries without history."""
    none = np.zeros(0)
    return Queries(
        np.full(n, -1, np.int32),
        np.zeros(n, np.int64),
        np.zeros(n + 1, np.int64),
        none.astype(np.int32),
        none.astype(np.int64),
        none.astype(np.float32),
        none.astype(np.float32),
    )


def candidates(rows):
    n = len(rows)
    table = np.zeros((n, 1), np.float32)
    return Candidates(
        np.array([0, n]),
        np.array(rows, np.int32),
        np.arange(n, 0, -1, dtype=np.float64),
        table,
        table,
        table.astype(np.int32),
        table > 0,
    )


def more_of(allowed, piece=2):
    """The rest of what is allowed, by falling row, in pieces."""

    def more(taken, count):
        left = [row for row in sorted(allowed, reverse=True) if row not in set(taken.tolist())]
        left = [row for row in left if count is None or count.fits(row)][:piece]
        return candidates(left) if left else None

    return more


def caps_of(groups, limit):
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in groups])]).astype(np.int64)
    return (Cap("group", limit, offsets, np.array([g for one in groups for g in one], dtype=np.int32)),)


class Editor:
    """Rules of a test: any order, any pins."""

    def __init__(self, seed, n_pins):
        self.seed, self.n_pins = seed, n_pins

    def caps(self, queries, q):
        return ()

    def act(self, queries, q, item_rows, scores):
        random = np.random.default_rng(self.seed)
        order = random.permutation(len(item_rows))
        pinned = random.permutation(len(item_rows))[: self.n_pins]
        pins = dict(zip(random.permutation(8)[: len(pinned)].tolist(), pinned.tolist(), strict=False))
        return Ruled(order, pins, dict.fromkeys(pins.values(), ("pinned",)))


@st.composite
def cases(draw):
    allowed = draw(st.sets(st.integers(0, N_ITEMS - 1), min_size=1))
    groups = draw(st.lists(st.lists(st.integers(0, 3), unique=True, max_size=2), min_size=N_ITEMS, max_size=N_ITEMS))
    seed = draw(st.integers(0, 2**32 - 1))
    return sorted(allowed), groups, seed


def answer(case, k, *, limit=None, diversity=0.0, explore=0.0, n_pins=None, n=6):
    allowed, groups, seed = case
    random = np.random.default_rng(seed)
    pool = random.permutation(allowed)[:n]
    vectors = random.standard_normal((N_ITEMS, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    word = LastWord(
        diversity,
        vectors,
        caps_of(groups, limit) if limit else (),
        explore,
        np.array([seed], np.uint64) if explore else None,
        None if n_pins is None else Editor(seed, n_pins),
    )
    scores = np.round(random.random(len(pool)), 1)
    return rerank(word, nobody(), 0, candidates(pool), scores, len(pool), k, more_of(allowed)), scores


options = st.fixed_dictionaries(
    {},
    optional={
        "limit": st.integers(1, 3),
        "diversity": st.sampled_from([0.2, 1.0]),
        "explore": st.sampled_from([0.3, 1.0]),
        "n_pins": st.integers(0, 4),
    },
)


@settings(max_examples=300)
@given(cases(), options, st.integers(1, 20))
def test_the_length_and_the_first_ones_hold_whatever_acts(case, chosen, k):
    allowed, _, _ = case
    part, _ = answer(case, k, **chosen)
    whole, _ = answer(case, N_ITEMS + 1, **chosen)
    assert sorted(whole.item_rows) == allowed
    assert len(part.item_rows) == min(k, len(allowed))
    assert part.item_rows.tolist() == whole.item_rows[:k].tolist()
    assert (part.candidates.item_rows[part.places] == part.item_rows).all()
    for got, full in ((part.propensities, whole.propensities), (part.marks, whole.marks)):
        assert (got is None) == (full is None)
        assert got is None or list(got) == list(full[:k])
    assert (part.propensities is None) == ("explore" not in chosen)
    assert part.propensities is None or ((part.propensities > 0) & (part.propensities <= 1)).all()


@settings(max_examples=300)
@given(cases(), options, st.integers(1, 20))
def test_where_nothing_acted_the_answer_is_in_the_order_of_the_score(case, chosen, k):
    done, scores = answer(case, k, **chosen)
    known = dict(zip(done.candidates.item_rows.tolist(), scores.tolist(), strict=False))
    plain, _ = answer(case, k)
    if not done.acted:
        assert done.item_rows.tolist() == plain.item_rows.tolist()
        assert [known.get(row) for row in done.item_rows.tolist() if row in known] == sorted(
            (known[row] for row in done.item_rows.tolist() if row in known), reverse=True
        )
    assert plain.acted == ()
    assert set(done.acted) <= {
        *(["caps"] if "limit" in chosen else []),
        *(["diversity"] if "diversity" in chosen else []),
        *(["exploration"] if "explore" in chosen else []),
        *(["rules"] if "n_pins" in chosen else []),
    }


@settings(max_examples=300)
@given(cases(), options, st.integers(1, 20), st.integers(1, 3))
def test_a_cap_is_exceeded_only_where_nothing_else_is_left(case, chosen, k, limit):
    allowed, groups, _ = case
    chosen = {name: value for name, value in chosen.items() if name != "n_pins"}
    done, _ = answer(case, k, **chosen | {"limit": limit})
    count = Count(caps_of(groups, limit))
    exceeding = 0
    for place, row in enumerate(done.item_rows.tolist()):
        if not count.fits(row):
            exceeding += 1
            assert not any(count.fits(other) for other in set(allowed) - set(done.item_rows[:place].tolist()))
        count.add(row)
    assert bool(done.notes) == bool(exceeding)
    if exceeding:
        assert f"the last {exceeding} item" in done.notes[0]


def test_pins_stand_where_they_are_and_count_first():
    groups = [[0], [0], [0], [1], [1], []]
    filling = Filling(4, caps_of(groups, 2), {2: 1})
    filling.offer([0, 2, 3, 4, 5])
    assert filling.items == [0, 3, 1, 4]  # 2 would be the third of its group, with the pinned one
    assert filling.overtaken == {"caps"}


def test_a_pin_beyond_the_end_comes_last_and_never_early():
    filling = Filling(5, (), {4: 0, 9: 1})
    filling.offer([0, 1, 2, 3])
    filling.complete(candidates([0, 1, 2, 3]), lambda taken, count: None)
    assert filling.items == [2, 3, 0, 1]
    short = Filling(2, (), {4: 0, 9: 1})
    short.offer([0, 1, 2, 3])
    assert short.items == [2, 3]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "0.5", None, [0.5]])
def test_a_dial_goes_from_0_to_1(value):
    with pytest.raises(QueryError, match="diversity: expected a number from 0 to 1, got"):
        parse_dial(value, "diversity")


def test_the_draws_of_a_user_are_those_of_the_day():
    users = [1, "1", None, 2]
    first = seeds(users, nobody(4), [today()] * 4, 0)
    assert first.tolist() == seeds(users, nobody(4), [today()] * 4, 0).tolist()
    assert len({*first.tolist()}) == 4
    assert not {*first.tolist()} & {*seeds(users, nobody(4), [today() + 1] * 4, 0).tolist()}
    assert not {*first.tolist()} & {*seeds(users, nobody(4), [today()] * 4, 1).tolist()}
    assert seeds([2], nobody(), [today()], 0)[0] == first[3]  # in any batch


def test_the_recorded_propensities_tell_what_another_policy_would_have_earned():
    """Inverse propensity weighting (Horvitz and Thompson 1952) on a simulated log of answers of two items."""
    clicks = np.array([0.1, 0.2, 0.5, 0.8])  # of the items, in the order of a score that has it the wrong way round
    pool, scores, n_answers = candidates(range(4)), np.array([4.0, 3.0, 2.0, 1.0]), 12_000
    users = range(n_answers)
    word = LastWord(explore=0.4, seeds=seeds(users, nobody(n_answers), [20_000] * n_answers, 7))
    random = np.random.default_rng(0)
    worth, weights, shown = np.zeros(n_answers), np.zeros(n_answers), np.zeros(n_answers)
    queries = nobody(n_answers)
    for q in users:
        done = rerank(word, queries, q, pool, scores, 4, 2, lambda taken, count: None)
        rewards = random.random(2) < clicks[done.item_rows]
        shown[q] = rewards.sum()
        other_policy = done.item_rows.tolist() == [3, 2]  # would always answer these two
        weights[q] = other_policy / done.propensities.prod()
        worth[q] = weights[q] * rewards.sum()
    truth = clicks[3] + clicks[2]
    error = worth.std() / np.sqrt(n_answers)
    assert abs(worth.mean() - truth) < 4 * error
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(n_answers)
    assert 4 * error < truth - shown.mean()  # what the log shows as it is would say something else
