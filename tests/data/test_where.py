"""Filters: an independent three-valued interpreter over row dictionaries is the oracle."""

import math
import operator
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.data.where import MAX_LENGTH, compile_where, where_mask
from shortlist.errors import QueryError

nan = float("nan")
ITEMS = pl.DataFrame(
    {
        "year": [1994, 1995, None, 0, -3, 2**53 + 1],
        "release_year": [1995, 1995, 1990, None, -3, 2**53],
        "small": pl.Series([0, 255, None, 7, 8, 9], dtype=pl.UInt8),
        "big": pl.Series([2**64 - 1, 0, 1, None, 2**63, 1995], dtype=pl.UInt64),
        "score": [0.5, nan, None, 1995.0, -1.5, 7.0],
        "single": pl.Series([3.7, 0.1, None, nan, 7.0, -1.5], dtype=pl.Float32),
        "title": ["Heat", "", None, "Star Wars", "été 'x'", "star"],
        "genre": pl.Series(["Drama", "War", "Drama", None, "star", ""], dtype=pl.Categorical),
        "level": pl.Series(["low", "high", None, "low", "high", "low"], dtype=pl.Enum(["low", "high"])),
        "genres": [["Drama"], ["Drama", "War"], [], None, [None, "War"], ["star"]],
        "numbers": [[1, 2], [1995], [], None, [None, 7], [-3]],
        "released": [date(1995, 1, 1), date(1994, 12, 31), None, date(2000, 2, 29), date(1, 1, 1), date(1995, 1, 2)],
        "seen_at": pl.Series(
            [datetime(1995, 1, 1), datetime(1995, 1, 1, 12), None, datetime(2000, 2, 29), None, datetime(1990, 1, 1)],
            dtype=pl.Datetime("ms"),
        ).dt.replace_time_zone("UTC"),
        "available": [True, False, None, True, False, None],
        "empty": pl.Series([None] * 6, dtype=pl.Null),
        "nested": [{"a": 1}] * 6,
    }
)
COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def known(value):
    return None if isinstance(value, float) and math.isnan(value) else value


def rows():
    for row in ITEMS.iter_rows(named=True):
        yield {
            name: value.replace(tzinfo=None)
            if isinstance(value, datetime)
            else datetime(value.year, value.month, value.day)
            if isinstance(value, date)
            else known(value)
            for name, value in row.items()
        }


def lifted(function, *sides):
    """A function of rows that is unknown where one of its sides is."""

    def answer(row):
        values = [side(row) for side in sides]
        return None if any(value is None for value in values) else function(*values)

    return answer


def all_of(answers):
    def answer(row):
        values = [one(row) for one in answers]
        return False if False in values else None if None in values else True

    return answer


def any_of(answers):
    def answer(row):
        values = [one(row) for one in answers]
        return True if True in values else None if None in values else False

    return answer


def negated(answer):
    return lifted(operator.not_, answer)


def column(name):
    return name, lambda row: row[name]


def literal(value, source=None):
    return repr(value) if source is None else source, lambda row: value


whole = st.sampled_from([0, 7, 255, 256, -1, -3, 1995, 2**53, 2**63, 2**63 - 1, 2**64 - 1, -(2**63)]) | st.integers(
    -9, 9
)
decimal = st.sampled_from([0.5, 1994.5, 1995.0, -0.0, 1e300, -1e300, 2.0**53, 254.5, 7.0, 9.3e18, 1.9e19])
quoted = st.sampled_from(["Drama", "War", "star", "Star", "", "été 'x'", "t", "low", "é"])
iso = st.sampled_from(["1995-01-01", "2000-02-29", "0001-01-01", "1995-01-01T12:00", "1995-01-01T13:00+01:00"])
integer_columns = st.sampled_from(["year", "release_year", "small", "big"])
text_columns = st.sampled_from(["title", "genre", "level"])


def moment(text):
    value = datetime.fromisoformat(text)
    return literal(value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value, repr(text))


