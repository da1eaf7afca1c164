"""The data sets of ``accuracy.py`` and how they are cut: for the test, and inside training for the peers' trials."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from accuracy_shapes import MADE

import shortlist as sl
from shortlist.data.power_law import PowerLaw, power_law
from shortlist.data.split import Protocol, split_random, split_rolling, split_time

DAY = 86_400
SHAPES = {
    # A shop: things are bought again, nobody rates.
    "shop": (PowerLaw(n_interactions=120_000, n_users=4_000, n_items=3_000, repeats=0.3), ["rating"]),
    # Sequences: nothing is known but who took what in which order.
    "sequences": (PowerLaw(n_interactions=120_000, n_users=6_000, n_items=2_000, drift=0.3), ["rating", "timestamp"]),
    # So little that a ranker can do harm.
    "small": (PowerLaw(n_interactions=4_000, n_users=400, n_items=300), []),
}
SHAPE_NAMES = (*SHAPES, *MADE)
TIME_SHARE = {"1m": 0.1}
"""The share of the newest events that ``time`` tests on, where it is not a fifth. 80/10/10 is 90% to train on: the
middle tenth is what choices are made by."""


@dataclass(frozen=True)
class Case:
    """A data set and a protocol.

    Attributes:
        name: of the data set: ``100k``, ``1m``, a shape, or that of a file.
        protocol: ``random``, ``next``, ``time`` or ``rolling`` (``time`` at three moments).
        seed: of the random split.
    """

    name: str
    dataset: sl.Dataset
    protocol: str
    seed: int = 42

    @property
    def evaluated_as(self) -> Protocol:
        return "time" if self.protocol == "rolling" else self.protocol  # type: ignore[return-value]

    @property
    def target(self) -> str:
        return "window" if self.evaluated_as == "time" else self.protocol

    def parts(self) -> list[sl.Split]:
        """Training and test: one cut, or the rolling windows with the earliest first."""
        if self.protocol == "random":
            return [split_random(self.dataset, seed=self.seed)]
        if self.protocol == "next":
            return [sl.split(self.dataset, "next")]
        if self.protocol == "time":
            return [split_time(self.dataset, share=TIME_SHARE.get(self.name, 0.2))]
        return split_rolling(self.dataset, windows=3, days=30.0)

    def inner(self, part: sl.Split) -> sl.Split:
        """A training part cut as the whole was: what the peers' settings are chosen on."""
        if self.protocol == "random":
            return split_random(part.train, seed=self.seed + 1)
        if self.protocol == "next":
            return sl.split(part.train, "next")
        if self.protocol == "time":
            return split_time(part.train, share=min(0.5, len(part.test) / len(part.train)))
        return split_rolling(part.train, windows=1, days=30.0)[0]


def days_of(part: sl.Split) -> int:
    """How many days the test lasts, at least 1; 0 where times are not seconds."""
    if part.test.time_kind != "seconds":
        return 0
    times = part.test.interactions["timestamp"]
    return max(1, round((int(times.max()) - int(times.min())) / DAY))  # type: ignore[arg-type]


def invented(shape: str) -> sl.Dataset:
    """One of `SHAPE_NAMES`. Sequences keep their order as times 0, 1, 2 … and have no attributes."""
    if shape in MADE:
        return sl.Dataset.from_frames(*MADE[shape](np.random.default_rng(0)), name=shape)
    law, dropped = SHAPES[shape]
    whole = power_law(law)
    events = whole.interactions.drop(dropped)
    if "timestamp" in dropped:
        order = pl.int_range(len(events), dtype=pl.Int64).alias("timestamp")
        return sl.Dataset.from_frames(events.with_columns(order), name=shape)
    return sl.Dataset.from_frames(events, whole.items, whole.users, name=shape)


def from_file(log: Path, items: Path | None, users: Path | None) -> sl.Dataset:
    read = sl.Dataset.from_parquet if log.suffix == ".parquet" else sl.Dataset.from_csv
    return read(log, items, users, name=log.stem)
