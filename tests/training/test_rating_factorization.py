"""The factorization machine on ratings whose structure is known, and against myFM's own predictions."""

import subprocess
import sys
from dataclasses import fields, replace

import msgspec
import numpy as np
import polars as pl
import pytest
from scipy.special import ndtr

import shortlist as sl
from shortlist.config import RatingFactorizationSettings, load_config
from shortlist.data.log import Log
from shortlist.errors import ArtifactError, DataError, QueryError
from shortlist.ranking.bias import RatingBias
from shortlist.ranking.factorization import DAY_SECONDS
from shortlist.stages import stored_queries
from shortlist.structure import check_factorization
from shortlist.training.ranking import gibbs
from shortlist.training.ranking.posterior import low_rank, summed_up, variances
from shortlist.training.ranking.rating_factorization import fit_rating_factorization, scale_groups
from shortlist.training.ranking.rating_features import attribute_groups, make_design, one_hot
from shortlist.training.shifts import make_shifts
from shortlist.training.sources import fit_first_stage, freeze_ratings, make_plan

SMALL = RatingFactorizationSettings(
    rank=4, chains=2, iterations=200, burn_in=80, samples=60, dimension=12, day_dimension=4
)
N_USERS, N_ITEMS = 60, 50


def log_of(users, items, ratings, days=None, n_users=N_USERS, n_items=N_ITEMS):
    days = np.zeros(len(users)) if days is None else np.asarray(days)
    order = np.argsort(days, kind="stable")
    return Log(
        np.asarray(users, dtype=np.int32)[order],
        np.asarray(items, dtype=np.int32)[order],
        (days * DAY_SECONDS).astype(np.int64)[order],
        np.asarray(ratings, dtype=np.float32)[order],
        np.ones(len(users), dtype=np.float32),
        n_users,
        n_items,
    )


def planted(seed, shuffled=False):
    """Levels 1 to 5 of ⟨u, i⟩ + b_u + b_i with two dimensions and noise; the last user and item have no rating.

    Returns the log of half the pairs and that of the others. Shuffled: each pair has the rating of another.
    """
    rng = np.random.default_rng(seed)
    users, items = rng.normal(size=(N_USERS - 1, 2)), rng.normal(size=(N_ITEMS - 1, 2))
    latent = users @ items.T + rng.normal(scale=0.3, size=(N_USERS - 1, 1)) + rng.normal(scale=0.3, size=N_ITEMS - 1)
    latent += rng.normal(scale=0.5, size=latent.shape)
    levels = 1 + np.searchsorted([-1.5, -0.5, 0.5, 1.5], latent).ravel()
    u, i = (rows.ravel() for rows in np.meshgrid(np.arange(N_USERS - 1), np.arange(N_ITEMS - 1), indexing="ij"))
    if shuffled:
        levels = rng.permutation(levels)
    fitted = rng.random(len(u)) < 0.5
    days = rng.integers(0, 5, len(u))
    return tuple(log_of(u[part], i[part], levels[part], days[part]) for part in (fitted, ~fitted))


def ask(model, train, test, predict="predict", *more):
    queries = stored_queries(train, np.arange(train.n_users, dtype=np.int32), np.full(train.n_users, train.end))
    return getattr(model, predict)(queries, test.user_rows.astype(np.int64), test.item_rows, *more)


def rmse(model, train, test):
    return float(np.sqrt(np.square(ask(model, train, test) - test.ratings, dtype=np.float64).mean()))


@pytest.fixture(scope="module")
def data():
    return planted(0)


@pytest.fixture(scope="module")
def model(data):
    return fit_rating_factorization(data[0], SMALL, seed=0)


def test_planted_factors_are_found(data, model):
    train, test = data
    assert rmse(model, train, test) < 0.6 < 1.2 < rmse(RatingBias.of(train), train, test)


def test_regression_finds_them_too(data):
    train, test = data
    regression = fit_rating_factorization(train, msgspec.structs.replace(SMALL, head="regression"), seed=0)
    assert regression.thresholds is None
    assert regression.levels.tolist() == [1, 5]
    assert rmse(regression, train, test) < 0.65


def test_shuffled_ratings_give_nothing_over_the_biases():
    train, test = planted(1, shuffled=True)
    shuffled = fit_rating_factorization(train, SMALL, seed=0)
    no_less_than = min(rmse(RatingBias.of(train), train, test), float(test.ratings.std()))
    assert rmse(shuffled, train, test) > no_less_than - 0.01


