"""`describe` against counts made another way, on logs whose answer is known, and at the edges."""

import itertools
import json
import math
import statistics
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shortlist as sl
from shortlist.data.dataset import Dataset
from shortlist.data.description.describe import describe
from shortlist.data.synthetic import chain, shop, two_tastes

START = 1_600_000_000
DAY = 86_400


def log(rows, **more):
    users, items, times = zip(*rows, strict=True)
    return Dataset.from_frames({"user_id": users, "item_id": items, "timestamp": times, **more})


def spread(counts):
    """Mean and quantiles of a count, by definition: the least value that so large a share is not above."""
    ordered = sorted(counts)
    shares = {"least": 0, "p10": 0.1, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99, "most": 1}
    values = {name: next(v for i, v in enumerate(ordered, 1) if i / len(ordered) >= q) for name, q in shares.items()}
    return {"mean": pytest.approx(statistics.mean(ordered)), **values}


def gini(counts):
    """Half the mean absolute difference over the mean."""
    n, total = len(counts), sum(counts)
    return sum(abs(a - b) for a in counts for b in counts) / (2 * n * total)


def sessions(rows):
    starts = Counter()
    for user in {user for user, _, _ in rows}:
        own = sorted(time for who, _, time in rows if who == user)
        starts[user] = 1 + sum(later - earlier >= 1800 for earlier, later in itertools.pairwise(own))
    return starts


rows_in_seconds = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 40).map(lambda step: START + step * 700)),
    min_size=1,
    max_size=60,
)


@settings(deadline=None)
@given(rows_in_seconds)
def test_every_count_is_that_of_plain_python(rows):
    found = describe(log(rows))
    per_user, per_item = Counter(user for user, _, _ in rows), Counter(item for _, item, _ in rows)
    n = len(rows)
    sizes = found.sizes
    assert (sizes.interactions, sizes.users, sizes.items) == (n, len(per_user), len(per_item))
    pairs = {(user, item) for user, item, _ in rows}
    assert sizes.density == pytest.approx(len(pairs) / len(per_user) / len(per_item))
    assert vars(sizes.per_user) == spread(per_user.values())
    assert vars(sizes.per_item) == spread(per_item.values())
    assert sizes.single_event_users == sum(count == 1 for count in per_user.values())
    tail = found.long_tail
    for share, percent in ((tail.top_1_percent, 1), (tail.top_10_percent, 10)):
        most = sorted(per_item.values(), reverse=True)[: math.ceil(len(per_item) * percent / 100)]
        assert share == pytest.approx(sum(most) / n)
    assert tail.gini == pytest.approx(gini(list(per_item.values())), abs=1e-12)
    assert tail.single_event_items == sum(count == 1 for count in per_item.values())
    top = max(per_item.values())
    assert tail.top_item == (min(item for item in per_item if per_item[item] == top), top / n)
    assert found.repeats.share == pytest.approx(1 - len(pairs) / n)
    times = sorted({time for _, _, time in rows})
    if len(times) == 1:
        assert (found.times.kind, found.cold_start, found.suggestion.target) == ("none", None, "random")
        return
    assert found.repeats.exact_share == pytest.approx(1 - len(set(rows)) / n)
    together = Counter((user, time) for user, _, time in rows)
    assert found.times.tied_share == pytest.approx(sum(c for c in together.values() if c > 1) / n)
    assert found.times.days == pytest.approx((times[-1] - times[0]) / DAY)
    gap = max(later - earlier for earlier, later in itertools.pairwise(times))
    assert found.times.longest_gap_days == pytest.approx(gap / DAY)
    start = next(earlier for earlier, later in itertools.pairwise(times) if later - earlier == gap)
    assert found.times.longest_gap_start == datetime.fromtimestamp(start, UTC).isoformat().replace("+00:00", "Z")
    begun = sessions(rows)
    assert found.times.sessions.number == sum(begun.values())
    assert vars(found.times.sessions.per_user) == spread(begun.values())
    assert found.times.sessions.single_session_users == pytest.approx(
        sum(count == 1 for count in begun.values()) / len(per_user)
    )
    assert sum(period.events for period in found.times.periods) == n
    check_cold_start(found.cold_start, rows)
    json.dumps(found.to_dict())
    assert found.table()


