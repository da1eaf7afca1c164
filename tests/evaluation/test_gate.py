"""The gate on simulated results: how often it is wrong, where the truth is known."""

import numpy as np
import pytest

from shortlist.errors import ConfigError, DataError
from shortlist.evaluation.gate import gate, gate_apart, with_doubt

RUNS = 300
OLD = 0.2


def hits(rng, n, gain):
    """Hit rates of two models: each is right for 6 % of the users where the other is not, but for the gain."""
    draw = rng.random(n)
    won, lost = draw < 0.06 + gain / 2, draw > 0.94 + gain / 2
    both = rng.random(n) < 0.15
    return np.where(won, 1.0, np.where(lost, 0.0, both)), np.where(won, 0.0, np.where(lost, 1.0, both))


def rare_hits(rng, n, gain):
    """One user in fifty differs."""
    draw = rng.random(n)
    won, lost = draw < 0.01 + gain / 2, draw > 0.99 + gain / 2
    both = rng.random(n) < 0.19
    return np.where(won, 1.0, np.where(lost, 0.0, both)), np.where(won, 0.0, np.where(lost, 1.0, both))


def gains_of_half(rng, n, gain):
    """NDCG that differs for half of the users."""
    old = rng.beta(1, 4, n)
    return old + np.where(rng.random(n) < 0.5, rng.normal(0, 0.1, n), 0) + gain, old


def skewed(rng, n, gain):
    """Many small losses, few large gains."""
    old = rng.beta(1, 4, n)
    return old + rng.exponential(0.08, n) - 0.08 + gain, old


def shares(make, n, gain, runs=RUNS, margin=0.02):
    rng = np.random.default_rng(7)
    words = [gate(*make(rng, n, gain), seed=i, resamples=400, margin=margin).word for i in range(runs)]
    return {word: words.count(word) / runs for word in ("better", "not worse", "worse", "unproven")}


MADE = [hits, rare_hits, gains_of_half, skewed]
# At a true rate of 2.5 %, more than 6 % of 300 runs come up once in some 2,000 tests.
ALARMS = 0.06


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("n", [30, 200, 1000])
def test_equal_models_are_rarely_called_better_or_worse(make, n):
    found = shares(make, n, 0.0)
    assert found["better"] <= ALARMS
    assert found["worse"] <= ALARMS


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("n", [30, 200, 1000])
def test_a_loss_just_beyond_the_margin_rarely_passes(make, n):
    found = shares(make, n, -0.0201 * OLD)
    assert found["better"] + found["not worse"] <= ALARMS


@pytest.mark.parametrize("make", MADE)
def test_a_large_loss_is_found_and_never_passes(make):
    found = shares(make, 2000, -0.03, runs=60)
    assert found["worse"] >= 0.95
    assert found["better"] == found["not worse"] == 0


@pytest.mark.parametrize("make", MADE)
def test_a_large_gain_is_found(make):
    assert shares(make, 2000, 0.04, runs=60)["better"] >= 0.95


def test_equal_models_pass_where_there_are_many_users():
    found = shares(gains_of_half, 8000, 0.0, runs=60)
    assert found["better"] + found["not worse"] >= 0.9


def test_a_wider_margin_needs_fewer_users():
    narrow, wide = (shares(gains_of_half, 400, 0.0, runs=60, margin=margin) for margin in (0.02, 0.2))
    assert wide["unproven"] < 0.1 < narrow["unproven"]


def test_the_same_lists_from_few_users_prove_nothing():
    same = np.full(40, 0.3)
    verdict = gate(same, same)
    assert verdict.word == "unproven"
    assert not verdict.passed
    assert verdict.users_needed > 40
    assert f"about {verdict.users_needed:,} users would tell" in verdict.reason


def test_the_same_lists_from_many_users_pass():
    assert gate(np.full(100, 0.3), np.full(100, 0.3)).word == "not worse"


def test_a_significant_loss_within_the_margin_passes():
    old = np.full(5000, 0.5)
    assert gate(old - 0.001, old).word == "not worse"
    assert gate(old - 0.001, old, margin=0.0).word == "worse"


def test_users_measured_with_one_model_only_do_not_count():
    rng = np.random.default_rng(1)
    new, old = gains_of_half(rng, 500, 0.05)
    extra = np.full(100, np.nan), rng.random(100)
    plain, longer = gate(new, old), gate(np.append(new, extra[0]), np.append(old, extra[1]))
    assert plain == longer
    assert longer.interval.n == 500


def test_nobody_to_compare_is_unproven():
    assert gate(np.array([np.nan]), np.array([0.5])).word == "unproven"
    assert gate(np.array([]), np.array([])).word == "unproven"


def test_one_user_is_unproven():
    assert gate(np.array([1.0]), np.array([0.0])).word == "unproven"


def test_swapping_the_models_swaps_the_words():
    new, old = gains_of_half(np.random.default_rng(3), 1000, 0.04)
    assert (gate(new, old).word, gate(old, new).word) == ("better", "worse")


def test_the_reason_has_the_figures():
    new, old = gains_of_half(np.random.default_rng(3), 1000, 0.04)
    reason = gate(new, old, metric="NDCG@10").reason
    assert reason.startswith("better: NDCG@10 ")
    assert "over 1,000 users" in reason


def test_doubt_has_the_scale_of_what_was_seen():
    few, many = np.r_[np.zeros(95), np.full(5, 0.1)], np.full(100, 0.1)
    np.testing.assert_allclose(with_doubt(few)[-2:], [0.5**0.5, -(0.5**0.5)])
    np.testing.assert_allclose(with_doubt(many)[-2:], [0.1 * 0.5**0.5, -0.1 * 0.5**0.5])


@pytest.mark.parametrize("margin", [-0.1, 1.0, float("nan")])
def test_margins_out_of_range(margin):
    with pytest.raises(ConfigError, match="margin"):
        gate(np.ones(3), np.ones(3), margin=margin)


def test_lists_are_taken_too():
    assert gate([0.1] * 200, [0.2] * 200).word == "worse"


def test_other_users_are_refused():
    with pytest.raises(DataError, match="3 and 2"):
        gate(np.ones(3), np.ones(2))


def test_means_of_other_questions():
    """Equal models are called worse in about 2.5 % of cases; one that lost a third nearly always."""
    rng = np.random.default_rng(0)
    draws = [(rng.beta(1, 4, 400), rng.beta(1, 4, 300)) for _ in range(RUNS)]
    words = [gate_apart(new, old).word for new, old in draws]
    assert words.count("worse") < 0.04 * RUNS
    assert words.count("better") < 0.05 * RUNS
    lost = [gate_apart(new * 2 / 3, old).word for new, old in draws]
    assert lost.count("worse") > 0.95 * RUNS
    assert gate_apart(np.ones(9), np.zeros(500)).word == "unproven"
    assert gate_apart(np.full(20, 0.3), np.full(30, 0.3)).passed
    assert "other questions" in gate_apart(*draws[0]).reason


def measured():
    """The table of docs/evaluation.md: shares of each word over 1,000 simulated comparisons."""
    print("| truth | users | values | better | not worse | worse | unproven |")
    for truth, gain in (("equal", 0.0), ("loses twice the margin", -0.04 * OLD), ("loses 15 %", -0.15 * OLD)):
        for n in (200, 1000, 6000):
            for make in MADE:
                found = shares(make, n, gain, runs=1000)
                figures = " | ".join(f"{found[word]:.3f}" for word in ("better", "not worse", "worse", "unproven"))
                print(f"| {truth} | {n:,} | {make.__name__} | {figures} |")


if __name__ == "__main__":
    measured()
