"""Line numbers against another way of finding them: the shortest run of lines that tomllib reads is a statement."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.rules.lines import line_numbers


def statements(text):
    """(line, text) of each statement that is not blank."""
    lines = text.split("\n")
    start = 0
    while start < len(lines):
        for stop in range(start + 1, len(lines) + 1):
            part = "\n".join(lines[start:stop])
            try:
                found = tomllib.loads(part)
            except tomllib.TOMLDecodeError:
                continue
            if found:
                yield start + 1, part, found
            break
        start = stop


def oracle(text):
    found, counts, table = {}, {}, ()
    for line, part, tree in statements(text):
        (key,) = tree
        if part.lstrip().startswith("[["):
            counts[key] = counts.get(key, -1) + 1
            table = (key, counts[key])
            found.setdefault((key,), line)
            found.setdefault(table, line)
        elif part.lstrip().startswith("["):
            table = (key,)
            found.setdefault(table, line)
        else:
            found.setdefault((*table, key), line)
    return found


VALUES = [
    "1",
    "[1, 2]",
    '[1, # a " quote\n 2,\n\n]',
    '"a # b = [c"',
    "'it''",
    '"""\n[[pin]]\n"""',
    '"""a ""quoted"" \\""" text"""',
    '"""ends in quotes"""""',
    "'''\n'it' = [\n'''",
    "'''ends'''''",
    "2026-12-24",
    "{ a = 1, b = [ { c = '}' } ] }",
    '"\\\\"',
]
HEADERS = ["[[pin]]", "[[ pin ]] # [[cap]]", '[["pin"]]', "[[cap]]", '[["a = [b"]]', "[['x\"y']]", "[other]", ""]
KEYS = ["name", "items", '"quoted = # key"', "'single'", "a-b", "1"]


@st.composite
def documents(draw):
    lines = []
    plain = False
    for _ in range(draw(st.integers(0, 6))):
        header = draw(st.sampled_from(HEADERS))
        if header == "[other]" and plain:
            continue
        plain |= header == "[other]"
        if header == "" and lines:
            continue
        lines.append(draw(st.sampled_from(["", "  ", "\t"])) + header)
        for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
            lines.append(f"{draw(st.sampled_from(['', '  ']))}{key} = {draw(st.sampled_from(VALUES))}")
            lines += draw(st.lists(st.sampled_from(["", "# [[pin]]", "  # 'x"]), max_size=2))
    return "\n".join(lines)


def readable(text):
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(documents())
def test_lines_are_those_of_the_statements(text):
    if readable(text):
        assert line_numbers(text) == oracle(text)
        assert line_numbers(text.replace("\n", "\r\n")) == oracle(text)


def test_the_oracle_is_asked_about_real_documents():
    text = "\n".join(f"[[pin]]\nx = {value}" for value in VALUES if value != "'it''")
    assert readable(text)
    assert line_numbers(text) == oracle(text)
    assert len(line_numbers(text)) == 1 + 2 * (len(VALUES) - 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("pin = [{a = 1}]", {("pin",): 1}),
        ("[[pin]]\n[pin.sub]\nx = 1", {("pin",): 1, ("pin", 0): 1, ("pin", 0, "sub"): 2}),
        ("\n[pin]\na.b = 1", {("pin",): 2, ("pin", "a"): 3}),
        ("[[a.b]]\nx = 1", {("a",): 1, ("a", "b"): 1, ("a", "b", "x"): 2}),
    ],
)
def test_odd_shapes(text, expected):
    assert line_numbers(text) == expected


def test_a_long_text_takes_no_time_that_grows_with_its_square():
    text = "[[pin]]\nitems = [\n" + "1,\n" * 200_000 + "]\n" + '[[cap]]\nname = "x"\n'
    assert line_numbers(text)["cap", 0, "name"] == 200_005
