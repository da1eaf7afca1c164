"""API keys: kept as salted hashes, with scopes, and a bucket of tokens each."""

import hashlib
import hmac
import os
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from shortlist.durable import sync_directory, write
from shortlist.errors import ConfigError

Scope = Literal["read", "ingest", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "ingest", "admin")
PREFIX = "sl"
_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_NOBODY = "0" * 64


class StoredKey(msgspec.Struct, forbid_unknown_fields=True):
    """One key as the file has it: all but the key itself.

    Attributes:
        id: the part of the key that may be seen.
        name: whose it is.
        scopes: what it may do; ``admin`` may do everything.
        salt: 32 hexadecimal digits.
        sha256: of salt and key. The key has 256 random bits: a slow hash would not make it harder to guess.
    """

    id: str
    name: str
    scopes: list[Scope]
    salt: str
    sha256: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[StoredKey]


@dataclass
class Bucket:
    """A bucket of tokens that fills steadily: one per request.

    Attributes:
        per_s: tokens per second, and as many fit in, but at least one; 0 = no limit.

    >>> bucket = Bucket(2, level=2, at=0.0)
    >>> [bucket.take(now) for now in (0.0, 0.0, 0.0, 0.5)]
    [0.0, 0.0, 0.5, 0.0]
    """

    per_s: float
    level: float = 0.0
    at: float = field(default_factory=time.monotonic)

    @classmethod
    def full(cls, per_s: float) -> "Bucket":
        return cls(per_s, level=max(per_s, 1.0))

    def take(self, now: float) -> float:
        """0 if there was a token, else the seconds until there is one."""
        if not self.per_s:
            return 0.0
        self.level = min(max(self.per_s, 1.0), self.level + (now - self.at) * self.per_s)
        self.at = now
        if self.level < 1:
            return (1 - self.level) / self.per_s
        self.level -= 1
        return 0.0


@dataclass
class Caller:
    """Who sent a request: a key's id and scopes, or ``anonymous`` with all of them where no keys are set."""

    id: str
    scopes: frozenset[str]
    bucket: Bucket

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or "admin" in self.scopes


class Keys:
    """The keys that a server knows.

    Args:
        stored: none = everybody on this machine may do everything.
        per_s: requests per second of each key; 0 = no limit.
    """

    def __init__(self, stored: list[StoredKey], per_s: float = 0.0) -> None:
        self._per_s = per_s
        self._stored: dict[str, StoredKey] = {}
        self._callers: dict[str, Caller] = {}
        self.know(stored)
        self.anonymous = None if stored else Caller("anonymous", frozenset(SCOPES), Bucket.full(per_s))

    def know(self, stored: list[StoredKey]) -> None:
        """Let these take the place of the keys known before; who stays keeps their bucket as it is."""
        buckets = {id: caller.bucket for id, caller in self._callers.items()}
        self._stored = {key.id: key for key in stored}
        self._callers = {
            key.id: Caller(key.id, frozenset(key.scopes), buckets.get(key.id) or Bucket.full(self._per_s))
            for key in stored
        }

    def caller(self, authorization: bytes | None) -> Caller | None:
        """Whose key an Authorization header carries; ``None`` = no key that is known."""
        if self.anonymous is not None:
            return self.anonymous
        text = (authorization or b"").decode("latin-1")
        scheme, _, key = text.partition(" ")
        match = _KEY.fullmatch(key.strip()) if scheme.lower() == "bearer" else None
        stored = self._stored.get(match.group(1)) if match else None
        given = hash_of(stored.salt if stored else "", key.strip())
        same = hmac.compare_digest(given, stored.sha256 if stored else _NOBODY)
        return self._callers[stored.id] if stored and same else None


def hash_of(salt: str, key: str) -> str:
    return hashlib.sha256(f"{salt}{key}".encode("utf-8", "replace")).hexdigest()


def read_keys(path: Path) -> list[StoredKey]:
    """The keys of a file.

    Raises:
        ConfigError: it cannot be read, is not such a file, or holds none.
    """
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=_File).keys
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a file that `shortlist keys add` wrote: {error}") from error
    if not keys:
        raise ConfigError(f"{path} holds no key; make one with `shortlist keys add`")
    return keys


def add_key(path: Path, name: str, scopes: list[Scope]) -> str:
    """Make a key, add its hash to a file (made if need be, readable for its owner only), and return the key.

    It is shown this once: the file cannot tell it.
    """
    keys = read_keys(path) if path.exists() else []
    key_id, salt = secrets.token_hex(6), secrets.token_hex(16)
    key = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    keys.append(StoredKey(key_id, name, scopes, salt, hash_of(salt, key)))
    _replace(path, keys)
    return key


def remove_key(path: Path, key_id: str) -> None:
    """Take a key out of a file.

    Raises:
        ConfigError: it is not in there.
    """
    keys = read_keys(path)
    kept = [key for key in keys if key.id != key_id]
    if len(kept) == len(keys):
        raise ConfigError(f"{path} has no key {key_id!r}; it has {', '.join(key.id for key in keys)}")
    _replace(path, kept)


def _replace(path: Path, keys: list[StoredKey]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.touch(mode=0o600)
    write(temporary, msgspec.json.format(msgspec.json.encode(_File(keys))) + b"\n")
    os.replace(temporary, path)
    sync_directory(path.absolute().parent)
