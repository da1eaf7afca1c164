"""Reading MovieLens as its files lie in a folder.

===================  ===============================================================================================
``LAYOUT_100K``      100K: ``u.data``, ``u.item``, ``u.user`` and, where present, ``u.genre``, ``u.info``
``LAYOUT_1M``        1M: ``ratings.dat``, ``movies.dat`` (Latin-1), ``users.dat``
``LAYOUT_10M``       10M: ``ratings.dat``, ``movies.dat`` (UTF-8)
``LAYOUT_CSV``       20M, 25M, 32M, latest-small: ``ratings.csv``, ``movies.csv``
``LAYOUT_RECBOLE``   100K as RecBole packs it: ``ml-100k.inter``, ``ml-100k.item``, ``ml-100k.user``
===================  ===============================================================================================

Tags, links and the tag genome are left where they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shortlist.data.columns import refuse
from shortlist.data.csv_files import CsvFile, read_text
from shortlist.data.lines import Schema, check_header, read_lines, read_numbers, read_table, refuse_unread
from shortlist.errors import DataError

RATINGS: Schema = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
USERS: Schema = {
    "user_id": pl.Int64,
    "age": pl.Int32,
    "gender": pl.String,
    "occupation": pl.String,
    "zip_code": pl.String,
}
USERS_1M: Schema = {
    "user_id": pl.Int64,
    "gender": pl.String,
    "age": pl.Int32,
    "code": pl.UInt8,
    "zip_code": pl.String,
}
FILMS: Schema = {"item_id": pl.Int64, "title": pl.String, "genres": pl.String}
FILMS_RECBOLE: Schema = {"item_id": pl.Int64, "name": pl.String, "year": pl.String, "genres": pl.String}

HEADER_RATINGS = ["userId", "movieId", "rating", "timestamp"]
HEADER_FILMS = ["movieId", "title", "genres"]
NO_GENRES = "(no genres listed)"

GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The flags of ``u.item``, in their order."""

OCCUPATIONS_1M = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service"),
    *("doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer"),
    *("retired", "sales/marketing", "scientist", "self-employed", "technician/engineer", "tradesman/craftsman"),
    *("unemployed", "writer"),
)
"""The occupation with code 0, 1, 2 …"""


@dataclass(frozen=True)
class Tables:
    """One edition as frames; the interactions in the order of the file.

    Attributes:
        interactions: ``user_id`` Int64, ``item_id`` Int64, ``rating`` Float64, ``timestamp`` Int64 (Unix seconds).
        items: ``item_id`` Int64, ``title`` String, ``year`` Int32, ``genres`` List(String); in the original layout of
            100K also ``release_date`` Date. Year and release date may be null.
        users: ``user_id`` Int64, ``age`` Int32 (in 1M the lower end of a range, 1 = under 18), ``gender``,
            ``occupation``, ``zip_code`` String; ``None`` where nothing is known of them.
        notes: what is missing from the files or was repaired in them.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How one form of the data is recognised, unpacked and read.

    Attributes:
        marker: the file that tells the layout.
        members: regular expression: the files to take out of a zip.
        read: a folder's tables.
    """

    marker: str
    members: str
    read: Callable[[Path], Tables]


def read_100k(folder: Path) -> Tables:
    """MovieLens 100K in its original layout.

    Raises:
        DataError: a file is missing, cut off or not in this layout; names file and line.
    """
    interactions = read_numbers(folder / "u.data", "\t", RATINGS)
    _check_count(folder / "u.info", folder / "u.data", len(interactions))
    return Tables(interactions, _items_100k(folder), read_table(folder / "u.user", "|", USERS))


def read_1m(folder: Path) -> Tables:
    """MovieLens 1M in its original layout; occupations by name.

    Raises:
        DataError: a file is missing, cut off or not in this layout; names file and line.
    """
    users = read_table(folder / "users.dat", "::", USERS_1M)
    names = pl.col("code").replace_strict(dict(enumerate(OCCUPATIONS_1M)), default=None, return_dtype=pl.String)
    users = users.with_columns(names.alias("occupation"))
    refuse_unread(folder / "users.dat", users["occupation"], users["code"], 1, "a code from 0 to 20")

    films = read_table(folder / "movies.dat", "::", FILMS)
    return Tables(read_numbers(folder / "ratings.dat", "::", RATINGS), _items(films), users.select(*USERS))


def read_10m(folder: Path) -> Tables:
    """MovieLens 10M in its original layout.

    Raises:
        DataError: a file is missing, cut off or not in this layout; names file and line.
    """
    films = read_table(folder / "movies.dat", "::", FILMS, encoding="utf-8")
    return Tables(read_numbers(folder / "ratings.dat", "::", RATINGS), _items(films), None)


def read_20m(folder: Path) -> Tables:
    """The layout of 20M and all later editions.

    Raises:
        DataError: a file is missing, cut off or not in this layout; names file and line.
    """
    file = CsvFile(folder / "movies.csv", ",")
    films = read_text(file)
    check_header(Path(file), films.columns, HEADER_FILMS)
    item_ids = films["movieId"].cast(pl.Int64, strict=False)
    refuse(file, "movieId", films["movieId"], item_ids.is_null(), "a number in every row")
    items = _items(films.select(item_ids.alias("item_id"), "title", "genres"))
    return Tables(read_numbers(folder / "ratings.csv", ",", RATINGS, HEADER_RATINGS), items, None)


