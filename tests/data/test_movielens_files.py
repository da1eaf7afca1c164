"""Reading the layouts of MovieLens, on invented films."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from invented_movielens import FILMS, RATINGS, USERS, files_1m, files_100k, files_recbole, write_folder

from shortlist.data.dataset import Dataset
from shortlist.data.movielens import by_title, movielens
from shortlist.errors import DataError


def test_original_layout_of_100k(tmp_path: Path) -> None:
    dataset = movielens("100k", write_folder(tmp_path / "data", files_100k()))
    kinds = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
    assert {name: dataset.interactions.schema[name] for name in kinds} == kinds
    assert dataset.interactions.select(*kinds).rows() == RATINGS
    assert dataset.items.rows() == [
        (1, "Der Käfer (1994)", 1994, ["Drama", "War"], date(1995, 1, 1)),
        (2, "Fog, The (1990)", 1990, ["Horror"], date(1991, 2, 4)),
        (3, "Ducks III: The Pond (1993) (V)", 1993, ["Children's", "Comedy"], date(1993, 1, 1)),
        (4, "unknown", None, ["unknown"], None),
        (5, "Fog, The (1990)", 1990, ["Horror", "Sci-Fi"], date(1991, 2, 5)),
        (6, "1900 Ways (1971)", 1971, ["Western"], date(1972, 12, 31)),
    ]
    assert dataset.items.schema["year"] == pl.Int32
    assert dataset.users.rows() == USERS
    assert dataset.users.columns == ["user_id", "age", "gender", "occupation", "zip_code"]
    assert dataset.name == "ml-100k"
    assert dataset.notes == ("5 ratings by 3 users, 6 films; as published ml-100k has 100,000, 943 and 1,682",)


def test_year_from_the_release_date_where_the_title_has_none(tmp_path: Path) -> None:
    files = files_100k()
    files["u.item"] = files["u.item"].replace(b"Fog, The (1990)|4-Feb-1991", b"Fog, The|4-Feb-1991")
    assert movielens("100k", write_folder(tmp_path / "data", files)).items["year"][1] == 1991


def test_genres_follow_the_genre_file(tmp_path: Path) -> None:
    files = files_100k()
    files["u.genre"] = files["u.genre"].replace(b"Western", b"Ducks")
    folder = write_folder(tmp_path / "data", files)
    assert movielens("100k", folder).items["genres"][5].to_list() == ["Ducks"]
    (folder / "u.genre").unlink()
    assert movielens("100k", folder).items["genres"][5].to_list() == ["Western"]


def test_original_layout_of_1m(tmp_path: Path) -> None:
    dataset = movielens("ml-1m", write_folder(tmp_path / "data", files_1m()))
    assert dataset.interactions.select("user_id", "item_id", "rating", "timestamp").rows() == RATINGS
    assert dataset.items.columns == ["item_id", "title", "year", "genres"]
    assert dataset.items.row(0) == (1, "Der Käfer (1994)", 1994, ["Drama", "War"])
    assert dataset.users.rows() == [
        (5, 1, "F", "K-12 student", "00123"),
        (6, 56, "M", "other", "V3N4P"),
        (7, 25, "M", "writer", "55105"),
    ]


def test_recbole_layout_gives_the_same_but_for_the_dates(tmp_path: Path) -> None:
    original = movielens("100k", write_folder(tmp_path / "original", files_100k()))
    packed = movielens("100k", write_folder(tmp_path / "packed", files_recbole()))
    assert packed.interactions.equals(original.interactions)
    assert packed.users.equals(original.users)
    assert packed.items.equals(original.items.drop("release_date"))
    assert any("release_date" in note for note in packed.notes)
    assert any("items 3, 4: broken" in note for note in packed.notes)


def test_windows_line_ends_and_a_missing_last_one(tmp_path: Path) -> None:
    files = files_100k()
    files["u.data"] = files["u.data"].replace(b"\n", b"\r\n")
    files["u.user"] = files["u.user"].rstrip(b"\n")
    dataset = movielens("100k", write_folder(tmp_path / "data", files))
    assert (len(dataset), len(dataset.users)) == (5, 3)


@pytest.mark.parametrize(
    ("name", "line", "replacement", "expected"),
    [
        ("u.data", 3, b"7\t3\t5", r"u\.data, line 3: expected 4 columns .*got 3"),
        ("u.data", 2, b"5\tone\t4\t900000100", r"u\.data, line 2: expected 'item_id' as a number, got 'one'"),
        ("u.data", 5, b"6\t5\tnan\t900000100", r"u\.data, line 5: expected 'rating' as a number, got 'nan'"),
        ("u.data", 1, b"7\t2\t3\t9e8", r"u\.data, line 1: expected 'timestamp' as a number"),
        ("u.data", 4, b"", r"u\.data, line 4: expected 4 columns"),
        ("u.item", 2, b"2|Fog, The (1990)|4-Fe", r"u\.item, line 2: expected 24 columns .*got 3"),
        (
            "u.item",
            1,
            b"1|A|01-Foo-1995||u|" + b"|".join([b"0"] * 19),
            r"u\.item, line 1: expected a date.*01-Foo-1995",
        ),
        ("u.user", 3, b"7|old|M|pilot|55105", r"u\.user, line 3: expected 'age' as a number, got 'old'"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, name: str, line: int, replacement: bytes, expected: str) -> None:
    files = files_100k()
    lines = files[name].split(b"\n")
    lines[line - 1] = replacement
    files[name] = b"\n".join(lines)
    with pytest.raises(DataError, match=expected):
        movielens("100k", write_folder(tmp_path / "data", files))


def test_errors_count_the_header_line(tmp_path: Path) -> None:
    files = files_recbole()
    files["ml-100k.inter"] = files["ml-100k.inter"].replace(b"7\t2\t3", b"7\t2\tthree")
    with pytest.raises(DataError, match=r"ml-100k\.inter, line 2: expected 'rating'"):
        movielens("100k", write_folder(tmp_path / "data", files))


def test_unknown_occupation_code(tmp_path: Path) -> None:
    files = files_1m() | {"users.dat": b"5::F::1::10::1\n6::M::56::21::2\n"}
    with pytest.raises(DataError, match=r"users\.dat, line 2: expected a code from 0 to 20, got 21"):
        movielens("1m", write_folder(tmp_path / "data", files))


def test_truncated_at_a_line_end(tmp_path: Path) -> None:
    files = files_100k()
    files["u.data"] = b"\n".join(files["u.data"].split(b"\n")[:3])
    with pytest.raises(DataError, match=r"u\.data: expected 5 ratings, as u\.info says, got 3; .* after line 3"):
        movielens("100k", write_folder(tmp_path / "data", files))


@pytest.mark.parametrize(("content", "expected"), [(None, "is missing"), (b"", "got none"), (b"\n\n", "got none")])
def test_missing_or_empty_file(tmp_path: Path, content: bytes | None, expected: str) -> None:
    files = files_100k()
    del files["u.user"]
    if content is not None:
        files["u.user"] = content
    with pytest.raises(DataError, match=rf"u\.user.* {expected}"):
        movielens("100k", write_folder(tmp_path / "data", files))


def test_not_utf8(tmp_path: Path) -> None:
    files = files_recbole()
    files["ml-100k.item"] = files["ml-100k.item"].decode().encode("latin-1")
    with pytest.raises(DataError, match=r"ml-100k\.item: expected text in utf-8"):
        movielens("100k", write_folder(tmp_path / "data", files))


def test_by_title(tmp_path: Path) -> None:
    dataset = movielens("100k", write_folder(tmp_path / "data", files_100k()))
    titled = by_title(dataset)
    titles = {film[0]: film[1].strip() for film in FILMS}
    assert titled.interactions["item_id"].to_list() == [titles[row[1]] for row in RATINGS]
    assert titled.interactions.drop("item_id").equals(dataset.interactions.drop("item_id"))
    assert titled.items["item_id"].to_list() == [titles[item_id] for item_id in (1, 2, 3, 4, 6)]
    assert titled.items.row(1) == ("Fog, The (1990)", "Fog, The (1990)", 1990, ["Horror"], date(1991, 2, 4))
    assert titled.users.equals(dataset.users)
    assert titled.notes == (*dataset.notes, "item ids are titles: 5 titles for 6 ids")
    assert titled.name == dataset.name


def test_by_title_needs_titles() -> None:
    log = {"user_id": [1, 1], "item_id": [8, 9]}
    with pytest.raises(DataError, match="expected a column 'title'"):
        by_title(Dataset.from_frames(log))
    with pytest.raises(DataError, match=r"none for 1 \(first: 9\)"):
        by_title(Dataset.from_frames(log, {"item_id": [8], "title": ["Fog"]}))