def test_the_probabilities_are_calibrated(data, model):
    train, test = data
    probability = ask(model, train, test, "probabilities", 4.0)
    for low in np.arange(0, 1, 0.25):
        of_bin = (probability >= low) & (probability < low + 0.25)
        assert abs(probability[of_bin].mean() - (test.ratings[of_bin] >= 4).mean()) < 0.06


def attributes_of(n, rng):
    kinds = rng.integers(0, 3, n)
    return kinds, (one_hot(kinds, 3),)


def test_a_sample_predicts_as_myfm_does(data):
    """Every group of features at once: user, item, both sets, attributes, days; and thresholds of two groups."""
    train, test = data
    rng = np.random.default_rng(0)
    design = make_design(train, attributes_of(N_USERS, rng)[1], attributes_of(N_ITEMS, rng)[1])
    seen = []
    original, gibbs.sample_of = gibbs.sample_of, lambda fm, *more: seen.append((fm.__getstate__(), more)) or None
    try:
        event_groups = (train.user_rows % 2).astype(np.int32)
        settings = msgspec.structs.replace(SMALL, iterations=12, burn_in=4, samples=3)
        gibbs.draw_samples(design, train.ratings - 1, event_groups, settings, 7, lambda sample: None)
    finally:
        gibbs.sample_of = original
    days = np.searchsorted(design.day_numbers, test.timestamps // DAY_SECONDS).astype(np.int32)
    days[::3] = -1
    blocks = [
        gibbs.myfm.RelationBlock(rows.tolist(), features)
        for rows, features in ((test.user_rows, design.user_features), (test.item_rows, design.item_features))
    ]
    assert len(seen) == 3
    for state, more in seen:
        fm = gibbs.myfm.gibbs.FM.__new__(gibbs.myfm.gibbs.FM)
        fm.__setstate__(state)
        sample = gibbs.sample_of(fm, *more)
        latent = sample.latent(test.user_rows, test.item_rows, days)
        theirs = fm.predict_score(one_hot(days, len(design.day_numbers)), blocks)
        np.testing.assert_allclose(latent, theirs, atol=1e-5)
        for group in (0, 1):
            probabilities = fm.oprobit_predict_proba(one_hot(days, len(design.day_numbers)), blocks, group)
            below = ndtr(sample.thresholds[group] - latent[:, None])
            np.testing.assert_allclose(below, np.cumsum(probabilities, axis=1)[:, :-1], atol=1e-5)


def samples_of(train, settings=SMALL, seed=0):
    design, samples = make_design(train), []
    groups = np.zeros(len(train), dtype=np.int32)
    gibbs.draw_samples(design, train.ratings - 1, groups, settings, seed, samples.append)
    return design, samples


def test_the_summary_is_the_mean_of_the_samples(data):
    train = data[0]
    design, samples = samples_of(train)
    whole = replace(train, user_rows=np.repeat(np.arange(N_USERS), N_ITEMS).astype(np.int32))
    summary = summed_up(samples, design, N_ITEMS, len(design.day_numbers), np.random.default_rng(0))
    n_days = len(design.day_numbers)
    u, i = whole.user_rows, np.tile(np.arange(N_ITEMS), N_USERS).astype(np.int32)
    t = (np.arange(len(u)) % n_days).astype(np.int32)
    latents = np.stack([s.latent(u, i, t) - np.median(s.thresholds) for s in samples])
    k = summary.users.shape[1] - summary.days.shape[1]
    users, items, days = summary.users[u], summary.items[i], summary.days[t]
    means = users[:, 0] + items[:, 0] + days[:, 0] + (users[:, 1 : 1 + k] * items[:, 1 : 1 + k]).sum(axis=1)
    means += ((users[:, 1 + k :] + items[:, 1 + k :]) * days[:, 1:]).sum(axis=1)
    np.testing.assert_allclose(means, latents.mean(axis=0), atol=1e-3)
    found = summary.user_variances[u] + summary.item_variances[i]
    assert np.corrcoef(found, latents.var(axis=0))[0, 1] > 0.5
    exact = np.mean(
        [
            ndtr(latent - (s.thresholds[0, 2] - np.median(s.thresholds)))
            for s, latent in zip(samples, latents, strict=True)
        ],
        axis=0,
    )
    ours = ndtr((means - summary.thresholds[0, 2]) / np.sqrt(summary.noise + found))
    assert np.sqrt(np.square(ours - exact).mean()) < 0.03


def test_low_rank_is_as_good_as_the_best():
    rng = np.random.default_rng(0)
    left, right = (
        rng.normal(size=(n, 90)).astype(np.float32) * np.geomspace(1, 1e-3, 90, dtype=np.float32) for n in (40, 55)
    )
    product = left @ right.T
    values = np.linalg.svd(product, compute_uv=False)
    for rank in (1, 5, 20):
        to_left, vectors = low_rank(left, right, rank, np.random.default_rng(1))
        assert to_left.shape == (90, rank)
        assert np.linalg.norm(left @ to_left @ vectors.T - product) < 1.001 * np.linalg.norm(values[rank:]) + 1e-4
    to_left, vectors = low_rank(left, right, 1000, rng)
    np.testing.assert_allclose(left @ to_left @ vectors.T, product, atol=1e-4)
    assert [part.shape for part in low_rank(left, right[:0], 5, rng)] == [(90, 0), (0, 0)]


def test_variances_of_a_user_and_an_item_add_up(data):
    """Samples in which users' and items' biases vary independently by known amounts."""
    design = make_design(data[0])
    rng = np.random.default_rng(0)
    of_users, of_items = rng.uniform(0, 1, N_USERS), rng.uniform(0, 2, N_ITEMS)
    n_days = len(design.day_numbers)
    none = lambda n: np.zeros((n, 1), dtype=np.float32)  # noqa: E731
    samples = [
        gibbs.Sample(
            none(N_USERS), none(N_ITEMS), none(n_days),
            rng.normal(size=N_USERS) * np.sqrt(of_users), rng.normal(size=N_ITEMS) * np.sqrt(of_items),
            np.zeros(n_days),
            np.zeros((N_ITEMS, 2), dtype=np.float32), np.zeros((1, 4)), 1.0,
        )
        for _ in range(2000)
    ]  # fmt: skip
    users, items = variances(samples, np.zeros(2000), design, rng)
    whole = users[:, None] + items
    np.testing.assert_allclose(whole, of_users[:, None] + of_items, rtol=0.15, atol=0.1)


def test_an_item_without_ratings_is_known_by_its_attributes():
    """Three kinds of items, each liked by one kind of users; a tenth of the items have no rating."""
    rng = np.random.default_rng(3)
    n_items = 90
    of_items, attributes = attributes_of(n_items, rng)
    of_users = rng.integers(0, 3, N_USERS)
    u, i = (rows.ravel() for rows in np.meshgrid(np.arange(N_USERS), np.arange(n_items), indexing="ij"))
    ratings = np.where(of_users[u] == of_items[i], 5, 2) - rng.integers(0, 2, len(u))
    fitted = (rng.random(len(u)) < 0.4) & (i >= 9)
    train, test = (log_of(u[p], i[p], ratings[p], n_items=n_items) for p in (fitted, i < 9))
    with_attributes = fit_rating_factorization(train, SMALL, seed=0, item_attributes=attributes)
    without = fit_rating_factorization(train, SMALL, seed=0)
    assert rmse(with_attributes, train, test) < 0.75 < 1.2 < rmse(without, train, test)


def test_an_unknown_user_is_known_by_the_history(data, model):
    """A user of the log asked as if unknown, from the same history: nearly as well as fitted."""
    train, test = data
    users = np.arange(train.n_users, dtype=np.int32)
    stored = stored_queries(train, users, np.full(len(users), train.end))
    unknown = replace(stored, user_rows=np.full(len(users), -1, dtype=np.int32))
    predicted = model.predict(unknown, test.user_rows.astype(np.int64), test.item_rows)
    error = np.sqrt(np.square(predicted - test.ratings).mean())
    assert error < rmse(model, train, test) + 0.1


def test_users_of_the_whole_scale_and_of_one_level():
    """Half of the users give only 3 and 4, the others 1 to 5: thresholds of their own say so."""
    rng = np.random.default_rng(0)
    n_users, n_items = 100, 60
    u, i = (rows.ravel() for rows in np.meshgrid(np.arange(n_users), np.arange(n_items), indexing="ij"))
    liked = rng.normal(size=n_items)[i] + rng.normal(scale=0.5, size=len(u))
    wide = np.searchsorted([-1.2, -0.4, 0.4, 1.2], liked) + 1
    ratings = np.where(u % 2, np.where(liked > 0, 4, 3), wide)
    log = log_of(u, i, ratings, n_users=n_users, n_items=n_items)
    spread, edges, groups = scale_groups(log, 2)
    assert (len(edges), len(np.unique(groups[::2])), len(np.unique(groups[1::2]))) == (1, 1, 1)
    assert groups[1] == 0 < groups[0]
    assert spread == pytest.approx(np.mean([ratings[u == user].var(ddof=1) for user in range(n_users)]))
    fitted = fit_rating_factorization(log, msgspec.structs.replace(SMALL, threshold_groups=2), seed=0)
    five = ask(fitted, log, log, "probabilities", 5.0)
    assert five[log.user_rows % 2 == 1].max() < 0.03 < 0.1 < five[log.user_rows % 2 == 0].mean()


def test_few_ratings_are_one_group(data):
    assert scale_groups(data[0], 32).edges.shape == (0,)


def test_many_levels_and_one_level_are_regression():
    rng = np.random.default_rng(0)
    train = planted(0)[0]
    tiny = msgspec.structs.replace(SMALL, chains=1, iterations=30, burn_in=10)
    many = fit_rating_factorization(
        replace(train, ratings=rng.uniform(0, 100, len(train)).astype(np.float32)), tiny, seed=0
    )
    assert many.thresholds is None
    predicted = ask(many, train, train)
    assert 35 < predicted.mean() < 65
    assert (many.levels[0] <= predicted.min()) & (predicted.max() <= many.levels[-1])
    one = fit_rating_factorization(replace(train, ratings=np.full(len(train), 3, dtype=np.float32)), tiny, seed=0)
    assert (ask(one, train, train) == 3).all()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_ratings(n):
    log = log_of(range(n), range(n), np.arange(n) % 5 + 1)
    few = fit_rating_factorization(log, msgspec.structs.replace(SMALL, iterations=20, burn_in=5), seed=0)
    predicted = ask(few, log, log)
    assert ((predicted >= 1) & (predicted <= 5)).all()


def test_times_that_are_only_an_order_give_no_days(data):
    train = replace(data[0], in_seconds=False)
    tiny = msgspec.structs.replace(SMALL, chains=1, iterations=30, burn_in=10)
    fitted = fit_rating_factorization(train, tiny, seed=0)
    assert fitted.days.shape == (0, 1)
    assert np.isfinite(ask(fitted, train, train)).all()


def test_unrated_events_are_left_out_and_a_log_without_ratings_is_refused(data):
    train = data[0]
    tiny = msgspec.structs.replace(SMALL, chains=1, iterations=12, burn_in=2)
    some = replace(train, ratings=np.where(np.arange(len(train)) % 3, train.ratings, np.nan).astype(np.float32))
    fitted = fit_rating_factorization(some, tiny, seed=0)
    rated = fit_rating_factorization(some.take(~np.isnan(some.ratings)), tiny, seed=0)
    assert all(np.array_equal(getattr(fitted, f.name), getattr(rated, f.name)) for f in fields(fitted))
    with pytest.raises(DataError, match="at least one event with a rating"):
        fit_rating_factorization(replace(train, ratings=np.full(len(train), np.nan, dtype=np.float32)), tiny, seed=0)


def test_the_same_seed_gives_the_same_model_and_another_one_another(data):
    train = data[0]
    tiny = msgspec.structs.replace(SMALL, chains=1, iterations=20, burn_in=5)
    once, again, other = (fit_rating_factorization(train, tiny, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(getattr(once, f.name), getattr(again, f.name)) for f in fields(once))
    assert not np.array_equal(once.users, other.users)


def test_attributes_become_groups():
    table = pl.DataFrame(
        {
            "item_id": range(12),
            "kind": ["a"] * 6 + ["b"] * 5 + [None],
            "rare": ["x"] * 4 + ["y"] * 4 + ["z"] * 4,
            "genres": [["p", "q"]] * 5 + [["p"]] * 5 + [[]] * 2,
            "year": [*range(11), None],
            "title": [f"title {row}" for row in range(12)],
        }
    )
    kind, genres, year = attribute_groups(table, "item_id")
    assert kind.toarray().tolist() == [[1, 0]] * 6 + [[0, 1]] * 5 + [[0, 0]]
    assert genres.toarray().tolist() == [[1, 1]] * 5 + [[1, 0]] * 5 + [[0, 0]] * 2
    assert year.shape == (12, 10)
    assert year.toarray().sum(axis=1).tolist() == [1] * 11 + [0]


FRESH = """
import sys
import numpy as np, polars as pl, shortlist as sl
model = sl.load(sys.argv[1])
pairs = pl.read_parquet(sys.argv[2])
np.save(sys.argv[3], model.predict_ratings(pairs)["predicted_rating"].to_numpy())
late = [name for name in ("myfm", "torch", "catboost") if name in sys.modules]
assert not late, late
"""
CONFIG = {
    "preset": "ratings",
    "threads": 1,
    "ranking": {"rating_factorization": msgspec.to_builtins(SMALL)},
}


@pytest.fixture(scope="module")
def dataset(data):
    train = data[0]
    frame = pl.DataFrame(
        {
            "user_id": train.user_rows,
            "item_id": train.item_rows,
            "timestamp": train.timestamps + np.arange(len(train)),
            "rating": train.ratings,
        }
    )
    return sl.Dataset.from_frames(frame)


def test_saved_and_loaded_in_a_fresh_process_it_answers_the_same(dataset, tmp_path):
    cascade = sl.train(dataset, "window", CONFIG)
    pairs = dataset.interactions.select("user_id", "item_id", "timestamp").head(200)
    pairs = pl.concat(
        [pairs, pl.DataFrame({"user_id": [999, 1], "item_id": [1, 999], "timestamp": [10**9] * 2})],
        how="vertical_relaxed",
    )
    expected = cascade.predict_ratings(pairs)["predicted_rating"].to_numpy()
    cascade.save(tmp_path / "model")
    pairs.write_parquet(tmp_path / "pairs.parquet")
    paths = [str(tmp_path / name) for name in ("model", "pairs.parquet", "answers.npy")]
    subprocess.run([sys.executable, "-W", "error", "-c", FRESH, *paths], check=True)
    assert np.load(paths[2]).tobytes() == expected.tobytes()


def test_the_cascade_tells_how_probable_a_rating_is(dataset):
    cascade = sl.train(dataset, "window", CONFIG)
    pairs = dataset.interactions.select("user_id", "item_id").head(30)
    told = cascade.predict_ratings(pairs, at_least=4)
    assert told.drop("probability").equals(cascade.predict_ratings(pairs))
    queries = stored_queries(cascade.log, np.arange(N_USERS - 1, dtype=np.int32), np.full(N_USERS - 1, cascade.log.end))
    rows = (
        cascade.user_vocabulary.rows(pairs["user_id"]).astype(np.int64),
        cascade.item_vocabulary.rows(pairs["item_id"]),
    )
    expected = cascade.first.features.rating_model.probabilities(queries, *rows, 4)
    assert told["probability"].to_numpy().tobytes() == expected.tobytes()
    biases = sl.train(dataset, "window", {"preset": "fast", "threads": 1, "ranking": {"ranker": "fusion"}})
    with pytest.raises(QueryError, match="only the rating model 'factorization' knows probabilities; train with"):
        biases.predict_ratings(pairs, at_least=4)


def test_a_model_whose_parts_do_not_fit_is_refused(model):
    check_factorization(model, N_USERS, N_ITEMS)
    broken = {
        "users": model.users[:-1],
        "items": model.items[:-1],
        "usual_days": model.usual_days[:, :-1],
        "user_groups": model.user_groups + 1,
        "thresholds": model.thresholds[:, :-1],
        "precision": model.precision[:-1],
        "day_numbers": model.day_numbers[:-1],
        "noise": 0.0,
        "levels": model.levels[::-1].copy(),
    }
    for name, value in broken.items():
        with pytest.raises(ArtifactError, match="rating_model"):
            check_factorization(replace(model, **{name: value}), N_USERS, N_ITEMS)


def test_it_is_fitted_once_for_all_shifts_in_time(dataset):
    config = load_config(CONFIG | {"ranking": CONFIG["ranking"] | {"ranker": "trees", "shifts": 2}})
    log, plan = dataset.log(), make_plan(dataset, config, "window")
    shifts = make_shifts(log, "window", 2, 0, True)
    frozen = freeze_ratings(plan, shifts[1].history)
    models = [fit_first_stage(frozen, shift.history).features.rating_model for shift in shifts[1:]]
    assert models[0] is models[1]
    assert models[0].end == shifts[1].history.end
