"""Large invented logs: popularity by a power law, tastes, drift, new users and items, repeats, sessions.

They are made from settings and a seed, block after block in the order of time, so that a log of any length is written
to Parquet in little memory. What is true of them is stated in `PowerLaw`, and below:

- Users have tastes. Items are in categories, each session is in one, and each user likes two of them. So whatever
  looks at histories (co-visitation, EASE, factors) recommends better than popularity.
- Users come all the time: three tenths in the first tenth of the span, the others evenly after it. So do items: half
  are out before the log begins, the others come out evenly. A user's first row is in the block of time (1/200 of the
  span or less) of the arrival, an item's none before it is out.
- Popularity moves: an item's appeal swings, and new items draw most for a while. So what was popular lately tells more
  about what comes next than what was popular ever.
- Tastes move: each user's two categories change twice in the span.
- Ratings (1 to 5) are higher in liked categories, for good items and from kind users.
- Attributes tell something: of items ``category``, ``tags``, ``title``, ``price``, ``released``; of users
  ``interest`` and ``joined``. ``country`` tells nothing.
"""

import os
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from shortlist.data.dataset import Dataset
from shortlist.data.power_law_events import Events
from shortlist.data.power_law_world import Items, PowerLaw, Users
from shortlist.errors import ConfigError

__all__ = ["PowerLaw", "power_law", "write_power_law"]

SCHEMA = {"user_id": pl.Int64, "item_id": pl.Int64, "timestamp": pl.Int64, "rating": pl.Int8}
ROWS_PER_GROUP = 262_144


def power_law(law: PowerLaw) -> Dataset:
    """A power-law log in memory.

    >>> power_law(PowerLaw(n_interactions=2_000, n_users=100, n_items=150))
    <Dataset 'power_law': 2,000 interactions, 100 users, 150 items, time: seconds>
    """
    interactions = pl.concat(list(Events(law).blocks()))
    return Dataset.from_frames(interactions, Items(law).table(), Users(law).table(), name="power_law")


def write_power_law(law: PowerLaw, folder: str | Path, *, rows_per_group: int = ROWS_PER_GROUP) -> list[Path]:
    """Write a power-law log as ``interactions.parquet``, ``items.parquet`` and ``users.parquet``.

    The interactions are written while they are made, in groups of rows; they are the rows of `power_law`, however
    large the groups. The files get their names when all three are complete; an interruption leaves at most hidden
    ``.part`` files, which the next run overwrites.

    Args:
        law: what to write.
        folder: made if need be; must hold none of the three files.
        rows_per_group: rows of the interactions that a reader takes up at once.

    Returns:
        The three files: interactions, items, users.

    Raises:
        ConfigError: one of the files exists.
    """
    folder = Path(folder)
    files = [folder / f"{name}.parquet" for name in ("interactions", "items", "users")]
    for file in files:
        if file.exists():
            raise ConfigError(f"{file}: exists already; expected a folder without it, nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    parts = [file.with_name(f".{file.name}.part") for file in files]
    frames = [
        register_io_source(lambda *_: Events(law).blocks(), schema=SCHEMA),
        Items(law).table().lazy(),
        Users(law).table().lazy(),
    ]
    try:
        for part, frame in zip(parts, frames, strict=True):
            frame.sink_parquet(part, row_group_size=rows_per_group, maintain_order=True)
        for part, file in zip(parts, files, strict=True):
            os.replace(part, file)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return files