def check_cold_start(cold, rows):
    cut = int(datetime.fromisoformat(cold.cut).timestamp())
    before = [row for row in rows if row[2] < cut]
    after = [row for row in rows if row[2] >= cut]
    users, items = {user for user, _, _ in before}, {item for _, item, _ in before}
    assert cold.events == len(after)
    assert cold.users == len({user for user, _, _ in after})
    assert cold.warm_users == len({user for user, _, _ in after} & users)
    assert cold.new_user_events == pytest.approx(sum(user not in users for user, _, _ in after) / len(after))
    assert cold.new_item_events == pytest.approx(sum(item not in items for _, item, _ in after) / len(after))
    ordered = sorted(row[2] for row in rows)
    default = ordered[min(round(0.8 * len(rows)), len(rows) - 1)]
    assert cut == (default if default > ordered[0] else min(time for time in ordered if time > ordered[0]))


def test_one_row():
    found = describe(Dataset.from_frames({"user_id": [1], "item_id": ["a"]}))
    assert found.sizes.density == 1
    assert found.long_tail.gini == 0
    assert found.long_tail.top_1_percent == 1
    assert found.times.kind == "none"
    assert (found.ratings, found.events, found.weights, found.cold_start) == (None, None, None, None)
    assert found.suggestion.target == "random"
    assert not found.suggestion.enough
    assert "Only 0 users can be asked" in found.suggestion.remarks[0]
    assert "none: there are no times" in found.table()


def test_no_times_and_all_times_equal_are_the_same():
    rows = {"user_id": [1, 1, 2], "item_id": [1, 2, 1]}
    without = describe(Dataset.from_frames(rows))
    equal = describe(Dataset.from_frames({**rows, "timestamp": [START] * 3}))
    assert without == equal


def test_times_that_are_only_an_order():
    found = describe(Dataset.from_frames({"user_id": [1, 1, 2, 1], "item_id": [1, 2, 1, 3], "timestamp": [0, 1, 1, 2]}))
    assert (found.times.kind, found.times.first, found.times.last) == ("order", 0, 2)
    assert (found.times.days, found.times.periods, found.times.sessions) == (None, (), None)
    assert found.cold_start.cut == 2
    assert "Times are only an order, so nothing is told in days." in found.suggestion.remarks


def test_a_part_of_a_log_whose_events_are_at_one_time():
    """A part keeps the kind of times of the whole, though alone it would have none."""
    whole = log([(1, 1, START), (2, 1, START + DAY), (1, 2, START + DAY)])
    part = whole.with_interactions(whole.interactions.filter(pl.col("timestamp") > START))
    found = describe(part)
    assert found.times.kind == "seconds"
    assert (found.times.days, found.times.longest_gap_days) == (0, 0)
    assert found.times.periods[0].events == 2
    assert found.cold_start is None
    assert found.table()


@pytest.mark.parametrize(
    ("days", "unit", "n"),
    [
        (1, "1d", 2),
        (39, "1d", 40),
        (41, "1w", 6),
        (400, "1mo", 14),
        (2000, "1q", 23),
        (8000, "1y", 23),
        (18000, "10y", 5),
    ],
)
def test_periods_cover_the_span_and_show_gaps(days, unit, n):
    start = 1_600_041_600  # a Monday at midnight: 14 September 2020
    found = describe(log([(1, 1, start), (2, 1, start + days * DAY)]))
    assert found.times.period == unit
    assert len(found.times.periods) == n
    assert [period.events for period in found.times.periods] == [1, *[0] * (n - 2), 1]
    first = date(2020, 9, 14)
    starts = {
        "1d": first,
        "1w": first,
        "1mo": date(2020, 9, 1),
        "1q": date(2020, 7, 1),
        "1y": date(2020, 1, 1),
        "10y": date(2020, 1, 1),
    }
    assert found.times.periods[0].start == starts[unit].isoformat()
    last = date.fromisoformat(found.times.periods[-1].start)
    assert last <= first + timedelta(days=days)
    assert found.table()


