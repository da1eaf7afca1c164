"""The invented logs of the benchmark are of the kinds that they are named after."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import shortlist as sl

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from accuracy_shapes import MADE

REPEATS = {"music": 0.5, "baskets": 0.4}


@pytest.mark.parametrize("name", MADE)
def test_a_made_log_is_of_its_kind(name):
    dataset, again = (sl.Dataset.from_frames(*MADE[name](np.random.default_rng(1), n_users=30)) for _ in range(2))
    assert dataset.fingerprint == again.fingerprint
    assert dataset.time_kind == ("order" if name == "chain" else "seconds")
    assert len(dataset.users) == 30
    if name in REPEATS:
        assert dataset.repeat_share > REPEATS[name]
    else:
        assert dataset.repeat_share < 0.2
    if name == "baskets":
        assert dataset.interactions.select("user_id", "timestamp").is_duplicated().mean() > 0.9
    if name == "visitors":
        spans = dataset.interactions.group_by("user_id").agg(span=pl.col("timestamp").max() - pl.col("timestamp").min())
        assert spans["span"].max() < 3 * 3600
