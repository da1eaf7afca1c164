"""Where in a TOML text its tables and keys stand: tomllib reads the values, but does not tell."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Place = tuple[str | int, ...]
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?""""{0,2}'  # up to two quotes may stand before the closing three
    r"|'''.*?''''{0,2}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}=\n]"
    r"|[^\"'#\[\]{}=\n]+",
    re.DOTALL,
)


def line_numbers(text: str) -> dict[Place, int]:
    """The line, from 1, of every table and of every key in it.

    Args:
        text: a TOML text that tomllib can read.

    Returns:
        ``("pin",)`` for the first mention of a table, ``("pin", 0)`` for the first ``[[pin]]`` and ``("pin", 0,
        "items")`` for a key in it. What stands in inline tables is not looked into.

    >>> line_numbers('[[pin]]\\n\\n[[pin]]\\nitems = [1,\\n2]\\nposition = 1')
    {('pin',): 1, ('pin', 0): 1, ('pin', 1): 3, ('pin', 1, 'items'): 4, ('pin', 1, 'position'): 6}
    """
    found: dict[Place, int] = {}
    counts: dict[str, int] = {}
    table: Place = ()
    for line, head in _heads(text):
        if head.startswith("["):
            first, *rest = _path(tomllib.loads(head))
            found.setdefault((first,), line)
            if head.startswith("[[") and not rest:
                counts[first] = counts.get(first, -1) + 1
            table = (first, counts[first]) if first in counts else (first,)
            if rest:
                table = (*table, rest[0])
        else:
            place = (*table, _path(tomllib.loads(f"{head}= 0"))[0])
            found.setdefault(place[:3], line)
            continue
        found.setdefault(table, line)
    return found


def _heads(text: str) -> Iterator[tuple[int, str]]:
    """For each statement its line, and its header or what stands before the equals sign."""
    line, began, head, depth, in_head = 1, 1, "", 0, True
    for match in _TOKEN.finditer(text.replace("\r\n", "\n")):
        token = match[0]
        if token == "\n" and depth == 0:
            if head.strip():
                yield began, head.strip()
            line += 1
            began, head, in_head = line, "", True
            continue
        if token == "=" and depth == 0:
            in_head = False
        depth += (token in "[{") - (token in "]}")
        if in_head and not token.startswith("#"):
            head += token
        line += token.count("\n")
    if head.strip():
        yield began, head.strip()


def _path(tree: Any) -> list[str]:
    """The keys on the way down a tree that has no branches."""
    keys = []
    while isinstance(tree, Mapping | list) and tree:
        if isinstance(tree, list):
            tree = tree[0]
            continue
        ((key, tree),) = tree.items()
        keys.append(key)
    return keys
