"""The editions of MovieLens: where each was published, what it must be, and how much is in it.

Digests are those of TensorFlow Datasets (``url_checksums/movielens.txt``); for 10M and 32M, which it does not have,
those on which several unrelated projects agree. Counts are those of each archive's README, but for the users of 10M:
its README counts the ids of ratings and tags together (71,567).
"""

from dataclasses import dataclass

from shortlist.data.download import Pin
from shortlist.data.movielens_files import LAYOUT_1M, LAYOUT_10M, LAYOUT_100K, LAYOUT_CSV, LAYOUT_RECBOLE, Layout


@dataclass(frozen=True)
class Package:
    """A published file that holds an edition.

    Attributes:
        origin: how `Fetched` calls it.
        pin: its address, size and digest.
        layout: the layout inside it.
        folder: the folder in the cache that its files go to; for an official archive, the one inside it.
    """

    origin: str
    pin: Pin
    layout: Layout
    folder: str


@dataclass(frozen=True)
class Edition:
    """A published edition and where it can be had.

    Attributes:
        name: as in the archive's name.
        n_ratings: number of interactions as published.
        n_users: number of users with ratings.
        n_films: number of films in the table of films, rated or not.
        archive: the official zip.
        wheel: a wheel on the package index with the same interactions, or ``None``.
    """

    name: str
    n_ratings: int
    n_users: int
    n_films: int
    archive: Package
    wheel: Package | None = None

    @property
    def packages(self) -> tuple[Package, ...]:
        return (self.archive,) if self.wheel is None else (self.archive, self.wheel)


def _official(file: str, n_bytes: int, sha256: str, layout: Layout, folder: str, remark: str = "") -> Package:
    pin = Pin(f"https://files.grouplens.org/datasets/movielens/{file}", n_bytes, sha256, remark)
    return Package("official archive", pin, layout, folder)


ARCHIVE_100K = _official(
    *("ml-100k.zip", 4_924_029, "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"),
    *(LAYOUT_100K, "ml-100k"),
)
WHEEL_100K = Package(
    "recbole wheel",
    Pin("recbole==1.2.1", 2_130_151, "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"),
    *(LAYOUT_RECBOLE, "ml-100k-recbole"),
)
ARCHIVE_1M = _official(
    *("ml-1m.zip", 5_917_549, "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"),
    *(LAYOUT_1M, "ml-1m"),
)
ARCHIVE_10M = _official(
    *("ml-10m.zip", 65_566_137, "813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862"),
    *(LAYOUT_10M, "ml-10M100K"),
)
ARCHIVE_20M = _official(
    *("ml-20m.zip", 198_702_078, "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3"),
    *(LAYOUT_CSV, "ml-20m"),
)
ARCHIVE_25M = _official(
    *("ml-25m.zip", 261_978_986, "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa"),
    *(LAYOUT_CSV, "ml-25m"),
)
ARCHIVE_32M = _official(
    *("ml-32m.zip", 238_950_008, "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee"),
    *(LAYOUT_CSV, "ml-32m"),
)
ARCHIVE_LATEST_SMALL = _official(
    *("ml-latest-small.zip", 978_202, "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436"),
    *(LAYOUT_CSV, "ml-latest-small"),
    "GroupLens replaces ml-latest-small from time to time; the one known here is of 2018-09-26",
)

EDITIONS = {
    edition.name.removeprefix("ml-"): edition
    for edition in (
        Edition("ml-100k", 100_000, 943, 1_682, ARCHIVE_100K, WHEEL_100K),
        Edition("ml-1m", 1_000_209, 6_040, 3_883, ARCHIVE_1M),
        Edition("ml-10m", 10_000_054, 69_878, 10_681, ARCHIVE_10M),
        Edition("ml-20m", 20_000_263, 138_493, 27_278, ARCHIVE_20M),
        Edition("ml-25m", 25_000_095, 162_541, 62_423, ARCHIVE_25M),
        Edition("ml-32m", 32_000_204, 200_948, 87_585, ARCHIVE_32M),
        Edition("ml-latest-small", 100_836, 610, 9_742, ARCHIVE_LATEST_SMALL),
    )
}
"""By name without ``ml-``: all that `movielens` and the commands know."""