@st.composite
def sides(draw, kind):
    """A column and what may stand beside it: pairs of (text, function of a row)."""
    if kind == "integer":
        return column(draw(integer_columns)), draw(
            integer_columns.map(column) | whole.map(literal) | decimal.map(literal)
        )
    if kind == "float":
        return column("score"), draw((decimal | st.integers(-9, 9)).map(literal) | st.just(column("small")))
    if kind == "single":
        value = draw(st.sampled_from([3.7, 0.1, 7, -1.5]))
        return column("single"), literal(float(np.float32(value)), repr(value))
    if kind == "text":
        return column(draw(text_columns)), draw(text_columns.map(column) | quoted.map(literal))
    if kind == "date":
        other = st.sampled_from(["released", "seen_at"])
        return column(draw(other)), draw(other.map(column) | iso.map(moment))
    truth = draw(conditions(1))
    return column("available"), draw(st.sampled_from([literal(True), literal(False), (f"({truth[0]})", truth[1])]))


@st.composite
def ordered_comparisons(draw):
    kind = draw(st.sampled_from(["integer", "float", "single", "text", "date", "boolean"]))
    left, right = draw(sides(kind))
    if draw(st.booleans()):
        left, right = right, left
    symbol = draw(st.sampled_from(["==", "!="] if kind == "boolean" else list(COMPARE)))
    return f"{left[0]} {symbol} {right[0]}", lifted(COMPARE[symbol], left[1], right[1])


@st.composite
def chains(draw):
    parts = draw(st.lists(integer_columns.map(column) | whole.map(literal), min_size=1, max_size=3))
    sides = [column("year"), *(side for part in parts for side in (part, column(draw(integer_columns))))]
    symbols = draw(st.lists(st.sampled_from(list(COMPARE)), min_size=len(sides) - 1, max_size=len(sides) - 1))
    text = sides[0][0] + "".join(f" {symbol} {side[0]}" for symbol, side in zip(symbols, sides[1:], strict=True))
    pairs = zip(symbols, sides, sides[1:], strict=False)
    return text, all_of([lifted(COMPARE[symbol], left[1], right[1]) for symbol, left, right in pairs])


@st.composite
def memberships(draw):
    kind = draw(st.sampled_from(["numbers", "texts", "part", "genres", "list"]))
    if kind == "numbers":
        left, values = column(draw(integer_columns)), draw(st.lists(whole | decimal, max_size=4))
        right = repr(values), lambda row: values
    elif kind == "texts":
        left, values = column(draw(text_columns)), draw(st.lists(quoted, max_size=4))
        right = repr(tuple(values)), lambda row: values
    elif kind == "part":
        left, right = draw(text_columns.map(column) | quoted.map(literal)), column(draw(text_columns))
    elif kind == "genres":
        left, right = draw(text_columns.map(column) | quoted.map(literal)), column("genres")
    else:
        numeric = integer_columns | st.just("score")
        left, right = draw(numeric.map(column) | (whole | decimal).map(literal)), column("numbers")
    answer = lifted(lambda value, container: value in container, left[1], right[1])
    if draw(st.booleans()):
        return f"{left[0]} not in {right[0]}", negated(answer)
    return f"{left[0]} in {right[0]}", answer


@st.composite
def missing(draw):
    name = draw(st.sampled_from(ITEMS.columns))
    symbol = draw(st.sampled_from(["is", "==", "is not", "!="]))
    return f"{name} {symbol} None", lambda row: (row[name] is None) == (symbol in ("is", "=="))


def leaves():
    names = st.sampled_from([column("available"), literal(True), literal(False)])
    return ordered_comparisons() | chains() | memberships() | missing() | names


@st.composite
def conditions(draw, depth=3):
    form = draw(st.sampled_from(["leaf", "and", "or", "not"])) if depth else "leaf"
    if form == "leaf":
        return draw(leaves()) if depth else ("available", lambda row: row["available"])
    if form == "not":
        text, answer = draw(conditions(depth - 1))
        return f"not ({text})", negated(answer)
    parts = draw(st.lists(conditions(depth - 1), min_size=2, max_size=3))
    text = f" {form} ".join(f"({part[0]})" for part in parts)
    return text, (all_of if form == "and" else any_of)([part[1] for part in parts])


