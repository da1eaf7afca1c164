"""Reading MovieLens as its files lie in a folder: three layouts, each told by one file in it.

================  ==================================================================================
``u.data``        MovieLens 100K: ``u.data``, ``u.item``, ``u.user`` and, where present, ``u.genre``, ``u.info``
``ratings.dat``   MovieLens 1M: ``ratings.dat``, ``movies.dat``, ``users.dat``
``ml-100k.inter`` MovieLens 100K as RecBole packs it: ``ml-100k.inter``, ``ml-100k.item``, ``ml-100k.user``
================  ==================================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shortlist.errors import DataError

Schema = dict[str, type[pl.DataType]]

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
FILMS_1M: Schema = {"item_id": pl.Int64, "title": pl.String, "genres": pl.String}
FILMS_RECBOLE: Schema = {"item_id": pl.Int64, "name": pl.String, "year": pl.String, "genres": pl.String}

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
            ``occupation``, ``zip_code`` String.
        notes: what is missing from the files or was repaired in them.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
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
    interactions = read_table(folder / "u.data", "\t", RATINGS)
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
    _refuse_unread(folder / "users.dat", users["occupation"], users["code"], 1, "a code from 0 to 20")

    films = read_table(folder / "movies.dat", "::", FILMS_1M)
    items = films.select(
        "item_id", pl.col("title").str.strip_chars(), _year_in("title"), pl.col("genres").str.split("|")
    )
    return Tables(read_table(folder / "ratings.dat", "::", RATINGS), items, users.select(*USERS))


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


LAYOUTS = {
    layout.marker: layout
    for layout in (
        Layout("u.data", r"u\w?\.\w+|README", read_100k),
        Layout("ratings.dat", r"\w+\.dat|README", read_1m),
        Layout("ml-100k.inter", r"ml-100k\.(inter|item|user)", read_recbole),
    )
}


def read_table(
    file: Path, separator: str, schema: Schema, *, encoding: str = "latin-1", header: bool = False
) -> pl.DataFrame:
    """A text file with one record per line and a separator that never occurs in a value.

    Args:
        file: the file; blank lines at its end do not count.
        separator: one or more characters.
        schema: names and types of the columns; numbers must be there in every line.
        encoding: of the text.
        header: whether the first line names the columns (the names are not read).

    Raises:
        DataError: the file is missing or empty, a line has another number of columns, a number cannot be read.
    """
    lines = _lines(file, encoding)
    first_line = 2 if header else 1
    fields = pl.Series(lines[first_line - 1 :], dtype=pl.String).str.split(separator)
    if fields.is_empty():
        raise DataError(f"{file}: expected one record per line, got none")
    wrong = (fields.list.len() != len(schema)).arg_true()
    if len(wrong):
        raise DataError(
            f"{file}, line {first_line + wrong[0]}: expected {len(schema)} columns separated by {separator!r} "
            f"({', '.join(schema)}), got {len(fields[wrong[0]])}; the file is cut off or not in this layout"
        )
    columns = {name: fields.list.get(position) for position, name in enumerate(schema)}
    return pl.DataFrame({name: _typed(file, name, columns[name], dtype, first_line) for name, dtype in schema.items()})


def _lines(file: Path, encoding: str) -> list[str]:
    try:
        text = file.read_bytes().decode(encoding)
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing; the data set cannot be read without it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: expected text in {encoding}, got something else ({error})") from error
    # Not splitlines(): in latin-1 that also splits at characters inside titles.
    return text.replace("\r\n", "\n").rstrip("\n").split("\n") if text.strip() else []


def _typed(file: Path, name: str, texts: pl.Series, dtype: type[pl.DataType], first_line: int) -> pl.Series:
    if dtype == pl.String:
        return texts
    values = texts.cast(dtype, strict=False)
    if dtype.is_float():
        values = values.set(~values.is_finite(), None)
    _refuse_unread(file, values, texts, first_line, f"{name!r} as a number")
    return values


def _refuse_unread(file: Path, values: pl.Series, texts: pl.Series, first_line: int, expected: str) -> None:
    """Refuse a column in which a text did not become a value."""
    unread = (values.is_null() & texts.is_not_null()).arg_true()
    if len(unread):
        raise DataError(
            f"{file}, line {first_line + unread[0]}: expected {expected}, got {texts[unread[0]]!r} "
            f"({len(unread):,} of {len(values):,} lines)"
        )


def _check_count(info: Path, file: Path, n_ratings: int) -> None:
    """Compare the number of ratings with what ``u.info`` says, if it is there."""
    if not info.exists():
        return
    for line in _lines(info, "latin-1"):
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
    _refuse_unread(file, released, dates, 1, "a date such as '01-Jan-1995'")
    flagged = [pl.when(pl.col(genre) == 1).then(pl.lit(genre)) for genre in genres]
    return films.select(
        "item_id",
        pl.col("title").str.strip_chars(),
        pl.coalesce(_year_in("title"), released.dt.year().cast(pl.Int32)).alias("year"),
        pl.concat_list(flagged).list.drop_nulls().alias("genres"),
        released.alias("release_date"),
    )


def _year_in(title: str) -> pl.Expr:
    """The last ``(1995)`` in a title as Int32 ``year``, null where there is none."""
    return pl.col(title).str.extract(r".*\((\d{4})\)", 1).cast(pl.Int32).alias("year")


def _recbole_notes(repaired: list[int]) -> tuple[str, ...]:
    notes = [
        "films as RecBole packs them: there are no release dates (no column 'release_date'); "
        "titles were put together again as 'title (year)'"
    ]
    if repaired:
        notes.append(f"items {', '.join(map(str, repaired))}: broken title and year repaired")
    return tuple(notes)
