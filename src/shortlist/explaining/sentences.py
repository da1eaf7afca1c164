"""Facts -> one plain sentence, in the templates of a language."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from shortlist.errors import QueryError

PLAIN_SHARE = 0.25
"""Below this share of the score the named items are said to be the foremost of many."""


@dataclass(frozen=True)
class Facts:
    """What is true of one item for one query.

    Attributes:
        named: titles of the history's items that carry it most, at most two, largest share first.
        liked: all of them were rated as liked.
        share: of the source's score that they carry.
        by_attributes: the source compares what items are about.
        taken_before: it is in the history.
        lately: a source that reads the history in order proposed it.
        profile: a source that knows the user by id or profile proposed it.
        popular_now: taken up a lot in the window of ``window_days``.
        window_days: length of that window; ``None`` where times are no dates.
        long_ago: the moment of asking lies further back than that window: it was not lately.
        popular: taken up often all in all.
        n_events: how often it was taken up before the moment of asking.
        predicted_rating: where it speaks for the item.
        has_history: whether anything is known of the user.
        proposed: whether a source proposed it.
        fallback: it is in an answer because nothing else was left.
        rules: names of the rules that touched it.
    """

    named: tuple[str, ...] = ()
    liked: bool = False
    share: float = 1.0
    by_attributes: bool = False
    taken_before: bool = False
    lately: bool = False
    profile: bool = False
    popular_now: bool = False
    window_days: int | None = None
    long_ago: bool = False
    popular: bool = False
    n_events: float = 1.0
    predicted_rating: float | None = None
    has_history: bool = True
    proposed: bool = True
    fallback: bool = False
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Language:
    """The templates of one language."""

    item: str
    separator: str
    list_separator: str
    reasons: dict[str, str]
    now: dict[str, str]
    groups: dict[str, str]

    def sentence(self, facts: Facts) -> str:
        """The facts that speak for the item; if there are none, how it comes to be there all the same."""
        return self.separator.join(self._parts(facts))

    def _parts(self, facts: Facts) -> Iterator[str]:
        reasons = self.reasons
        if not facts.has_history:
            yield reasons["nobody"]
        elif not facts.proposed and not facts.taken_before:
            yield reasons["fills" if facts.fallback else "not_proposed"]
        if facts.taken_before:
            yield reasons["again"]
        if facts.named:
            first, second = facts.named[0], facts.named[-1]
            yield reasons[f"{_kind(facts)}_{len(facts.named)}"].format(first=first, second=second)
        elif facts.lately:
            yield reasons["lately"]
        elif facts.profile:
            yield reasons["profile"]
        if facts.popular_now:
            yield self.now["long_ago"] if facts.long_ago else self._now(facts.window_days)
        elif facts.popular:
            yield reasons["often"]
        elif not facts.n_events:
            yield reasons["new"]
        elif not (facts.named or facts.taken_before or facts.lately or facts.profile):
            n = round(facts.n_events)
            yield reasons["counted_1" if n <= 1 else "counted_n"].format(n=n)
        if facts.predicted_rating is not None:
            yield reasons["predicted"].format(rating=f"{facts.predicted_rating:.1f}")
        if facts.rules:
            yield reasons["ruled"].format(names=self.list_separator.join(facts.rules))

    def _now(self, days: int | None) -> str:
        if days is None:
            return self.now["lately"]
        return self.now.get(str(days)) or self.now["days"].format(n=days)


def _kind(facts: Facts) -> str:
    if facts.by_attributes:
        return "about"
    if facts.share < PLAIN_SHARE:
        return "mostly"
    return "liked" if facts.liked else "took"


def languages() -> list[str]:
    """The languages there are templates for.

    >>> languages()
    ['de', 'en']
    """
    folder = resources.files("shortlist.explaining") / "templates"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


@cache
def _read(name: str) -> Language:
    text = (resources.files("shortlist.explaining") / "templates" / f"{name}.toml").read_text("utf-8")
    return Language(**tomllib.loads(text))


def language_of(name: Any) -> Language:
    """The templates of a language; ``True`` = English.

    Raises:
        QueryError: there are none.

    >>> language_of("en").sentence(Facts(named=("Fargo (1996)", "Se7en (1995)"), liked=True, popular_now=True))
    'because you liked Fargo (1996) and Se7en (1995); taken up a lot lately'
    """
    name = "en" if name is True else name
    known = _known()
    if name not in known:
        raise QueryError(f"explain: expected true or a language ({', '.join(known)}), got {name!r}")
    return _read(name)


@cache
def _known() -> tuple[str, ...]:
    return tuple(languages())
