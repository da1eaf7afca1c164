"""What the settings of a power-law log promise is measured in the rows."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.data import power_law_events
from shortlist.data.dataset import Dataset, attribute_kind
from shortlist.data.power_law import PowerLaw, power_law, write_power_law
from shortlist.data.power_law_events import Taken
from shortlist.data.synthetic import shuffled_items
from shortlist.errors import ConfigError

LAW = PowerLaw(n_interactions=40_000, n_users=1_500, n_items=800)

SMALL = replace(LAW, n_interactions=8_000, n_users=600)


@pytest.fixture(scope="module")
def log() -> Dataset:
    return power_law(LAW)


@pytest.fixture(scope="module")
def still() -> Dataset:
    return power_law(replace(LAW, drift=0))


def rows(dataset: Dataset):
    frame = dataset.interactions
    return (
        dataset.user_vocabulary.rows(frame["user_id"]).astype(np.int64),
        dataset.item_vocabulary.rows(frame["item_id"]).astype(np.int64),
    )


def test_sizes_order_and_span(log):
    assert (len(log), len(log.users), len(log.items)) == (40_000, 1_500, 800)
    assert log.interactions["user_id"].n_unique() == 1_500
    assert sorted(log.items["item_id"]) == list(range(800))
    times = log.interactions["timestamp"]
    assert times.is_sorted()
    assert 0.97 * 365 < (times[-1] - times[0]) / 86_400 <= 365
    assert set(log.interactions["rating"]) == {1, 2, 3, 4, 5}
    kinds = {name: attribute_kind(log.items[name]) for name in log.items.columns[1:]}
    assert kinds == {"title": "text", "category": "category", "tags": "list", "price": "number", "released": "date"}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(2, 6), st.integers(0, 5), st.sampled_from([0, 0.1, 0.4]))
def test_any_size(n_users, n_items, per_user, seed, repeats):
    n = n_users * per_user
    if 4 * round(n * (1 - repeats)) > n_users * n_items:
        n_items = 4 * per_user + 1
    dataset = power_law(
        PowerLaw(n_interactions=n, n_users=n_users, n_items=n_items, seed=seed, repeats=repeats, days=1)
    )
    assert (len(dataset), dataset.interactions["user_id"].n_unique(), len(dataset.items)) == (n, n_users, n_items)
    assert dataset.interactions["timestamp"].is_sorted()
    assert dataset.interactions["timestamp"].max() < 1_600_000_000 + 86_400


def test_the_seed_decides(log):
    assert power_law(LAW).fingerprint == log.fingerprint
    assert power_law(replace(LAW, seed=1)).fingerprint != log.fingerprint


@pytest.mark.parametrize("repeats", [0, 0.3])
def test_written_in_any_pieces_it_is_the_same(tmp_path, repeats):
    law = replace(SMALL, repeats=repeats)
    for size in (500, 3_333, 10**6):
        files = write_power_law(law, tmp_path / str(size), rows_per_group=size)
        assert sorted(tmp_path.joinpath(str(size)).iterdir()) == sorted(files)
        assert Dataset.from_parquet(*files).fingerprint == power_law(law).fingerprint
    again = write_power_law(law, tmp_path / "again", rows_per_group=500)
    for file in again:
        assert file.read_bytes() == (tmp_path / "500" / file.name).read_bytes()


def test_another_process_writes_the_same_bytes(tmp_path):
    program = f"from shortlist.data.power_law import *; write_power_law({SMALL!r}, 'there')"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": "5"})
    for file in write_power_law(SMALL, tmp_path / "here"):
        assert file.read_bytes() == (tmp_path / "there" / file.name).read_bytes()


def test_written_in_groups(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    interactions, _, _ = write_power_law(LAW, tmp_path, rows_per_group=10_000)
    metadata = parquet.read_metadata(interactions)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [10_000] * 4


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path, monkeypatch):
    def breaks(self):
        yield from list(blocks(self))[:3]
        raise MemoryError

    blocks = power_law_events.Events.blocks
    monkeypatch.setattr(power_law_events.Events, "blocks", breaks)
    with pytest.raises((MemoryError, pl.exceptions.PolarsError)):
        write_power_law(LAW, tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "items.parquet").touch()
    with pytest.raises(ConfigError, match=r"items\.parquet: exists already; .* nothing was written"):
        write_power_law(LAW, tmp_path)


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.4])
def test_first_rows_follow_the_power_law(exponent):
    """The first rows of 40,000 users: no item was refused because its user had it. Slope of log count on log rank."""
    law = PowerLaw(n_interactions=80_000, n_users=40_000, n_items=1_000, exponent=exponent, drift=0)
    first = power_law(law).interactions.unique("user_id", keep="first", maintain_order=True).tail(20_000)
    assert slope(first, 8 * 2, 8 * 40) == pytest.approx(-exponent, abs=0.1)


def test_all_rows_have_a_flatter_head(still):
    sparse = power_law(replace(LAW, n_interactions=60_000, n_users=20_000, drift=0))
    assert -0.97 < slope(sparse.interactions, 16, 320) < -0.75
    assert slope(sparse.interactions, 16, 320) < slope(still.interactions, 16, 320) < -0.5


def slope(interactions: pl.DataFrame, first_rank: int, last_rank: int) -> float:
    counts = interactions["item_id"].value_counts(sort=True)["count"].to_numpy()[first_rank:last_rank]
    return float(np.polyfit(np.log(np.arange(first_rank, first_rank + len(counts)) + 1), np.log(counts), 1)[0])


def test_a_few_users_are_very_active(log):
    counts = log.interactions["user_id"].value_counts(sort=True)["count"].to_numpy()
    assert counts[:15].sum() > 0.05 * len(log)
    assert counts[750] < 40


@pytest.mark.parametrize("repeats", [0, 0.1, 0.4, 0.63])
def test_repeats_as_asked(repeats):
    dataset = power_law(replace(LAW, repeats=repeats, n_interactions=20_000))
    assert dataset.repeat_share == pytest.approx(repeats, abs=0.002)
    middle = dataset.with_interactions(dataset.interactions.head(10_000))
    assert middle.repeat_share == pytest.approx(repeats, abs=0.08)


def test_repeats_are_of_late(still):
    """Most repeats are of one of the user's sixteen latest rows."""
    dataset = power_law(replace(LAW, repeats=0.3, drift=0))
    seen: dict[int, list[int]] = {}
    gaps = []
    for user, item in zip(*(part.tolist() for part in rows(dataset)), strict=True):
        earlier = seen.setdefault(user, [])
        if item in earlier:
            gaps.append(earlier[::-1].index(item))
        earlier.append(item)
    assert np.mean(np.array(gaps) < 24) > 0.95
    assert np.median(gaps) < 8