@settings(max_examples=400, deadline=None)
@given(conditions().filter(lambda condition: len(condition[0]) <= MAX_LENGTH))
def test_agrees_with_a_plain_interpreter(condition):
    text, answer = condition
    expected = [answer(row) is True for row in rows()]
    assert where_mask(text, ITEMS).tolist() == expected, text


WORDS = """
    year title genres released nested empty x 1 1.5 'a' True None [ ] ( ) { } and or not in is == < - + ~ , . : lambda
    if else for * ** := \\ # f'{year}' b'a' 1j ... é 1995 '1995-01-01' available
"""
FRAGMENTS = [*WORDS.split(), "\n", "\0", "\ud800"]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(" ".join))
def test_garbage_raises_nothing_but_query_errors(text):
    try:
        mask = where_mask(text, ITEMS)
    except QueryError:
        return
    assert mask.dtype == bool
    assert mask.shape == (len(ITEMS),)


@pytest.mark.parametrize(
    "text",
    [
        "not " * 249 + "x",
        "(" * 499 + "x" + ")" * 499,
        "-" * 990 + "1 < year",
        "[" * 400 + "1" + "]" * 400,
        "~" * 999,
        "year == " + "9" * 900,
        "year == 0x" + "f" * 900,
        "year < 1e999",
        "year" + ".a" * 490,
        "year" + "()" * 490,
        "lambda:" * 140 + "1",
        "(available or (available and " * 35 + "available",
        "a\0b",
        "'\ud800' in title",
    ],
)
def test_hostile_texts_are_refused(text):
    with pytest.raises(QueryError, match=r"^where"):
        where_mask(text, ITEMS)


def test_long_chains_are_answered():
    chain = " or ".join(f"year=={year}" for year in range(60))
    assert where_mask(chain, ITEMS).tolist() == [False, False, False, True, False, False]
    assert where_mask("not " * 200 + "available", ITEMS).tolist() == [True, False, False, True, False, False]
    assert where_mask("0<" + "<".join(["year"] * 190), ITEMS).sum() == 0
    nested = "(available and (year > 0 or " * 20 + "available" + "))" * 20
    assert where_mask(nested, ITEMS).tolist() == [True, False, False, True, False, False]


