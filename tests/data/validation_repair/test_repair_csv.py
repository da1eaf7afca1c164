"""CSV with mistakes: what is still read, what is put aside with its line, and what the text is taken for."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.data.validation.findings import Refusal
from shortlist.data.validation.repair import records
from shortlist.data.validation.repair.csv_text import read_repaired
from shortlist.data.validation.repair.encodings import broken_bytes
from shortlist.data.validation.repair.records import find_records
from shortlist.errors import ConfigError


@pytest.fixture
def read(tmp_path):
    def read(content, name="log.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_repaired(path, **options)

    return read


def rows(repaired):
    return [list(row) for row in repaired.frame.rows()]


def broken(repaired):
    return [tuple(row) for row in repaired.broken.select("row", "line", "check").rows()]


def notes(repaired):
    return [note.check for note in repaired.notes]


class TestRows:
    def test_ragged_rows_go_the_others_stay_where_they_stood(self, read):
        made = read("\na,b\n1,2\n3\n4,5,6\n\n7,8\n\n")
        assert rows(made) == [["1", "2"], ["7", "8"]]
        assert made.places.to_dict(as_series=False) == {"row": [0, 4], "line": [3, 7]}
        assert broken(made) == [(1, 4, "ragged_row"), (2, 5, "ragged_row"), (3, 6, "ragged_row")]
        assert made.broken["raw"].to_list() == ["3", "4,5,6", ""]
        assert made.broken["n_fields"].to_list() == [1, 3, 1]

    def test_values_of_several_lines(self, read):
        made = read('a,b\n1,"x\n3,y\nz"\n2,"p ""q"" r"\n')  # the text as a whole comes out, so it is believed
        assert rows(made) == [["1", "x\n3,y\nz"], ["2", 'p "q" r']]
        assert made.places["line"].to_list() == [2, 5]

    def test_a_quote_that_is_never_closed_takes_its_own_line_only(self, read):
        made = read('a,b\n1,"oops\n2,x\n3,"two\nlines"\n4,y\n')
        assert rows(made) == [["2", "x"], ["3", "two\nlines"], ["4", "y"]]
        assert broken(made) == [(0, 2, "broken_quotes")]
        assert made.places["line"].to_list() == [3, 4, 6]

    def test_quotes_inside_values(self, read):
        made = read('a,b\n1,12" disc\n2,"x"y\n3,6" x 9"\n4,""\n5,"z"\n')
        assert broken(made) == [(0, 2, "broken_quotes"), (1, 3, "broken_quotes"), (2, 4, "broken_quotes")]
        assert rows(made) == [["4", ""], ["5", "z"]]

    def test_nothing_but_a_header(self, read):
        assert read("a,b\n").frame.schema.names() == ["a", "b"]
        assert len(read("a,b").frame) == 0

    def test_names(self, read):
        assert read(",b\n1,2\n").frame.columns == ["column_1", "b"]
        made = read("a, b\n1, x\n2,y\n")
        assert (rows(made), made.frame.columns, notes(made)) == (
            [["1", "x"], ["2", "y"]],
            ["a", "b"],
            ["padded_columns"],
        )
        with pytest.raises(Refusal, match="each column name once, got 'a' twice"):
            read("a,b,a\n1,2,3\n")

    @pytest.mark.parametrize("size", [1, 3, 7, 64, 10**6])
    def test_blocks_do_not_show(self, read, size, monkeypatch):
        content = "a,b\n" + "".join(f'{n},"x,{n}\n"\n{n},y\n{n}\n' for n in range(30))
        whole = read(content)
        monkeypatch.setattr(records, "BLOCK_BYTES", size)
        again = read(content)
        assert rows(again) == rows(whole)
        assert again.broken.equals(whole.broken)
        assert len(whole.frame) == 60

    @given(st.lists(st.tuples(*[st.text(alphabet='a",;\n é', max_size=5)] * 2), min_size=1, max_size=20))
    def test_what_python_writes_is_cut_as_python_cuts_it(self, table):
        out = io.StringIO()
        csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("a", "b"), *table])
        text = out.getvalue()
        found = find_records(text.encode(), ",")
        reader = csv.reader(io.StringIO(text))
        starts = [0, *(reader.line_num for _ in reader)]
        assert found.lines.tolist() == starts[:-1]
        assert not found.misquoted.any()
        assert (found.n_fields == 2).all()


class TestSeparators:
    @pytest.mark.parametrize("separator", [",", ";", "\t", "|", "::"])
    def test_found(self, read, separator):
        content = f"user_id{separator}item_id\n1{separator}a.b\n2{separator}c\n3\n"
        made = read(content)
        assert rows(made) == [["1", "a.b"], ["2", "c"]]
        assert notes(made) == ([] if separator == "," else ["delimiter"])
        assert made.broken["raw"].to_list() == ["3"]
        assert notes(read(content, separator=separator)) == []

    def test_tabs_are_usual_in_tsv(self, read):
        assert notes(read("a\tb\n1\t2\n", "log.tsv")) == []
        assert notes(read("a,b\n1,2\n", "log.tsv")) == ["delimiter"]

    def test_commas_inside_values_do_not_count(self, read):
        assert rows(read("a;b;c\n1;2,5;3\n2;1,5;7\n")) == [["1", "2,5", "3"], ["2", "1,5", "7"]]
        assert rows(read('a;"b,c,d"\n1;"2,3,4"\n')) == [["1", "2,3,4"]]
        assert rows(read("a\n1\n2\n")) == [["1"], ["2"]]

    def test_the_raw_text_of_a_row_has_its_own_separator(self, read):
        assert read("a::b\n1::2::3\n1::2\n").broken["raw"].to_list() == ["1::2::3"]

    @pytest.mark.parametrize("separator", ["", "ab", '"', "\n", "ä"])
    def test_none(self, read, separator):
        with pytest.raises(Refusal, match="expected an ASCII character or '::'"):
            read("a,b\n1,2\n", separator=separator)


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_found_named_and_read(self, read, encoding):
        made = read("item;title\n1;Käfer\n2;Señor Ñandú\n3;plain\n".encode(encoding))
        assert made.frame["title"].to_list() == ["Käfer", "Señor Ñandú", "plain"]
        assert f"the text is {encoding} " in " ".join(note.message for note in made.notes)
        assert len(made.broken) == 0

    def test_cp1252(self, read):
        made = read("item,title\n1,plain\n2,“Käfer” – 5 €\n".encode("cp1252"))
        assert made.frame["title"].to_list() == ["plain", "“Käfer” – 5 €"]
        note = made.notes[0]
        assert "the text is cp1252 " in note.message
        assert (note.n_rows, note.row, note.line) == (1, 1, 3)

    def test_a_header_in_latin_1(self, read):
        assert read("größe,b\n1,2\n".encode("latin-1")).frame.columns == ["größe", "b"]

    def test_utf_8(self, read):
        assert notes(read("\ufeffa,b\n1,ä\n")) == []
        assert read("\ufeffa,b\n1,ä\n").frame.columns == ["a", "b"]

    def test_a_few_broken_bytes_in_utf_8(self, read):
        made = read("a,b\n1,ä\n".encode() + b"2,\xff\xfe\n3,caf\xc3\n4,x\x00\n" + "5,é\n".encode())
        assert rows(made) == [["1", "ä"], ["5", "é"]]
        assert broken(made) == [(1, 3, "invalid_bytes"), (2, 4, "invalid_bytes"), (3, 5, "invalid_bytes")]
        assert made.broken["raw"].to_list() == [r"2,\xff\xfe", r"3,caf\xc3", "4,x\x00"]

    def test_a_byte_that_is_no_letter_in_an_ascii_file(self, read):
        made = read(b"a,b\n1,x\n2,\xff\n3,y\n")
        assert (rows(made), broken(made)) == ([["1", "x"], ["3", "y"]], [(1, 3, "invalid_bytes")])

    def test_broken_bytes_inside_latin_1(self, read):
        made = read("a,b\n1,ä\n2,ö\n".encode("latin-1") + b"3,\x8d\n")
        assert rows(made) == [["1", "ä"], ["2", "ö"]]
        assert broken(made) == [(2, 4, "invalid_bytes")]

    def test_the_callers_word(self, read):
        assert read("a,b\n1,Ж\n".encode("cp1251"), encoding="cp1251").frame["b"].to_list() == ["Ж"]
        assert notes(read("a,b\n1,Ж\n".encode("cp1251"), encoding="cp1251")) == []
        with pytest.raises(Refusal, match=r"byte 8: got 0x0a, which is not utf-16") as caught:
            read("a,b\n1,ää\n".encode("latin-1"), encoding="utf-16")
        assert caught.value.check == "wrong_encoding"
        with pytest.raises(ConfigError, match="'klingon'"):
            read("a,b\n", encoding="klingon")

    def test_line_ends(self, read):
        assert rows(read("a,b\r\n1,x\r\n2,y\r\n")) == [["1", "x"], ["2", "y"]]
        made = read("a,b\r1,x\r2,y\r")
        assert (rows(made), notes(made)) == ([["1", "x"], ["2", "y"]], ["line_ends"])

    @pytest.mark.parametrize(
        "content", [b"\x1f\x8b\x08rest", b"PK\x03\x04rest", b"PAR1rest", b"BZh9", bytes(range(256)) * 20]
    )
    def test_no_text(self, read, content):
        with pytest.raises(Refusal, match="expected a text") as caught:
            read(content)
        assert caught.value.check == "binary_file"

    def test_zeros_at_the_end(self, read):
        made = read(b"a,b\n1,x\n2,y\n" + b"\0" * 900)
        assert (rows(made), broken(made)) == ([["1", "x"], ["2", "y"]], [(2, 4, "invalid_bytes")])

    @pytest.mark.parametrize("content", ["", "\n", " \r\n \n", "\0" * 900])
    def test_empty(self, read, content):
        with pytest.raises(Refusal, match=r"log\.csv: the file is empty"):
            read(content)

    def test_no_file(self, tmp_path):
        with pytest.raises(Refusal, match="no such file"):
            read_repaired(tmp_path / "none.csv")

    @given(st.lists(st.binary(max_size=6).map(lambda part: part.replace(b"\n", b"")), min_size=1, max_size=12))
    def test_records_that_are_no_utf_8_are_found_one_by_one(self, parts):
        data = b"".join(part + b"\n" for part in parts)
        found = broken_bytes(data, find_records(data, ",").starts)
        if found.encoding is None and b'"' not in data:
            assert found.records.tolist() == [not _is_text(part) for part in parts]


def _is_text(part):
    try:
        return "\0" not in part.decode()
    except UnicodeDecodeError:
        return False
