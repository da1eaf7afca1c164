"""CSV: what comes in as what, and errors with file, row and line."""

import datetime as dt

import polars as pl
import pytest

from shortlist.data import csv_files
from shortlist.data.csv_files import CsvFile, read_text, split_lists, typed
from shortlist.data.dataset import Dataset
from shortlist.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(content, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refused(message, *args, **kwargs):
    with pytest.raises(DataError, match=message):
        Dataset.from_csv(*args, **kwargs)


def test_three_files(write):
    log = write("customer;sku;timestamp;rating\n7;a|b;2020-01-01 10:00:00;4\n8;c;2020-01-02 11:30:00;\n", "log[1].csv")
    first = '"The ""Fog""; part 2";Drama|War;00123;1990;1.5;true;2020-01-31;2020-01-31T10:00'
    items = write(
        f'sku;title;genres;zip;year;price;new;day;moment\na|b;{first}\nq;"Two\nlines";War;;;;;;\n', "items.csv"
    )
    users = write("customer;age\n7;31\n", "users.csv")
    names = {"user_id": "customer", "item_id": "sku"}
    dataset = Dataset.from_csv(log, items, users, names, separator=";", name="shop")
    assert dataset.interactions.to_dict(as_series=False) == {
        "user_id": [7, 8],
        "item_id": ["a|b", "c"],
        "timestamp": [1_577_872_800, 1_577_964_600],
        "rating": [4.0, None],
    }
    assert dataset.items.row(0, named=True) == {
        "item_id": "a|b",
        "title": 'The "Fog"; part 2',
        "genres": ["Drama", "War"],
        "zip": "00123",
        "year": 1990,
        "price": 1.5,
        "new": True,
        "day": dt.date(2020, 1, 31),
        "moment": dt.datetime(2020, 1, 31, 10, tzinfo=dt.UTC),
    }
    assert dataset.items["title"][1] == "Two\nlines"
    assert dataset.users["age"].to_list() == [31, None]
    assert dataset.name == "shop"


@pytest.mark.parametrize(
    "content",
    [
        "user_id,item_id\n1,2\n",
        "user_id,item_id\n1,2",
        "user_id,item_id\r\n1,2\r\n",
        "\ufeffuser_id,item_id\n1,2\n",
        "user_id,item_id\n1,2\n\n\n",
        "\n\nuser_id,item_id\n1,2\n",
        '"user_id","item_id"\n"1","2"\n',
    ],
)
def test_habits_of_writers(write, content):
    assert Dataset.from_csv(write(content)).interactions.to_dict(as_series=False) == {"user_id": [1], "item_id": [2]}


class TestIds:
    def test_leading_zeros_stay(self, write):
        path = write("user_id,item_id\n1,0108775015\n2,108775015\n")
        assert Dataset.from_csv(path).items["item_id"].to_list() == ["0108775015", "108775015"]

    def test_text_in_one_table_is_text_in_all(self, write):
        log, items = write("user_id,item_id\n1,5\n1,6\n"), write("item_id,year\n5,1990\nx7,1991\n", "items.csv")
        dataset = Dataset.from_csv(log, items)
        assert dataset.interactions["item_id"].to_list() == ["5", "6"]
        assert dataset.items["item_id"].to_list() == ["5", "x7", "6"]
        assert dataset.interactions["user_id"].dtype == pl.Int64

    def test_floats_are_refused(self, write):
        refused(r"log.csv, row 0 \(line 2\), column 'user_id': got 1.0 \(Float64\)", write("user_id,item_id\n1.0,5\n"))

    def test_the_empty_text_is_refused(self, write):
        refused(r"row 1 \(line 3\), column 'user_id': got ''", write('user_id,item_id\na,5\n"",6\n'))

    def test_beyond_64_bits_is_text(self, write):
        path = write(f"user_id,item_id\n{2**70},5\n")
        assert Dataset.from_csv(path).interactions["user_id"].to_list() == [str(2**70)]


class TestRefused:
    def test_no_file(self, tmp_path):
        refused("nowhere.csv: no such file", tmp_path / "nowhere.csv")
        refused("no such file", tmp_path)

    @pytest.mark.parametrize("content", ["", "\n", "  \n", "\r\n\r\n"])
    def test_empty(self, write, content):
        refused("log.csv: the file is empty", write(content))

    def test_header_only(self, write):
        refused("log.csv: expected at least one interaction, got an empty table", write("user_id,item_id\n"))

    def test_no_header(self, write):
        refused(r"log.csv: column 'user_id' is missing; the columns are '196', '242'", write("196,242\n186,302\n"))

    @pytest.mark.parametrize(
        ("bad", "fields"), [("3", 1), ("3,4,5", 3), ("3,4,", 3), ("", 1), ('"3,4"', 1), ('"3\n\n",4,5', 3)]
    )
    def test_ragged(self, write, bad, fields):
        content = f'user_id,item_id\n1,"a\nb"\n{bad}\n5,"6,""7"""\n'
        refused(rf"log.csv, row 1 \(line 4\): expected 2 fields as in the header, got {fields} \(1 of 3 rows\)",
                write(content))  # fmt: skip

    def test_ragged_across_chunks(self, write, monkeypatch):
        rows = [f'{n},"a,{n}"' for n in range(50)]
        path = write("user_id,item_id\n" + "\n".join(rows))
        for size in (1, 3, 7, 64):
            monkeypatch.setattr(csv_files, "CHUNK_BYTES", size)
            assert len(read_text(CsvFile(path, ","))) == 50
        write("user_id,item_id\n" + "\n".join([*rows, "1,2,3"]))
        for size in (1, 3, 7, 64):
            monkeypatch.setattr(csv_files, "CHUNK_BYTES", size)
            refused(r"row 50 \(line 52\)", path)

    def test_latin_1(self, write):
        content = "user_id,item_id\n1,a\n2,Käfer\n".encode("latin-1")
        refused(r"log.csv, line 3: expected UTF-8, got the byte 0xe4", write(content))
        refused(r"log.csv, line 1: expected UTF-8", write("user_id,item_id\n".encode("utf-16")))

    @pytest.mark.parametrize(("separator", "said"), [(";", "';'"), ("\t", r"'\\t'"), ("|", r"'\|'"), ("::", "'::'")])
    def test_another_separator(self, write, separator, said):
        refused(f"log.csv: .*separated by {said}|log.csv: .*pass separator={said}",
                write(f"user_id{separator}item_id\n1{separator}2\n"))  # fmt: skip

    def test_comma_where_another_was_asked(self, write):
        refused("pass separator=','", write("user_id,item_id\n1,2\n"), separator=";")
        for separator in ("::", "", '"', "\n", "ä"):
            refused("expected one ASCII character", write("user_id,item_id\n1,2\n"), separator=separator)

    def test_a_name_twice(self, write):
        refused("expected each column name once, got 'user_id' twice", write("user_id,item_id,user_id\n1,2,3\n"))

    def test_broken_quotes(self, write):
        refused("quotes inside a value", write('user_id,item_id\n1,"a\n2,b\n'))
        refused("quotes inside a value", write('user_id,item_id\n1,"a"b\n'))

    def test_text_among_numbers_has_row_line_and_value(self, write):
        content = 'user_id,item_id,rating\n1,"a\nb",3\n1,c,good\n2,d,4\n'
        refused(r"log.csv, row 1 \(line 4\), column 'rating': got 'good', expected a finite number or null \(1 of 3",
                write(content))  # fmt: skip
        refused(r"row 0 \(line 2\), column 'timestamp': got 'x'", write("user_id,item_id,timestamp\n1,2,x\n2,3,5\n"))
        refused(r"row 1 \(line 3\), column 'timestamp': got 'x'", write("user_id,item_id,timestamp\n1,2,7\n2,3,x\n"))
        refused(r"row 1 \(line 3\), column 'rating': got 'nan'", write("user_id,item_id,rating\n1,2,7\n2,3,nan\n"))
        refused(r"row 1 \(line 3\), column 'item_id': got None", write("user_id,item_id\n1,2\n2,\n"))
        refused(r"row 0 \(line 4\), column 'user_id': got None", write("\n\nuser_id,item_id\n,2\n"))

    def test_in_the_other_tables(self, write):
        log = write("user_id,item_id\n1,2\n")
        refused(r"items.csv, row 1 \(line 3\), column 'item_id': got 5, expected each id once", log,
                write("item_id\n5\n5\n", "items.csv"))  # fmt: skip
        refused(r"users.csv, row 0 \(line 2\), column 'user_id': got None", log, None,
                write("user_id,age\n,5\n", "users.csv"))  # fmt: skip
        refused(r"users.csv: column 'user_id' is missing", log, None, write("age\n5\n", "users.csv"))

    def test_a_mapping_to_nothing(self, write):
        refused("did you mean 'customer'", write("customer,item_id\n1,2\n"), columns={"user_id": "custommer"})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (["1", "-2", None], pl.Int64),
        (["0", "10"], pl.Int64),
        (["1", "007"], pl.String),
        (["-0", "1"], pl.Float64),
        (["1.5", "2", ".5", "1e3", "3.", "+4", "-0.25", "1.5E-3"], pl.Float64),
        (["00.5", "1.5"], pl.String),
        (["nan", "1.5"], pl.String),
        (["1.5", "inf"], pl.String),
        (["1,5", "2"], pl.String),
        (["1.2.3"], pl.String),
        (["true", "False", None, "TRUE"], pl.Boolean),
        (["2020-01-31", None], pl.Date),
        (["2020-02-31"], pl.String),
        (["2020-01-31 10:00", "2020-01-31 11:00"], pl.Datetime("us", "UTC")),
        (["2020-01-31", "soon"], pl.String),
        ([None, None], pl.String),
        (["", "1"], pl.String),
        (["1\n", "2"], pl.String),
        ([str(2**63 - 1)], pl.Int64),
    ],
)
def test_typed(text, kind):
    made = typed(pl.Series(text, dtype=pl.String))
    assert made.dtype == kind
    assert made.is_null().to_list() == [value is None for value in text]


def test_no_list_separator():
    assert split_lists(pl.Series(["a|b"]), "").to_list() == ["a|b"]
    assert split_lists(pl.Series(["a|b", None]), "|").to_list() == [["a", "b"], None]


def test_line_of_a_row_after_values_of_several_lines(write):
    origin = CsvFile(write('a,b\n1,"x\ny\nz"\n2,b\n"3\n3",c\n4,d'), ",")
    assert [origin.line(row) for row in range(4)] == [2, 5, 6, 8]
    assert origin.header() == ["a", "b"]