def test_users_arrive_all_the_time(log):
    """Three tenths in the first tenth, the others evenly."""
    first = log.interactions.group_by("user_id").agg(pl.col("timestamp").min())["timestamp"].to_numpy()
    tenth = (first - 1_600_000_000) // (365 * 8_640)
    assert np.bincount(tenth) == pytest.approx([450, *[1_050 / 9] * 9], abs=6)
    joined = log.interactions.join(log.users, on="user_id")
    days = pl.from_epoch("timestamp").dt.date() - pl.col("joined")
    assert joined.select(days.min()).item().days >= 0
    assert joined.group_by("user_id").agg(days.min().dt.total_days().alias("days"))["days"].max() <= 2


def test_items_come_out_all_the_time(log):
    start = pl.lit(1_600_000_000).cast(pl.Int64)
    released = log.items["released"].dt.epoch("s").to_numpy()
    tenth = (released - 1_600_000_000) // (365 * 8_640)
    assert (released < 1_600_000_000).mean() == pytest.approx(0.5, abs=0.01)
    assert np.bincount(tenth[tenth >= 0])[:10] == pytest.approx([40] * 10, abs=3)
    late = log.interactions.join(log.items, on="item_id").select(
        (pl.from_epoch("timestamp").dt.date() < pl.col("released")).sum().alias("early"),
        ((pl.col("timestamp") - start) > 0).all().alias("after"),
    )
    assert late.row(0) == (0, True)


def hit_share(dataset: Dataset, first: float, last: float) -> float:
    """How many of the rows after four fifths of the log go to the 40 items most popular between two shares of it."""
    _, items = rows(dataset)
    n = len(items)
    counts = np.bincount(items[int(first * n) : int(last * n)], minlength=len(dataset.items))
    return float(np.isin(items[int(0.8 * n) : int(0.85 * n)], np.argsort(-counts, kind="stable")[:40]).mean())


def test_popularity_moves(log, still):
    """What was popular lately beats what was popular ever; without drift only because new items come."""
    gain, gain_of_still = (hit_share(each, 0.75, 0.8) / hit_share(each, 0, 0.8) for each in (log, still))
    assert gain > 1.4 > gain_of_still
    assert hit_share(log, 0, 0.2) < 0.6 * hit_share(log, 0.75, 0.8)


