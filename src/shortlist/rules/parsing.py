"""The text of rules -> `Rules`: everything about them that can be checked without a model."""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from shortlist.errors import RulesError
from shortlist.rules.findings import Finding, refuse_errors
from shortlist.rules.keys import KINDS, OPTIONAL, WrongValueError
from shortlist.rules.lines import Place, line_numbers
from shortlist.rules.rule import MAX_BYTES, MAX_NAME, MAX_PLACE, MAX_RULES, Kind, Rule

# Refused, because tomllib takes a time that grows with the square of a key's parts.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]{1,200}|"[^"\n]{0,200}"|'[^'\n]{0,200}')[ \t]*\.[ \t]*){20}""")


@dataclass(frozen=True)
class Rules:
    """What an editor has laid down for answers: pins, boosts, burials, exclusions and caps. docs/last-word.md.

    Attributes:
        text: as written.
        origin: the name of the file, for messages.
        rules: in the order of the file within each kind.

    >>> rules = Rules.parse('[[exclude]]\\nname = "no war"\\nitems = "\\'War\\' in genres"')
    >>> rules
    <Rules: 1 exclude>
    >>> Rules.parse('[[exclud]]\\nitems = [1]')
    Traceback (most recent call last):
    shortlist.errors.RulesError: rules, line 1: there is no rule 'exclud'; did you mean [[exclude]]?
    """

    text: str
    origin: str
    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, text: str, origin: str = "rules") -> "Rules":
        """Rules from a TOML text; without any rule where it is empty.

        Raises:
            RulesError: the text is no TOML, or a table, key or value is not one of rules. The message has a line for
                each problem, with its line number.
        """
        if not isinstance(text, str):
            raise RulesError(f"{origin}: expected a TOML text, got {type(text).__name__}")
        return _parsed(text, origin)

    @cached_property
    def version(self) -> str:
        """16 hexadecimal digits of the text's SHA-256."""
        return hashlib.sha256(self.text.encode(errors="surrogatepass")).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.rules)

    def __repr__(self) -> str:
        counts = {kind: sum(rule.kind == kind for rule in self.rules) for kind in KINDS}
        return f"<Rules: {', '.join(f'{n} {kind}' for kind, n in counts.items() if n) or 'none'}>"


