"""Where the records of a CSV text begin and end, also where quotes are broken; all on bytes, in blocks."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 22
QUOTE, NEWLINE, RETURN = b'"'[0], b"\n"[0], b"\r"[0]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Records:
    """The records of a text, the header first.

    Attributes:
        starts: int64 (n,), the first byte of each.
        ends: int64 (n,), behind the last byte, which is the newline except perhaps in the last record.
        lines: int64 (n,), the line each starts at, from 0.
        n_fields: int64 (n,).
        blank: bool (n,), nothing but the line's end.
        misquoted: bool (n,), a quote inside a value, or one that is never closed.
    """

    starts: Ints
    ends: Ints
    lines: Ints
    n_fields: Ints
    blank: Mask
    misquoted: Mask


@dataclass(frozen=True)
class _Lines:
    """Physical lines.

    Attributes:
        ends: int64 (n,), behind the line's newline.
        odd: bool (n,), whether the number of quotes is odd.
        outside: int64 (n,), separators outside quotes if the line begins outside of a quoted value.
        inside: int64 (n,), separators outside quotes if the line begins inside of one.
    """

    ends: Ints
    odd: Mask
    outside: Ints
    inside: Ints


def find_records(data: bytes, separator: str) -> Records:
    """Cut a text into records.

    A quoted value may hold newlines. Where the text as a whole does not come out (a quote is misplaced or never closed,
    or some record has another number of fields than the header), a value of several lines is believed only if its
    record has as many fields as the header, the value begins with the quote, and none of the lines within looks like
    a record of its own; otherwise the quote is taken for a mistake in its own line, so that it does not swallow the
    lines after it.

    >>> find_records(b'a,b\\n1,"x\\ny"\\n2,"oops\\n3,z', ",").lines.tolist()
    [0, 1, 3, 4]
    """
    lines = _lines(data, ord(separator))
    raw = np.frombuffer(data, np.uint8)
    first, unclosed = _join(lines, raw, ord(separator))
    last = np.append(first[1:], len(lines.ends)) - 1
    starts = np.concatenate([[0], lines.ends[:-1]])[first]
    ends = lines.ends[last]
    second = raw[np.minimum(starts + 1, len(raw) - 1)]
    blank = (raw[starts] == NEWLINE) | ((raw[starts] == RETURN) & (second == NEWLINE))
    misquoted = unclosed | _stray_quotes(raw, starts, ord(separator))
    return Records(starts, ends, first, _separators(lines, first, last) + 1, blank, misquoted)


def _lines(data: bytes, separator: int) -> _Lines:
    parts = [_lines_of(data, *block, separator) for block in pairwise(_block_bounds(data))]
    return _Lines(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _block_bounds(data: bytes) -> list[int]:
    """Cuts behind newlines, some `BLOCK_BYTES` apart, so that memory does not grow with the file."""
    bounds = [0]
    while bounds[-1] < len(data):
        newline = data.find(b"\n", bounds[-1] + BLOCK_BYTES)
        bounds.append(len(data) if newline < 0 else newline + 1)
    return bounds


def _lines_of(data: bytes, begin: int, end: int, separator: int) -> tuple[Ints, Mask, Ints, Ints]:
    """The fields of `_Lines` for one block of whole lines."""
    part = np.frombuffer(data, np.uint8, count=end - begin, offset=begin)
    ends = np.flatnonzero(part == NEWLINE) + 1
    if not len(ends) or ends[-1] != len(part):
        ends = np.append(ends, len(part))
    is_separator = part == separator
    quotes = part == QUOTE
    if not quotes.any():
        none = np.zeros(len(ends), dtype=np.int64)
        return ends + begin, none.astype(bool), _per_line(is_separator, ends), none
    n_quotes = _per_line(quotes, ends)
    before = np.repeat(np.cumsum(n_quotes) - n_quotes, np.diff(ends, prepend=0))
    within = (np.cumsum(quotes, dtype=np.int64) - before) % 2 == 1
    outside = _per_line(is_separator & ~within, ends)
    return ends + begin, n_quotes % 2 == 1, outside, _per_line(is_separator & within, ends)


def _per_line(flags: Mask, ends: Ints) -> Ints:
    starts = np.concatenate([[0], ends[:-1]])
    counts: Ints = np.add.reduceat(flags.view(np.uint8), starts, dtype=np.int64)
    return counts


def _separators(lines: _Lines, first: Ints, last: Ints) -> Ints:
    """Separators outside quotes in the records that go from line to line."""
    inside = np.concatenate([[0], np.cumsum(lines.inside)])
    counts: Ints = lines.outside[first] + inside[last + 1] - inside[first + 1]
    return counts


def _join(lines: _Lines, raw: Bytes, separator: int) -> tuple[Ints, Mask]:
    """The lines at which records start, and which records are a line with a quote that nothing closes."""
    n = len(lines.ends)
    if not lines.odd.any():
        return np.arange(n), np.zeros(n, dtype=bool)
    inside_before = (np.cumsum(lines.odd) - lines.odd) % 2 == 1
    first = np.flatnonzero(~inside_before)
    last = np.append(first[1:], n) - 1
    counts = _separators(lines, first, last)
    starts = np.concatenate([[0], lines.ends[:-1]])
    comes_out = lines.odd.sum() % 2 == 0 and bool((counts == counts[0]).all())
    if comes_out and not _stray_quotes(raw, starts[first], separator).any():
        return first, np.zeros(len(first), dtype=bool)
    stray = _stray_quotes(raw, starts, separator)
    starts_record, unclosed = _join_warily(lines, int(counts[0]), stray)
    return np.flatnonzero(starts_record), unclosed[starts_record]


def _join_warily(lines: _Lines, n_separators: int, stray: Mask) -> tuple[Mask, Mask]:
    """Per line: whether a record starts there, and whether it has a quote that is not believed.

    Args:
        stray: bool (n,), lines that have a stray quote if a record starts with them.
    """
    starts_record, unclosed = np.ones(len(lines.ends), dtype=bool), np.zeros(len(lines.ends), dtype=bool)
    whole = np.concatenate([[0], np.cumsum((lines.outside == n_separators) & ~lines.odd)])
    inside = np.concatenate([[0], np.cumsum(lines.inside)])
    odd = np.flatnonzero(lines.odd).tolist()
    k = 0
    while k < len(odd):
        begin, end = odd[k], odd[k + 1] if k + 1 < len(odd) else -1
        fits = end > 0 and lines.outside[begin] + inside[end + 1] - inside[begin + 1] == n_separators
        if fits and whole[end] == whole[begin + 1] and not stray[begin]:
            starts_record[begin + 1 : end + 1] = False
            k += 2
        else:
            unclosed[begin] = True
            k += 1
    return starts_record, unclosed


def _stray_quotes(raw: Bytes, starts: Ints, separator: int) -> Mask:
    """bool (n,): records in which a quote opens other than at a field's begin, or closes other than at its end."""
    stray = np.zeros(len(starts), dtype=bool)
    quotes = np.flatnonzero(raw == QUOTE)
    if not len(quotes):
        return stray
    record = np.searchsorted(starts, quotes, side="right") - 1
    before_record = np.searchsorted(quotes, starts)
    opens = (np.arange(len(quotes)) - before_record[record]) % 2 == 0
    before = np.where(quotes > 0, raw[quotes - 1], NEWLINE)
    after = np.where(quotes < len(raw) - 1, raw[np.minimum(quotes + 1, len(raw) - 1)], NEWLINE)
    well_opened = np.isin(before, (separator, NEWLINE, QUOTE))
    well_closed = np.isin(after, (separator, NEWLINE, RETURN, QUOTE))
    stray[record[~np.where(opens, well_opened, well_closed)]] = True
    return stray