def kept_categories(dataset: Dataset) -> float:
    """How often the category that a user takes most in the last quarter is the one of the second quarter."""
    frame = dataset.interactions.join(dataset.items, on="item_id")
    n = len(frame)
    best = [
        frame.slice(start, n // 4).group_by("user_id").agg(pl.col("category").mode().sort().first(), pl.len())
        for start in (n // 4, 3 * n // 4)
    ]
    both = best[0].join(best[1], on="user_id").filter((pl.col("len") > 5) & (pl.col("len_right") > 5))
    assert len(both) > 100
    return both.select((pl.col("category") == pl.col("category_right")).mean()).item()


def test_tastes_move(log, still):
    assert kept_categories(still) > 0.5
    assert kept_categories(log) < 0.75 * kept_categories(still)


def ease_and_popularity(dataset: Dataset) -> tuple[float, float]:
    """Recall@10 on a random fifth of the rows, worked out here with dense matrices."""
    users, items = rows(dataset)
    held_out = np.random.default_rng(0).random(len(users)) < 0.2
    shape = (len(dataset.users), len(dataset.items))
    known, wanted = np.zeros(shape, np.float32), np.zeros(shape, bool)
    known[users[~held_out], items[~held_out]] = 1
    wanted[users[held_out], items[held_out]] = True
    wanted &= known == 0
    gram = known.T @ known + 100 * np.eye(shape[1], dtype=np.float32)
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)

    def recall(scores):
        best = np.argpartition(np.where(known > 0, np.inf, -scores), 10, axis=1)[:, :10]
        n_wanted = wanted.sum(axis=1)
        found = np.take_along_axis(wanted, best, axis=1).sum(axis=1)
        return float((found / np.minimum(np.maximum(n_wanted, 1), 10))[n_wanted > 0].mean())

    return recall(known @ weights), recall(np.tile(known.sum(axis=0), (shape[0], 1)))


def test_tastes_can_be_learned(log, still):
    for dataset in (log, still):
        ease, popularity = ease_and_popularity(dataset)
        assert ease > 2 * popularity


def test_nothing_can_be_learned_once_shuffled(log):
    ease, popularity = ease_and_popularity(shuffled_items(log))
    assert ease < 1.1 * popularity


def test_nothing_can_be_learned_without_structure():
    ease, popularity = ease_and_popularity(power_law(replace(LAW, structure=0, drift=0)))
    assert ease < 1.1 * popularity


def test_attributes_tell_what_they_should(still):
    joined = still.interactions.join(still.items, on="item_id").join(still.users, on="user_id")
    n_categories = still.items["category"].n_unique()
    assert n_categories == LAW.n_categories
    liked = (joined["category"] == joined["interest"]).mean()
    assert liked > 3 / n_categories
    assert (
        joined.group_by(pl.col("category") == pl.col("interest"))
        .agg(pl.col("rating").mean())
        .sort("category")["rating"]
        .diff()[1]
        > 0.1
    )
    by_country = joined.group_by("country").agg((pl.col("category") == "C001").mean().alias("share"))["share"]
    assert by_country.max() < 3 / n_categories
    own_tags = still.items.explode("tags").filter(pl.col("tags").str.starts_with("T"))
    assert own_tags.group_by("tags").agg(pl.col("category").n_unique())["category"].max() == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"n_interactions": 2_999},
            r"n_interactions: expected an integer of at least 3,000 \(two per user\), got 2999",
        ),
        ({"n_users": 0}, "n_users: expected an integer of at least 1, got 0"),
        ({"n_items": 1.5}, r"n_items: expected an integer of at least 1, got 1\.5"),
        ({"seed": -1}, "seed: expected an integer of at least 0, got -1"),
        ({"days": 0}, "days: expected"),
        ({"repeats": 1.1}, r"repeats: expected a number from 0 to 1, got 1\.1"),
        ({"repeats": 0.8}, r"repeats: expected at most 0\.765 for 40,000 rows of 1,500 users, whose .*, got 0\.8"),
        ({"drift": float("nan")}, "drift: expected a number from 0 to 10, got nan"),
        ({"exponent": -1}, "exponent: expected"),
        ({"structure": 1.1}, "structure: expected"),
        ({"n_items": 100}, "at least 160,000 pairs .* the 40,000 rows that are no repeats, got 150,000"),
    ],
)
def test_settings_out_of_range(change, expected):
    with pytest.raises(ConfigError, match=expected):
        replace(LAW, **change)


def test_pairs_taken_are_never_forgotten():
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 2**62, 20_000))
    filter_ = Taken(len(pairs) // 2)
    filter_.add(pairs[::2])
    assert filter_.has(pairs[::2]).all()
    assert filter_.has(pairs[1::2]).mean() < 0.01
