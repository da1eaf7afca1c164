"""What a text of rules says, and what is said of one that is wrong."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import shortlist as sl
from shortlist.errors import QueryError, RulesError
from shortlist.rules.keys import KINDS
from shortlist.rules.parsing import Rules, read_rules, to_rules
from shortlist.rules.rule import ALWAYS, MAX_BYTES, NEVER

WHOLE = """
# what the shop shows in December
[[pin]]
name = "film of the week"
items = [50, 181]
position = 2
from = 2026-12-01
until = 2026-12-07

[[boost]]
name = "new films"
items = "year >= 1997"
users = "age < 30"
places = 5

[[bury]]
name = "old films"
items = "year < 1950"
until = 2026-12-24T18:00:00+02:00

[[exclude]]
name = "no war"
items = "'War' in genres"
users = [1, 2]
from = 2026-12-24T18:00:00.5

[[cap]]
name = "three of a genre"
by = "genres"
most = 3
"""


def moment(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp())


def problems(text):
    with pytest.raises(RulesError) as caught:
        Rules.parse(text, "shop.toml")
    assert len(str(caught.value).split("\n")) == max(1, len(caught.value.findings))
    return str(caught.value).split("\n")


def test_a_whole_file():
    pin, boost, bury, exclude, cap = Rules.parse(WHOLE).rules
    assert (pin.kind, pin.name, pin.items, pin.position) == ("pin", "film of the week", (50, 181), 2)
    assert (pin.starts, pin.ends) == (moment(2026, 12, 1), moment(2026, 12, 8))  # the last day is a whole one
    assert (pin.lines[""], pin.lines["items"], pin.lines["until"]) == (3, 5, 8)
    assert (boost.items, boost.users, boost.places) == ("year >= 1997", "age < 30", 5)
    assert (boost.starts, boost.ends) == (ALWAYS, NEVER)
    assert bury.ends == moment(2026, 12, 24, 16)
    assert exclude.starts == moment(2026, 12, 24, 18, 0, 1)
    assert exclude.users == (1, 2)
    assert (cap.by, cap.most, cap.items) == ("genres", 3, None)
    assert repr(Rules.parse(WHOLE)) == "<Rules: 1 pin, 1 boost, 1 bury, 1 exclude, 1 cap>"


def test_the_version_is_that_of_the_text():
    one, other = Rules.parse(WHOLE), Rules.parse(WHOLE + " ")
    assert len(one.version) == 16
    assert one.version != other.version
    assert one.version == Rules.parse(WHOLE, "elsewhere").version


@pytest.mark.parametrize("text", ["", "  \n", "# nothing\n"])
def test_no_rules(text):
    assert len(Rules.parse(text)) == 0
    assert repr(Rules.parse(text)) == "<Rules: none>"


RULE = '[[exclude]]\nname = "x"\nitems = [1]\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[exclud]]", "shop.toml, line 1: there is no rule 'exclud'; did you mean [[exclude]]?"),
        ("\n\n[[zzz]]", "shop.toml, line 3: there is no rule 'zzz'; there are [[pin]], [[boost]], [[bury]], [[excl"),
        ("[pin]\nname = 'x'", "shop.toml, line 1: expected tables: write [[pin]], in two pairs of brackets"),
        ("x = 1\n", "shop.toml, line 1: there is no rule 'x'"),
        ("\npin = 3", "shop.toml, line 2: expected tables: write [[pin]]"),
        ("pin = [1]", "shop.toml, line 1: expected tables"),
        (RULE + "itmes = 1", "line 4: 'x': itmes: [[exclude]] has no such key; did you mean 'items'?"),
        (RULE + "position = 1", "line 4: 'x': position: [[exclude]] has no such key; there are 'name', 'users', "),
        ("[[exclude]]\nitems = [1]", "line 1: [[exclude]] needs 'name'"),
        ("[[exclude]]\nname = 'x'", "line 1: 'x': [[exclude]] needs 'items'"),
        ("[[cap]]\nname = 'x'\nmost = 1", "line 1: 'x': [[cap]] needs 'items' or 'by'"),
        ("[[cap]]\nname = 'x'\nby = 'a'", "line 1: 'x': [[cap]] needs 'most'"),
        ("[[cap]]\nname = 'x'\nby = 3\nmost = 1", "line 3: 'x': by: expected the name of an attribute, got 3"),
        ("[[pin]]\nname = 'x'\nitems = [1]", "line 1: 'x': [[pin]] needs 'position'"),
        ("[[exclude]]\nname = 3\nitems = [1]", "line 2: name: expected a text of 1 to 100 printable characters, got 3"),
        ("[[exclude]]\nname = ''\nitems = [1]", "line 2: name: expected a text"),
        ('[[exclude]]\nname = "a\\nb"\nitems = [1]', "line 2: name: expected a text"),
        ("[[exclude]]\nname = 'x'\nitems = []", "line 3: 'x': items: expected a condition such as"),
        ("[[exclude]]\nname = 'x'\nitems = ' '", "line 3: 'x': items: expected a condition such as"),
        ("[[exclude]]\nname = 'x'\nitems = 50", "line 3: 'x': items: expected a condition such as"),
        ("[[exclude]]\nname = 'x'\nitems = [1, 'a']", "line 3: 'x': items: expected ids that are all whole numbers or"),
        ("[[exclude]]\nname = 'x'\nitems = [true]", "line 3: 'x': items: expected ids that are all whole"),
        ("[[exclude]]\nname = 'x'\nitems = [[1]]", "line 3: 'x': items: expected ids"),
        (f"[[exclude]]\nname = 'x'\nitems = '{'a' * 1001}'", "line 3: 'x': items: 1,001 characters; at most 1,000"),
        (f"[[exclude]]\nname = 'x'\nitems = [{'1,' * 10_001}]", "line 3: 'x': items: 10,001 ids; at most 10,000"),
        (RULE + "users = 7", "line 4: 'x': users: expected a condition"),
        (RULE + 'from = "2026-12-24"', "line 4: 'x': from: expected a date such as 2026-12-24 or a date and time, w"),
        (RULE + "until = 07:30:00", "line 4: 'x': until: expected a date"),
        (RULE + "from = 2026-01-02\nuntil = 2026-01-01", "line 5: 'x': until: is not after 'from': the rule never"),
        ("[[pin]]\nname='x'\nitems=[1]\nposition = 0", "line 4: 'x': position: expected a whole number from 1 to 1,0"),
        (
            "[[pin]]\nname='x'\nitems=[1]\nposition = true",
            "position: expected a whole number from 1 to 1,000, got true",
        ),
        ("[[pin]]\nname='x'\nitems=[1]\nposition = 1.0", "got 1.0"),
        ("[[pin]]\nname='x'\nitems=[1,2]\nposition = 1000", "line 3: 'x': items: 2 pins from position 1000 on go bey"),
        ("[[boost]]\nname='x'\nitems=[1]\nplaces = 0", "line 4: 'x': places: expected how many places up (a negati"),
        ("[[boost]]\nname='x'\nitems=[1]\nplaces = 'a'", "places: expected a whole number from -1,000 to 1,000, got"),
        (RULE + "\n" + RULE, "line 6: 'x': name: the rule in line 1 has the same name"),
        (RULE + "\n[exclude.more]\na = 1", "line 1: Cannot"),
        (RULE + "x = {a = 1}", "line 4: 'x': x: [[exclude]] has no such key"),
        (RULE + "[[exclude.more]]\na = 1", "line 4: 'x': more: [[exclude]] has no such key"),
        ("[[pin]\nname", "shop.toml, line 1, column 6: Expected ']]' at the end of an array declaration"),
        ("[[pin]]\nname = 'x", "shop.toml, line 2: Expected"),
        ("x = " + "9" * 5000, "shop.toml: Exceeds the limit"),
        ("a." * 20_000 + "a = 1", "shop.toml: a key of more than 20 parts"),
        ("x = " + "[" * 100_000, "shop.toml: values are nested too deeply"),
        ("x" * (MAX_BYTES + 1), "shop.toml: 1,000,001 bytes; at most 1,000,000 are allowed"),
    ],
)
def test_what_is_wrong_and_where(text, expected):
    if "Cannot" in expected:  # a table under the last rule is a key of it, to TOML
        expected = "'x': more: [[exclude]] has no such key"
    (told,) = problems(text)
    assert expected in told
    assert len(told) < 300


def test_everything_that_is_wrong_is_told_at_once():
    told = problems("[[pin]]\nposition = 0\n[[cap]]\nname = 'c'\nmots = 3\nmost = 1\nby = 'a'\n[[zzz]]")
    assert [line.split(":")[0] for line in told] == [
        "shop.toml, line 1",
        "shop.toml, line 1",
        "shop.toml, line 2",
        "shop.toml, line 5",
        "shop.toml, line 8",
    ]


def test_of_thousands_of_problems_some_are_told():
    with pytest.raises(RulesError) as caught:
        Rules.parse("[[pin]]\n" * 5_000)
    assert str(caught.value).endswith("rules: and 14,980 more")
    assert len(caught.value.findings) == 15_000
    assert len(str(caught.value)) < 2_000


def test_names_are_told_apart_across_kinds():
    (told,) = problems(RULE + "[[bury]]\nname = 'x'\nitems = [1]")
    assert "line 5: 'x': name: the rule in line 1 has the same name" in told


def test_at_most_some_hundreds():
    def many(n):
        return "".join(f"[[exclude]]\nname = 'x{i}'\nitems = [1]\n" for i in range(n))

    assert len(Rules.parse(many(500))) == 500
    (told,) = problems(many(501))
    assert told == "shop.toml, line 1501: 501 rules; at most 500 are allowed"


def test_repeated_ids_count_once():
    assert Rules.parse("[[pin]]\nname = 'x'\nitems = [3, 1, 3]\nposition = 1").rules[0].items == (3, 1)


@pytest.mark.parametrize(
    ("given_end", "end"), [("9999-12-31", NEVER), ("0001-01-01", -62135510400), ("1970-01-01T00:00:00Z", 0)]
)
def test_the_ends_of_time(given_end, end):
    assert Rules.parse(RULE + f"until = {given_end}").rules[0].ends == end


@pytest.mark.parametrize("given_rules", [3, None, b"x", ["[[pin]]"], True])
def test_what_is_no_rules_at_all(given_rules):
    with pytest.raises(RulesError, match="rules: expected"):
        to_rules(given_rules)


def test_a_path_as_text_is_told_apart():
    with pytest.raises(RulesError, match=r"this looks like a path: give a Path, or sl\.read_rules\('shop\.toml'\)"):
        to_rules("shop.toml")


def test_files(tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text("\ufeff" + WHOLE, encoding="utf-8")
    assert len(read_rules(path)) == len(to_rules(path)) == len(sl.read_rules(str(path))) == 5
    path.write_text("[[pin]", encoding="utf-8")
    with pytest.raises(RulesError, match=r"shop\.toml, line 1"):
        read_rules(path)
    path.write_bytes(b'x = "\xff"')
    with pytest.raises(RulesError, match="expected text in UTF-8"):
        read_rules(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(RulesError, match="at most 1,000,000"):
        read_rules(path)
    for missing in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(RulesError, match="cannot be read"):
            read_rules(missing)


def test_errors_are_those_of_a_query():
    assert issubclass(RulesError, QueryError)


VALUES = [
    "1",
    "'x'",
    "[1]",
    "['a']",
    "2026-12-24",
    "2026-12-24T00:00:00Z",
    "true",
    "{}",
    "[]",
    "nan",
    "[{}]",
    "07:30:00",
]
WORDS = ["name", "items", "users", "from", "until", "position", "places", "most", "by", "itmes", '""', "a.b"]
LINES = st.one_of(
    st.sampled_from([f"[[{kind}]]" for kind in KINDS]),
    st.builds("{} = {}".format, st.sampled_from(WORDS), st.sampled_from(VALUES)),
    st.sampled_from(["[pin]", "[[pin.x]]", "[cap.y]", "x = [[[", '"""', "", "# x", "[[]]"]),
)


@given(st.one_of(st.lists(LINES, max_size=12).map("\n".join), st.text(max_size=200)))
@example("\ud800")
@example("[[pin]]\n\x00")
@example(("a." * 20_000) + "a = 1")
def test_nothing_but_rules_or_a_rules_error(text):
    with suppress(RulesError):
        assert len(Rules.parse(text).version) == 16