def test_ratings_one_by_one_and_in_bins():
    def ratings(values):
        return describe(
            Dataset.from_frames({"user_id": list(range(len(values))), "item_id": [1] * len(values), "rating": values})
        ).ratings

    few = ratings([1.0, 5.0, 5.0, None])
    assert few.missing == 0.25
    assert (few.least, few.most, few.mean, few.distinct) == (1, 5, pytest.approx(11 / 3), 2)
    assert few.deviation == pytest.approx(statistics.pstdev([1, 5, 5]))
    assert few.counts == ({"least": 1, "most": 1, "events": 1}, {"least": 5, "most": 5, "events": 2})
    many = ratings([float(value) for value in range(100)])
    assert [count["events"] for count in many.counts] == [10] * 10
    assert (many.counts[0]["least"], many.counts[-1]["most"]) == (0, 99)
    assert ratings([None, None]) is None


def test_all_ratings_equal():
    found = describe(Dataset.from_frames({"user_id": [1, 2], "item_id": [1, 1], "rating": [3, 3]}))
    assert (found.ratings.least, found.ratings.most, found.ratings.deviation) == (3, 3, 0)
    assert "All ratings are equal: they say nothing." in found.suggestion.remarks


def test_events_weights_and_other_columns():
    frame = {
        "user_id": [1, 1, 2, 3],
        "item_id": [1, 2, 1, 1],
        "event": ["view", "buy", "view", None],
        "weight": [1, 2, 0.5, 1],
        "channel": ["a", "b", "a", "a"],
    }
    found = describe(Dataset.from_frames(frame))
    assert found.events == {"view": 2, "buy": 1, None: 1}
    assert found.to_dict()["events"][0] == {"event": "view", "events": 2}
    assert (found.weights.least, found.weights.most) == (0.5, 2)
    assert found.other_columns == ("channel",)
    assert any("positive.events" in remark for remark in found.suggestion.remarks)
    assert "(not given)" in found.table()


def test_attributes():
    items = pl.DataFrame(
        {
            "item_id": [1, 2, 3, 4],
            "title": ["A", "B", "C", "D"],
            "kind": ["x", "x", "x", None],
            "tags": [["u", "v"], ["u"], [], None],
            "year": [1990, 2000, None, 1980],
            "released": [date(1990, 1, 1), None, None, date(1980, 1, 1)],
            "nothing": [None] * 4,
        }
    )
    found = describe(
        Dataset.from_frames({"user_id": [1, 1], "item_id": [1, 9]}, items, {"user_id": [1], "old": [True]})
    )
    told = {one.name: (one.table, one.kind, one.given, one.distinct, one.least, one.most) for one in found.attributes}
    assert told["title"] == ("items", "text", 0.8, 4, None, None)
    assert told["kind"] == ("items", "category", 0.6, 1, None, None)
    assert told["tags"] == ("items", "list", 0.4, 2, None, None)
    assert told["year"] == ("items", "number", 0.6, 3, 1980, 2000)
    assert told["released"] == ("items", "date", 0.4, 2, "1980-01-01", "1990-01-01")
    assert told["nothing"][2:] == (0, 0, None, None)
    assert told["old"] == ("users", "category", 1, 1, None, None)
    assert found.sizes.items == 2
    assert found.sizes.items_without_events == 3
    json.dumps(found.to_dict())


def test_where_the_answer_is_known():
    tastes = describe(two_tastes())
    assert tastes.repeats.filter_seen
    assert tastes.repeats.share == 0
    assert {count["least"] for count in tastes.ratings.counts} == {4, 5}
    assert tastes.sizes.density < 0.5
    walk = describe(chain())
    assert walk.times.sessions.number == walk.sizes.interactions  # a step an hour
    assert walk.long_tail.gini < 0.2
    bought = describe(shop())
    assert not bought.repeats.filter_seen
    assert set(bought.events) == {"purchase", "view"}
    assert any("answers keep seen items" in remark for remark in bought.suggestion.remarks)


