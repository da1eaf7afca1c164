"""Which text do these bytes hold? Byte order marks, UTF-8 with a few broken bytes, latin-1 and cp1252."""

import codecs
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.validation.findings import Refusal
from shortlist.errors import ConfigError

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The longer marks first: that of UTF-16 begins that of UTF-32."""
MAGIC = {
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"PK\x03\x04": "a zip file or a workbook: unpack it, or save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first",
    b"BZh": "compressed by bzip2: unpack it first",
    b"\xfd7zXZ": "compressed by xz: unpack it first",
    b"PAR1": "a Parquet file: let its name end in .parquet",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
}
SAMPLE_BYTES = 4_000
CONTROL_SHARE = 0.05
NO_LETTER = frozenset(b"\x81\x8d\x8f\x90\x9d\xff")
"""Bytes that stand for nothing in cp1252, and for a letter that hardly occurs in latin-1."""
FROM_CP1252 = "shortlist-from-cp1252"
NOTE = "shortlist-note"


def _from_cp1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", errors="backslashreplace"), error.end


def _note(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    _noted.places.extend(range(error.start, error.end))
    return "", error.end


_noted = threading.local()
codecs.register_error(FROM_CP1252, _from_cp1252)
codecs.register_error(NOTE, _note)


def to_utf8(data: bytes, origin: str, encoding: str | None) -> tuple[bytes, str | None]:
    """The bytes as UTF-8 without a byte order mark, and the name of another encoding that they were in.

    Bytes that are not UTF-8 stay where nothing tells the encoding of the whole file; see `broken_bytes`.

    Args:
        encoding: the caller's word for it; ``None`` = look.

    Raises:
        Refusal: the file is no text, or not in the encoding asked for.
        ConfigError: there is no such encoding.
    """
    for magic, what in MAGIC.items():
        if data.startswith(magic):
            raise Refusal("binary_file", f"{origin}: expected a text, got {what}")
    found = encoding or next((name for mark, name in MARKS.items() if data.startswith(mark)), None) or _unmarked(data)
    if found is None and _is_binary(data):
        raise Refusal("binary_file", f"{origin}: expected a text, got bytes that are none")
    if found is None or _is_utf8(found):
        return data.removeprefix(codecs.BOM_UTF8), None
    try:
        return data.decode(found).removeprefix("\ufeff").encode(), found
    except UnicodeDecodeError as error:
        raise Refusal(
            "wrong_encoding",
            f"{origin}, byte {error.start:,}: got 0x{data[error.start]:02x}, which is not {found}: {error.reason}",
        ) from error


def _is_binary(data: bytes) -> bool:
    """More than one in twenty of the first bytes are control characters; zeros are left to `broken_bytes`."""
    head = np.frombuffer(data[:SAMPLE_BYTES], np.uint8)
    control = (head < 32) & ~np.isin(head, (0, 9, 10, 12, 13))
    return len(head) > 0 and float(control.mean()) > CONTROL_SHARE


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
    except LookupError:
        raise ConfigError(f"encoding: expected a name such as 'utf-8' or 'cp1252', got {encoding!r}") from None


def _unmarked(data: bytes) -> str | None:
    """UTF-16 without a mark shows in its zero bytes: nearly every second one."""
    head = np.frombuffer(data[:SAMPLE_BYTES], np.uint8)
    if len(head) < 8 or len(data) % 2:
        return None
    even, odd = float((head[::2] == 0).mean()), float((head[1::2] == 0).mean())
    if odd > 0.9 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.9 and odd < 0.1 else None


@dataclass(frozen=True)
class BrokenBytes:
    """Where bytes are no text, and what the others are.

    Attributes:
        records: bool (n,), which records have bytes that are no text.
        encoding: ``"latin-1"`` or ``"cp1252"`` where the bytes that are not UTF-8 are that.
        n_foreign: how many records had such bytes.
        first_foreign: the first of them, or -1.
    """

    records: NDArray[np.bool_]
    encoding: str | None
    n_foreign: int = 0
    first_foreign: int = -1


def broken_bytes(data: bytes, starts: NDArray[np.int64]) -> BrokenBytes:
    """Look at the records of a text that should be UTF-8.

    Where more records hold bytes of latin-1 than proper UTF-8 beyond ASCII, the text is latin-1 (cp1252 if it uses
    what only that has). Otherwise such records are broken. Zero bytes are never text.

    Args:
        starts: int64 (n,), where records start.
    """
    raw = np.frombuffer(data, np.uint8)
    broken = _records_of(np.flatnonzero(raw == 0) if b"\0" in data else np.zeros(0, np.int64), starts)
    if data.isascii():
        return BrokenBytes(broken, None)
    places = _not_utf8(data)
    foreign = _records_of(places, starts)
    no_letter = np.isin(raw[places], list(NO_LETTER))
    garbage = _records_of(places[no_letter], starts)
    proper = _records_of(np.flatnonzero(raw >= 0x80), starts) & ~foreign
    if (foreign & ~garbage).sum() <= proper.sum():
        return BrokenBytes(broken | foreign, None)
    is_latin = foreign & ~garbage & ~broken
    beyond_latin_1 = bool((raw[places[~no_letter]] < 0xA0).any())
    return BrokenBytes(
        broken | garbage, "cp1252" if beyond_latin_1 else "latin-1", int(is_latin.sum()), int(np.argmax(is_latin))
    )


def _records_of(places: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool (n,): which records have a byte at one of these places."""
    found = np.zeros(len(starts), dtype=bool)
    found[np.searchsorted(starts, places, side="right") - 1] = True
    return found


def _not_utf8(data: bytes) -> NDArray[np.int64]:
    """Where bytes are not UTF-8, in one pass over the text."""
    _noted.places = []
    data.decode("utf-8", errors=NOTE)
    return np.array(_noted.places, dtype=np.int64)