def test_missing_values_satisfy_neither_a_comparison_nor_its_negation():
    assert where_mask("year > 1994", ITEMS)[2] == where_mask("not year > 1994", ITEMS)[2] == np.False_
    assert where_mask("score > 0 or not score > 0", ITEMS).tolist() == [True, False, False, True, True, True]
    assert where_mask("score is None", ITEMS).tolist() == [False, True, True, False, False, False]
    assert where_mask("year > 1994 or genre == 'Drama'", ITEMS)[2]


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("yaer > 3", 1, ["'yaer'", "did you mean 'year'"]),
        ("available and  zzz == 1", 16, ["'zzz'", "the columns are", "'released'"]),
        ("  year > 'abc'", 3, ["column 'year' (number, Int64)", "the text 'abc'", "position 10"]),
        ("title == 3", 1, ["column 'title' (text, String)", "the number 3"]),
        ("'été' in title and year == 'x'", 20, ["'year'"]),
        ("(available and\n  year == 'x')", 18, ["'year'"]),
        ("year == True", 1, ["the truth value True"]),
        ("available == 1", 1, ["boolean", "the number 1"]),
        ("available < True", 1, ["only == and !="]),
        ("year", 1, ["column 'year' (number, Int64) is not a condition"]),
        ("not title", 5, ["'title'", "not a condition"]),
        ("genres == ['Drama']", 1, ["use 'in' with a list"]),
        ("genres == 'Drama'", 1, ["'value' in column"]),
        ("genres in ['Drama']", 1, ["'value' in column"]),
        ("3 in genres", 1, ["the number 3", "list of text"]),
        ("title in 'abc'", 1, ["on the right of 'in'"]),
        ("title in ['a', None]", 1, ["None", "position 16"]),
        ("title in ['a', 3]", 1, ["the number 3", "position 16"]),
        ("released > '1995-13-01'", 12, ["not a date"]),
        ("released > 1995", 1, ["date, Date", "the number 1995"]),
        ("'1995' in released", 1, ["date, Date"]),
        ("seen_at > '0001-01-01T00:00+23:00'", 11, ["not a date"]),
        ("year == title", 1, ["'year'", "'title'"]),
        ("year is 3", 1, ["goes with None"]),
        ("year < None", 1, ["go with None"]),
        ("1 == 1", 1, ["neither side has a column"]),
        ("nested == 1", 1, ["Struct"]),
        ("empty == 1", 1, ["Null"]),
        ("year + 1 > 3", 1, ["BinOp"]),
        ("title.upper() == 'A'", 1, ["Call"]),
        ("__import__('os')", 1, ["Call"]),
        ("year == --1", 9, ["not allowed"]),
        ("year >", 7, ["cannot be read"]),
        ("available available", 11, ["cannot be read"]),
    ],
)
def test_errors_name_column_type_and_position(text, position, words):
    with pytest.raises(QueryError) as caught:
        compile_where(text, ITEMS.schema)
    message = str(caught.value)
    assert message.startswith(f"where, position {position}: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize("symbol", COMPARE)
@pytest.mark.parametrize("value", [1993.5, 1994.0, 1994.5, 1995.5, -3.5, -2.5, 1e300, -1e300, 2**63, 1.9e19, -0.0])
@pytest.mark.parametrize("name", ["year", "small", "big"])
def test_integers_are_compared_exactly_with_any_number(symbol, value, name):
    expected = [number is not None and COMPARE[symbol](number, value) for number in ITEMS[name]]
    assert where_mask(f"{name} {symbol} {value}", ITEMS).tolist() == expected


@pytest.mark.parametrize("text", ["", "  \n", None, 3, "x" * (MAX_LENGTH + 1)])
def test_what_is_not_a_filter_is_refused(text):
    with pytest.raises(QueryError, match="where"):
        compile_where(text, ITEMS.schema)


def test_a_constant_or_an_empty_frame_gives_one_value_per_item():
    assert where_mask("True", ITEMS).tolist() == [True] * 6
    assert where_mask("True", ITEMS.clear()).shape == (0,)
    assert where_mask("year > 3 or True", ITEMS.clear()).shape == (0,)


def test_a_schema_may_be_a_plain_dictionary_and_names_any_unicode_form():
    decomposed = "anne\u0301e"
    frame = pl.DataFrame({decomposed: [1, 2]})
    assert where_mask("ann\u00e9e > 1", frame).tolist() == [False, True]
    assert frame.filter(compile_where("ann\u00e9e > 1", {decomposed: pl.Int64})).height == 1


def test_other_numeric_and_list_types():
    frame = pl.DataFrame(
        {
            "price": pl.Series(["1.50", "2.25", None]).cast(pl.Decimal(10, 2)),
            "tags": pl.Series([["a"], ["b"], None], dtype=pl.List(pl.Categorical)),
            "weights": pl.Series([[0.1], [2.0, nan], []], dtype=pl.List(pl.Float32)),
            "pair": pl.Series([[1, 2], [3, 4], None], dtype=pl.Array(pl.UInt64, 2)),
            "value": [0.1, 2.0, nan],
        }
    )
    assert where_mask("price == 1.5 or price > 2", frame).tolist() == [True, True, False]
    assert where_mask("'a' in tags", frame).tolist() == [True, False, False]
    assert where_mask("0.1 in weights", frame).tolist() == [True, False, False]
    assert where_mask("value in weights", frame).tolist() == [True, True, False]
    assert where_mask("3 in pair", frame).tolist() == [False, True, False]
    assert where_mask("2.5 not in pair", frame).tolist() == [True, True, False]