def visits(n_late, n_warm):
    """Twice as many users as late events have two early ones each; the late fifth is one event each of so many of them
    and of people who are new."""
    early = [(user, item, START + user + item * DAY) for user in range(2 * n_late) for item in (1, 2)]
    late = [*range(n_warm), *range(2 * n_late, 3 * n_late - n_warm)]
    return log(early + [(user, 3, START + 390 * DAY + user) for user in late])


@pytest.mark.parametrize(
    ("n_late", "n_warm", "target", "enough", "askable"),
    [
        (200, 150, "window", True, 150),  # most of those who are there late were there before
        (400, 150, "next", True, 800),  # most were not
        (400, 0, "next", True, 800),
        (3000, 1200, "window", True, 1200),  # most were not, but those who were are plenty
        (20, 20, "next", False, 40),  # nobody is new, but too few to tell
    ],
)
def test_the_target_that_fits(n_late, n_warm, target, enough, askable):
    found = describe(visits(n_late, n_warm))
    assert (found.cold_start.users, found.cold_start.warm_users) == (n_late, n_warm)
    suggestion = found.suggestion
    assert (suggestion.target, suggestion.enough, suggestion.askable_users) == (target, enough, askable)
    assert f"{n_warm:,} of the {n_late:,} users" in suggestion.reason


def test_nobody_has_a_history():
    suggestion = describe(log([(user, 1, START + user) for user in range(200)])).suggestion
    assert (suggestion.target, suggestion.enough, suggestion.askable_users) == ("window", False, 0)
    assert "no user has two events" in suggestion.reason


def test_what_validation_found_is_told():
    found = {
        "rows_read": 1200,
        "rows_kept": 1199,
        "set_aside": {"missing_id": 1},
        "items": {"rows_read": 3, "rows_kept": 3, "set_aside": {}},
        "converted": ["times were in milliseconds"],
        "warnings": ["only 2 users"],
    }
    dataset = replace(two_tastes(), validation=found, notes=("only 2 users",))
    described = describe(dataset)
    assert described.to_dict()["validation"] == found
    lines = [line.split(maxsplit=2) for line in described.table().splitlines()]
    assert ["rows", "read", "1,200"] in lines
    assert ["set", "aside", "missing id 1"] in lines
    assert ["items", "rows", "read 3, rows kept 3, set aside nothing"] in lines
    assert ["converted", "times", "were in milliseconds"] in lines
    assert described.table().count("only 2 users") == 1


def test_what_else_to_know():
    busy = [(0, item, START + item) for item in range(500)]
    found = describe(log(busy + [(user, 1, START + 10_000 + user * DAY) for user in range(1, 21)]))
    remarks = " ".join(found.suggestion.remarks)
    assert "One user (0) has 96% of the events: a person?" in remarks
    assert "Half of the users have 1 event or fewer" in remarks
    assert "of the users were there for a single session" in remarks
    fresh = describe(log([(user, user + 300 * (user > 79), START + user) for user in range(100)] * 2))
    assert any("not there before" in remark for remark in fresh.suggestion.remarks)
    assert any("repeat an earlier row, time and all" in remark for remark in fresh.suggestion.remarks)


def test_it_is_public_and_reads_nothing_away():
    dataset = two_tastes()
    before = dataset.fingerprint
    assert sl.describe(dataset).name == "two_tastes"
    assert dataset.fingerprint == before


def test_a_hundred_thousand_rows():
    """As many rows as columns of numpy can check."""
    rng = np.random.default_rng(0)
    n = 100_000
    users, items = rng.integers(0, 5_000, n), (rng.pareto(1, n) * 10).astype(int) % 3_000
    found = describe(
        Dataset.from_frames({"user_id": users, "item_id": items, "timestamp": START + rng.integers(0, 700 * DAY, n)})
    )
    counts = np.sort(np.bincount(items))[::-1]
    counts = counts[counts > 0]
    assert found.long_tail.top_10_percent == pytest.approx(counts[: math.ceil(len(counts) / 10)].sum() / n)
    assert found.sizes.per_user.median == np.median(np.bincount(users)[np.bincount(users) > 0]).astype(int)
    differences = np.abs(counts[:, None] - counts).sum()
    assert found.long_tail.gini == pytest.approx(differences / (2 * len(counts) * n))
