"""Intervals and tests: against known distributions, at their stated error rates, and by hand."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.errors import ConfigError, DataError
from shortlist.evaluation import significance
from shortlist.evaluation.significance import (
    MAX_UNITS,
    Interval,
    bootstrap_interval,
    bootstrap_intervals,
    holm,
    paired_interval,
    randomisation_test,
    ratio_interval,
)

# Intervals --------------------------------------------------------------------


@pytest.mark.parametrize("n", [400, 6_040, 10_001, 50_000])
@pytest.mark.parametrize(("level", "z"), [(0.95, 1.959964), (0.68, 0.994458)])
def test_the_interval_is_the_analytic_one_for_many_normal_values(n, level, z):
    values = np.sort(np.random.default_rng(n).normal(3, 2, n))  # groups of neighbours would be far too wide
    interval = bootstrap_interval(values, level=level)
    half = z * values.std() / math.sqrt(n)
    assert interval.n == n
    assert interval.mean == pytest.approx(values.mean(), rel=1e-12)
    assert interval.mean - interval.low == pytest.approx(half, rel=0.05)
    assert interval.high - interval.mean == pytest.approx(half, rel=0.05)


def test_the_interval_of_shares_is_binomial():
    values = np.repeat([0.0, 1.0], [900, 100])
    interval = bootstrap_interval(values)
    assert interval.low == pytest.approx(0.082, abs=0.0015)  # binomial quantiles of 1000 draws at 0.1: 82 and 119
    assert interval.high == pytest.approx(0.119, abs=0.0015)


@pytest.mark.parametrize("max_units", [10_000, 100])
def test_intervals_contain_the_truth_as_often_as_they_say(max_units, monkeypatch):
    monkeypatch.setattr(significance, "MAX_UNITS", max_units)
    rng = np.random.default_rng(11)
    inside = 0
    for trial in range(500):
        interval = bootstrap_interval(rng.exponential(1, 250), seed=trial, resamples=400, level=0.9)
        inside += interval.low <= 1 <= interval.high
    assert 0.85 <= inside / 500 <= 0.93  # 0.9, less what a skewed distribution costs; the standard error is 0.013


def test_users_without_a_value_are_left_out():
    values = np.random.default_rng(0).random(50)
    with_gaps = np.insert(values, [0, 20, 50], np.nan)
    assert bootstrap_interval(with_gaps) == bootstrap_interval(values)


def test_the_seed_decides():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_blocks_do_not_change_the_interval(monkeypatch):
    values = np.random.default_rng(0).random(64)
    whole = bootstrap_interval(values, resamples=300)
    monkeypatch.setattr(significance, "CELLS_PER_BLOCK", 64 * 7)
    blocked = bootstrap_interval(values, resamples=300)
    assert [blocked.low, blocked.high] == pytest.approx([whole.low, whole.high], rel=1e-12)


def test_fewer_than_two_users_have_no_interval():
    nobody, one = bootstrap_interval(np.array([np.nan])), bootstrap_interval(np.array([0.5, np.nan]))
    assert math.isnan(nobody.mean)
    assert (one.mean, one.n, nobody.n) == (0.5, 1, 0)
    assert all(map(math.isnan, (nobody.low, nobody.high, one.low, one.high)))


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_the_interval_lies_among_the_values(drawn):
    interval = bootstrap_interval(np.array(drawn), resamples=50)
    slack = 1e-9
    assert min(drawn) - slack <= interval.low <= interval.high <= max(drawn) + slack


def test_paired_interval_uses_the_users_that_both_have():
    a = np.array([0.5, 0.75, np.nan, 0.25, np.inf])
    b = np.array([0.25, 0.5, 0.5, np.nan, 0.0])
    assert paired_interval(a, b) == Interval(0.25, 0.25, 0.25, 2)


def test_pairing_removes_what_users_have_in_common():
    rng = np.random.default_rng(2)
    user = rng.normal(0, 10, 300)
    a, b = user + 0.5 + rng.normal(0, 1, 300), user + rng.normal(0, 1, 300)
    together, apart = paired_interval(a, b), bootstrap_interval(a)
    assert together.low > 0
    assert together.high - together.low < (apart.high - apart.low) / 4
    swapped = paired_interval(b, a)
    assert [-swapped.high, -swapped.low] == pytest.approx([together.low, together.high])


def test_what_cannot_be_resampled_is_refused():
    pair = np.array([1.0, 2.0])
    for function in (paired_interval, randomisation_test):
        with pytest.raises(DataError, match="there are 2 and 1 values"):
            function(pair, pair[:1])
        with pytest.raises(DataError, match=r"got the shape \(1, 2\)"):
            function(pair[None], pair[None])
        with pytest.raises(ConfigError, match="`resamples` must be at least 1; it is 0"):
            function(pair, pair, resamples=0)
    with pytest.raises(DataError, match="1 are infinite"):
        bootstrap_interval(np.array([1, np.inf]))
    for level in (0, 1, 95, float("nan")):
        with pytest.raises(ConfigError, match="`level` must lie between 0 and 1"):
            bootstrap_interval(pair, level=level)


# Randomisation ----------------------------------------------------------------


@pytest.mark.parametrize("max_units", [10_000, 30])
def test_false_alarms_come_at_the_stated_rate(max_units, monkeypatch):
    monkeypatch.setattr(significance, "MAX_UNITS", max_units)
    rng = np.random.default_rng(4)
    p_values = np.array(
        [
            randomisation_test(*rng.exponential(1, (2, 70)), seed=trial, resamples=199)  # skewed, but exchangeable
            for trial in range(1500)
        ]
    )
    for level in (0.05, 0.2, 0.5):
        expected_error = math.sqrt(level * (1 - level) / 1500)
        assert abs((p_values <= level).mean() - level) < 3 * expected_error


def test_an_effect_is_found():
    rng = np.random.default_rng(6)
    b = rng.random(200)
    assert randomisation_test(b + 0.1 + rng.normal(0, 0.2, 200), b) == 1 / 10_001
    found = [randomisation_test(rng.normal(0.3, 1, 100), np.zeros(100), resamples=499) < 0.05 for _ in range(200)]
    assert 0.75 <= np.mean(found) <= 0.92  # the power of a t-test here is 0.84


def test_the_p_value_is_the_share_of_all_sign_patterns():
    differences = np.array([0.1, 0.2, 0.3, 0.3, 0.6, -0.1, -0.4])
    sums = np.array(
        [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in product([-1, 1], repeat=7)]
    )
    exact = (sums >= differences.sum() - 1e-9).mean()
    assert randomisation_test(differences, np.zeros(7), resamples=40_000) == pytest.approx(exact, abs=0.01)


def test_rounding_does_not_break_ties():
    differences = np.array([0.1, 0.2, 0.3, 0.7])  # half of the patterns with one sign: 2 of 16 are as extreme
    p = randomisation_test(differences, np.zeros(4), resamples=40_000)
    assert p == pytest.approx(2 / 16, abs=0.008)


def test_users_without_a_difference_change_nothing():
    rng = np.random.default_rng(8)
    a, b = rng.random((2, 40))
    same = np.full(500, 0.3)
    assert randomisation_test(np.append(a, same), np.append(b, same)) == randomisation_test(a, b)


def test_equal_models_and_no_users():
    values = np.random.default_rng(0).random(30)
    assert randomisation_test(values, values) == 1
    assert math.isnan(randomisation_test(np.array([np.nan]), np.array([1.0])))


def test_the_test_is_two_sided_and_repeatable():
    a, b = np.random.default_rng(9).random((2, 40))
    assert randomisation_test(a, b, seed=3) == randomisation_test(b, a, seed=3)
    assert randomisation_test(a, b, seed=3) != randomisation_test(a, b, seed=4)


# Holm -------------------------------------------------------------------------


def test_holm_by_hand():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


def test_holm_edges():
    assert holm({}) == {}
    assert holm({"only": 0.2}) == {"only": 0.2}
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1, "b": 1}
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(DataError, match="that of 'b' is"):
            holm({"a": 0.5, "b": wrong})


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_raises_no_further_than_bonferroni_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    for name, p in p_values.items():
        assert p <= adjusted[name] <= min(1, len(p_values) * p) + 1e-12
        assert all(adjusted[name] <= adjusted[other] for other in p_values if p_values[other] > p)


@pytest.mark.parametrize("n", [0, 1, 2, 50, MAX_UNITS + 1_001])
def test_intervals_of_several_columns_are_those_of_each(n):
    rng = np.random.default_rng(1)
    columns = {"a": rng.random(n), "b": rng.random(n) < 0.1}
    together = bootstrap_intervals(columns, seed=3, resamples=200)
    for name, values in columns.items():
        alone = bootstrap_interval(values, seed=3, resamples=200)
        assert together[name].n == alone.n
        figures = [(i.mean, i.low, i.high) for i in (together[name], alone)]
        np.testing.assert_allclose(figures[0], figures[1], rtol=1e-12, atol=1e-12)


def test_intervals_of_several_columns_leave_out_users_with_a_gap_and_refuse_unequal_lengths():
    intervals = bootstrap_intervals({"a": np.array([1.0, np.nan, 3.0]), "b": np.array([0.0, 9.0, 1.0])})
    assert (intervals["b"].mean, intervals["b"].n) == (0.5, 2)
    with pytest.raises(DataError, match=r"one length; got \[1, 2\]"):
        bootstrap_intervals({"a": np.ones(1), "b": np.ones(2)})
    with pytest.raises(DataError, match="1 are infinite"):
        bootstrap_intervals({"a": np.array([np.inf, 1.0])})


def test_a_ratio_is_resampled_by_user():
    """Against the delta method, on users with very different numbers of rows."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 200, 400).astype(np.float64)
    sums = counts * rng.normal(1.0, 0.3, 400)
    interval = ratio_interval(sums, counts, seed=1)
    ratio = sums.sum() / counts.sum()
    deviation = np.sqrt(((sums - ratio * counts) ** 2).sum()) / counts.sum()
    assert interval.mean == pytest.approx(ratio)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * deviation, rel=0.08)
    assert interval.low < ratio < interval.high
    assert interval.n == 400


def test_a_ratio_of_many_users_is_as_wide_as_of_all():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, 25_000).astype(np.float64)
    sums = counts * rng.normal(1.0, 0.3, 25_000)
    interval = ratio_interval(sums, counts, resamples=500)
    deviation = np.sqrt(((sums - interval.mean * counts) ** 2).sum()) / counts.sum()
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * deviation, rel=0.15)


@pytest.mark.parametrize(
    ("above", "below"), [([1.0], [0.0]), ([1.0], [1.0, 1.0]), ([np.nan], [1.0]), ([1.0], [np.nan])]
)
def test_what_is_no_ratio(above, below):
    with pytest.raises(DataError, match="ratio"):
        ratio_interval(np.array(above), np.array(below))


def test_a_ratio_of_one_user_or_none():
    assert np.isnan(ratio_interval(np.array([2.0]), np.array([4.0])).low)
    assert ratio_interval(np.array([2.0]), np.array([4.0])).mean == 0.5
    assert np.isnan(ratio_interval(np.array([]), np.array([])).mean)