def read_rules(path: str | Path) -> Rules:
    """Rules from a TOML file.

    Raises:
        RulesError: the file is missing, too large or no text, or as in `Rules.parse`.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise RulesError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RulesError(f"{file}: expected text in UTF-8, got something else ({error})") from error
    return Rules.parse(text, str(file))


def to_rules(given: Any) -> Rules:
    """Rules from what a caller gives: `Rules`, a TOML text, or a `Path`.

    Raises:
        RulesError: as in `Rules.parse`, or it is something else.
    """
    if isinstance(given, Rules):
        return given
    if isinstance(given, Path):
        return read_rules(given)
    if isinstance(given, str):
        return Rules.parse(given)
    raise RulesError(f"rules: expected Rules, a TOML text or a Path, got {type(given).__name__}")


@lru_cache(maxsize=64)
def _parsed(text: str, origin: str) -> Rules:
    tables = _tables(text, origin)
    lines = line_numbers(text)
    reader = _Reader(lines)
    for kind, entries in tables.items():
        reader.read_kind(kind, entries)
    reader.check_names()
    if len(reader.rules) > MAX_RULES:
        message = f"{len(reader.rules):,} rules; at most {MAX_RULES} are allowed"
        reader.findings.append(Finding(reader.rules[MAX_RULES].lines[""], "error", "", message))
    refuse_errors(reader.findings, origin)
    return Rules(text, origin, tuple(reader.rules))


def _tables(text: str, origin: str) -> dict[str, Any]:
    n_bytes = len(text.encode(errors="surrogatepass"))
    if n_bytes > MAX_BYTES:
        raise RulesError(f"{origin}: {n_bytes:,} bytes; at most {MAX_BYTES:,} are allowed")
    if _LONG_KEY.search(text):
        raise RulesError(f"{origin}: a key of more than 20 parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise RulesError(f"{origin}: values are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        told = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(error), re.DOTALL)
        message = told[1] if told else str(error)
        line = int(told[2]) if told and told[2] else text.rstrip().count("\n") + 1
        place = f"line {line}, column {told[3]}" if told and told[3] else f"line {line}" if told else ""
        path = f" (this looks like a path: give a Path, or sl.read_rules({text!r}))" if _is_path(text) else ""
        finding = Finding(line, "error", "", f"{message}{path}")
        raise RulesError(f"{', '.join(filter(None, [origin, place]))}: {message}{path}", [finding]) from None


def _is_path(text: str) -> bool:
    return bool(re.fullmatch(r"[^\n=\[\]#]+\.toml", text))


class _Reader:
    """Turns tables into rules, and collects what is wrong with them."""

    def __init__(self, lines: dict[Place, int]) -> None:
        self.lines = lines
        self.rules: list[Rule] = []
        self.findings: list[Finding] = []

    def read_kind(self, kind: str, entries: Any) -> None:
        line = self.lines.get((kind,), 1)
        if kind not in KINDS:
            self._wrong(line, f"there is no rule {kind!r}; {_instead(kind, KINDS)}")
        elif not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._wrong(line, f"expected tables: write [[{kind}]], in two pairs of brackets, above each rule")
        else:
            for number, entry in enumerate(entries):
                self._read_rule(next(known for known in KINDS if known == kind), number, entry)

    def _read_rule(self, kind: Kind, number: int, entry: dict[str, Any]) -> None:
        line = self.lines.get((kind, number), self.lines.get((kind,), 1))
        lines = {"": line} | {key: self.lines.get((kind, number, key), line) for key in entry}
        given = entry.get("name")
        name = given if isinstance(given, str) and given.isprintable() and len(given) <= MAX_NAME else ""
        rule = Rule(kind, name, lines)
        found = [*_missing(rule, entry)]
        values: dict[str, Any] = {}
        for key, value in entry.items():
            if key not in KINDS[kind]:
                found.append(rule.finding("error", key, f"[[{kind}]] has no such key; {_instead(key, KINDS[kind])}"))
                continue
            field, read = KINDS[kind][key]
            try:
                values[field] = read(value)
            except WrongValueError as error:
                found.append(rule.finding("error", key, str(error)))
        if not found:
            rule = Rule(**{"kind": kind, "lines": lines} | values)
            found += _contradictions(rule)
            self.rules.append(rule)
        self.findings += found

    def check_names(self) -> None:
        """A name stands for one rule."""
        first: dict[str, int] = {}
        for rule in sorted(self.rules, key=lambda rule: rule.lines[""]):
            if rule.name in first:
                message = f"the rule in line {first[rule.name]} has the same name"
                self.findings.append(rule.finding("error", "name", message))
            first.setdefault(rule.name, rule.lines[""])

    def _wrong(self, line: int, message: str) -> None:
        self.findings.append(Finding(line, "error", "", message))


def _missing(rule: Rule, entry: dict[str, Any]) -> Iterable[Finding]:
    for key in KINDS[rule.kind]:
        if key in entry or key in OPTIONAL or (rule.kind == "cap" and key == "items" and "by" in entry):
            continue
        alternative = " or 'by'" if rule.kind == "cap" and key == "items" else ""
        yield rule.finding("error", "", f"[[{rule.kind}]] needs {key!r}{alternative}")


def _contradictions(rule: Rule) -> Iterable[Finding]:
    if rule.starts >= rule.ends:
        yield rule.finding("error", "until", "is not after 'from': the rule never holds")
    if rule.kind == "pin" and isinstance(rule.items, tuple) and rule.position + len(rule.items) - 1 > MAX_PLACE:
        yield rule.finding(
            "error", "items", f"{len(rule.items):,} pins from position {rule.position} on go beyond {MAX_PLACE:,}"
        )


def _instead(name: str, have: Iterable[str]) -> str:
    known = list(have)
    shown = [f"[[{one}]]" for one in known] if known == list(KINDS) else [repr(one) for one in known]
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {shown[known.index(close[0])]}?" if close else f"there are {', '.join(shown)}"