def read_recbole(folder: Path) -> Tables:
    """MovieLens 100K as RecBole packs it: the rows of ``u.data`` in the same order, films without release dates.

    Raises:
        DataError: a file is missing, cut off or not in this layout; names file and line.
    """
    films = read_table(folder / "ml-100k.item", "\t", FILMS_RECBOLE, encoding="utf-8", header=True)
    # The packer cut the last "(…)" off each title and called it the year. So `name (year)` gives back the title even
    # where that was no year, as in "… (1995) (V)". A film without any "(…)" has its name in both fields; the one such
    # film of MovieLens, called "unknown", is misspelt here as well.
    nameless = pl.col("name") == pl.col("year")
    name = pl.when(pl.col("name") == "unkonwn").then(pl.lit("unknown")).otherwise("name")
    title = pl.when(nameless).then(name).otherwise(pl.format("{} ({})", "name", "year"))
    items = films.select("item_id", title.alias("title"), pl.col("genres").str.split(" ")).select(
        "item_id", "title", _year_in("title"), "genres"
    )
    repaired = films.filter(~pl.col("year").str.contains(r"^\d{4}$"))["item_id"].to_list()
    return Tables(
        read_table(folder / "ml-100k.inter", "\t", RATINGS, header=True),
        items,
        read_table(folder / "ml-100k.user", "\t", USERS, header=True),
        _recbole_notes(repaired),
    )


LAYOUT_100K = Layout("u.data", r"u\w?\.\w+|README", read_100k)
LAYOUT_1M = Layout("ratings.dat", r"(ratings|movies|users)\.dat|README", read_1m)
LAYOUT_10M = Layout("ratings.dat", r"(ratings|movies)\.dat|README\.html", read_10m)
LAYOUT_CSV = Layout("ratings.csv", r"(ratings|movies)\.csv|README\.(txt|html)", read_20m)
LAYOUT_RECBOLE = Layout("ml-100k.inter", r"ml-100k\.(inter|item|user)", read_recbole)


def _check_count(info: Path, file: Path, n_ratings: int) -> None:
    """Compare the number of ratings with what ``u.info`` says, if it is there."""
    if not info.exists():
        return
    for line in read_lines(info, "latin-1"):
        if line.endswith(" ratings") and line.split()[0] != str(n_ratings):
            raise DataError(
                f"{file}: expected {line.split()[0]} ratings, as {info.name} says, got {n_ratings}; "
                f"the file is cut off after line {n_ratings} or belongs to another data set"
            )


def _items_100k(folder: Path) -> pl.DataFrame:
    genres = GENRES_100K
    if (folder / "u.genre").exists():
        names = read_table(folder / "u.genre", "|", {"name": pl.String, "position": pl.UInt8}).sort("position")
        genres = tuple(names["name"])
    file = folder / "u.item"
    texts: Schema = dict.fromkeys(("title", "release", "video_release", "url"), pl.String)
    films = read_table(file, "|", {"item_id": pl.Int64, **texts, **dict.fromkeys(genres, pl.UInt8)})
    # A few films of MovieLens have no date; that is an empty field, not one that cannot be read.
    dates = films["release"].set(films["release"] == "", None)
    released = dates.str.strptime(pl.Date, "%d-%b-%Y", strict=False)
    refuse_unread(file, released, dates, 1, "a date such as '01-Jan-1995'")
    flagged = [pl.when(pl.col(genre) == 1).then(pl.lit(genre)) for genre in genres]
    return films.select(
        "item_id",
        pl.col("title").str.strip_chars(),
        pl.coalesce(_year_in("title"), released.dt.year().cast(pl.Int32)).alias("year"),
        pl.concat_list(flagged).list.drop_nulls().alias("genres"),
        released.alias("release_date"),
    )


def _items(films: pl.DataFrame) -> pl.DataFrame:
    genres = pl.when(pl.col("genres") == NO_GENRES).then(pl.lit([], pl.List(pl.String)))
    return films.select(
        "item_id",
        pl.col("title").str.strip_chars(),
        _year_in("title"),
        genres.otherwise(pl.col("genres").str.split("|")).alias("genres"),
    )


def _year_in(title: str) -> pl.Expr:
    """The last ``(1995)`` in a title, of a series ``(1995–1999)`` or ``(1995– )`` the first of its years.

    Int32 ``year``, null where there is none.
    """
    return pl.col(title).str.extract(r".*\((\d{4})(?:[-–]\s?(?:\d{4})?)?\)", 1).cast(pl.Int32).alias("year")


def _recbole_notes(repaired: list[int]) -> tuple[str, ...]:
    notes = [
        "films as RecBole packs them: there are no release dates (no column 'release_date'); "
        "titles were put together again as 'title (year)'"
    ]
    if repaired:
        notes.append(f"items {', '.join(map(str, repaired))}: broken title and year repaired")
    return tuple(notes)
