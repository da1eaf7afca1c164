"""Rules and a model -> what they mean for its items and users, in row numbers.

A rule that the model cannot follow, because a condition names an attribute that is not there, is left out and told.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from shortlist.data.columns import suggest
from shortlist.data.log import Mask
from shortlist.data.vocabulary import Vocabulary
from shortlist.data.where import where_mask
from shortlist.errors import QueryError
from shortlist.ranking.caps import Cap, groups_of
from shortlist.rules.findings import Finding, refuse_errors
from shortlist.rules.parsing import Rules
from shortlist.rules.plan import Plan, Slot, make_plan
from shortlist.rules.rule import Condition, Rule

MOST_PLANS = 32


class Bound(NamedTuple):
    """A rule, and whom it concerns.

    Attributes:
        rule: as written.
        items: bool (n_items,).
        users: bool (n_users,); ``None`` = everybody, unknown ones too.
        strangers: ids that the rule names and the model does not know: it holds for them too.
        slots: of a pin: the places it fills.
        cap: of a cap, and of a bury rule, which leaves its items no place.
    """

    rule: Rule
    items: Mask
    users: Mask | None
    strangers: frozenset[int | str] = frozenset()
    slots: tuple[Slot, ...] = ()
    cap: Cap | None = None


@dataclass(frozen=True, eq=False)
class BoundRules:
    """Rules that go with a model.

    Attributes:
        rules: as written.
        bound: those that can be used.
        checked: what was found when they were bound; an error is about a rule that was left out.
    """

    rules: Rules
    bound: tuple[Bound, ...]
    checked: tuple[Finding, ...]

    def findings(self, now: float | None = None) -> list[Finding]:
        """What is to be said of the rules, in the order of the lines: also which of them are over.

        Args:
            now: Unix seconds; ``None`` = the clock.
        """
        moment = time.time() if now is None else now
        over = [one.rule.finding("warning", "until", "is over") for one in self.bound if one.rule.ends <= moment]
        return sorted([*self.checked, *over])

    def require_all(self) -> "BoundRules":
        """The same, if all rules can be used.

        Raises:
            RulesError: the model cannot follow one.
        """
        refuse_errors(list(self.checked), self.rules.origin)
        return self

    def plan(self, user_row: int, moment: int, user_id: Any = None) -> Plan:
        """What holds for a user at a moment.

        Args:
            user_row: -1 = unknown: of the rules for certain users only those hold that name ``user_id``.
            moment: Unix seconds.
        """
        holds = self._holds(user_row, moment, user_id)
        key = holds.tobytes()
        plan = self._plans.get(key)
        if plan is None:
            plan = make_plan(self.holding(user_row, moment, user_id))
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def holding(self, user_row: int, moment: int, user_id: Any = None) -> list[Bound]:
        """The rules that hold; see `plan`."""
        holds = self._holds(user_row, moment, user_id)
        return [one for one, held in zip(self.bound, holds.tolist(), strict=True) if held]

    def _holds(self, user_row: int, moment: int, user_id: Any) -> Mask:
        holds: Mask = (self._starts <= moment) & (moment < self._ends)
        stranger = user_id if type(user_id) in (int, str) else None  # True is equal to 1
        for place, users, strangers in self._limited:
            if not (users[user_row] if user_row >= 0 else stranger in strangers):
                holds[place] = False
        return holds

    @cached_property
    def _starts(self) -> Any:
        return np.array([one.rule.starts for one in self.bound], dtype=np.int64)

    @cached_property
    def _ends(self) -> Any:
        return np.array([one.rule.ends for one in self.bound], dtype=np.int64)

    @cached_property
    def _limited(self) -> list[tuple[int, Mask, frozenset[int | str]]]:
        return [(place, one.users, one.strangers) for place, one in enumerate(self.bound) if one.users is not None]

    @cached_property
    def _plans(self) -> dict[bytes, Plan]:
        return {}


def bind(rules: Rules, items: pl.DataFrame, users: pl.DataFrame) -> BoundRules:
    """Work out which items and users each rule concerns.

    Args:
        items: the catalogue: ``item_id`` and attributes.
        users: ``user_id`` and attributes.
    """
    binder = _Binder(items, users)
    bound = [one for rule in rules.rules if (one := binder.bound(rule)) is not None]
    findings = [*binder.findings, *_conflicts(bound)]
    return BoundRules(rules, tuple(bound), tuple(sorted(findings)))


class _UnfitError(Exception):
    """The model cannot follow what stands under a key."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key, self.message = key, message


class _Binder:
    """Binds one rule after the other, and collects what there is to say."""

    def __init__(self, items: pl.DataFrame, users: pl.DataFrame) -> None:
        self.items, self.users = items, users
        self.findings: list[Finding] = []
        self._vocabularies = {"items": Vocabulary(items["item_id"]), "users": Vocabulary(users["user_id"])}

    def bound(self, rule: Rule) -> Bound | None:
        """The rule bound; ``None`` = the model cannot follow it."""
        try:
            items = self._mask(rule, "items", self.items, rule.items)
            users = None if rule.users is None else self._mask(rule, "users", self.users, rule.users)
            cap = self._cap(rule, items)
        except _UnfitError as error:
            self.findings.append(rule.finding("error", error.key, error.message))
            return None
        slots = self._slots(rule, items) if rule.kind == "pin" else ()
        return Bound(rule, items, users, self._strangers(rule), slots, cap)

    def _strangers(self, rule: Rule) -> frozenset[int | str]:
        if not isinstance(rule.users, tuple):
            return frozenset()
        ids: list[int | str] = [*rule.users]
        rows = self._vocabularies["users"].rows(ids).tolist()
        return frozenset(one for one, row in zip(ids, rows, strict=True) if row < 0)

    def _mask(self, rule: Rule, key: str, frame: pl.DataFrame, condition: Condition | None) -> Mask:
        if condition is None:
            return np.ones(len(frame), dtype=bool)
        if isinstance(condition, tuple):
            return self._of_ids(rule, key, condition)
        try:
            mask = where_mask(condition, frame)
        except QueryError as error:
            raise _UnfitError(key, str(error).removeprefix("where").lstrip(",: ")) from error
        if not mask.any():
            self.findings.append(rule.finding("warning", key, f"no {key[:-1]} satisfies it"))
        return mask

    def _of_ids(self, rule: Rule, key: str, ids: tuple[int, ...] | tuple[str, ...]) -> Mask:
        vocabulary = self._vocabularies[key]
        rows = vocabulary.rows(list(ids))
        unknown = [one for one, row in zip(ids, rows.tolist(), strict=True) if row < 0]
        if unknown:
            kind = {"integer": int, "string": str}[vocabulary.kind]
            hint = (
                "" if type(unknown[0]) is kind else f"; the ids of this model's {key} are of the kind {vocabulary.kind}"
            )
            some = f"{len(unknown):,} of {len(ids):,} ids are" if len(ids) > 1 else "the id is"
            shown = ", ".join(map(repr, unknown[:3]))
            message = f"{some} not known to the model ({shown}{', …' if len(unknown) > 3 else ''}){hint}"
            if key == "users":
                message += "; the rule holds for whoever asks under such an id"
            self.findings.append(rule.finding("warning", key, message))
        mask = np.zeros(len(vocabulary), dtype=bool)
        mask[rows[rows >= 0]] = True
        return mask

    def _slots(self, rule: Rule, items: Mask) -> tuple[Slot, ...]:
        if not isinstance(rule.items, tuple):
            return (Slot(rule.position - 1, rule.name, -1, items),)
        rows = self._vocabularies["items"].rows(list(rule.items)).tolist()
        return tuple(Slot(rule.position - 1 + i, rule.name, row, None) for i, row in enumerate(rows) if row >= 0)

    def _cap(self, rule: Rule, items: Mask) -> Cap | None:
        if rule.kind not in ("cap", "bury"):
            return None
        if rule.by is None:
            offsets = np.concatenate([[0], np.cumsum(items, dtype=np.int64)])
            return Cap(rule.name, rule.most, offsets, np.zeros(offsets[-1], dtype=np.int32), rule.name)
        attributes = [name for name in self.items.columns if name != "item_id"]
        if rule.by not in attributes:
            raise _UnfitError("by", f"there is no item attribute {rule.by!r}; {suggest(rule.by, attributes)}")
        try:
            offsets, codes = groups_of(self.items[rule.by])
        except pl.exceptions.PolarsError as error:
            raise _UnfitError("by", f"the values of {rule.by!r} cannot be groups") from error
        lengths = np.diff(offsets)
        kept = np.concatenate([[0], np.cumsum(lengths * items)])
        return Cap(rule.name, rule.most, kept, codes[np.repeat(items, lengths)], rule.name)


def _conflicts(bound: list[Bound]) -> Iterator[Finding]:
    """What rules that may hold at once say against each other, and which of them goes first."""
    pins = [one for one in bound if one.rule.kind == "pin"]
    for first, second in combinations(pins, 2):
        if not _together(first, second):
            continue
        line = first.rule.lines[""]
        taken = {slot.place for slot in first.slots} & {slot.place for slot in second.slots}
        if taken:
            message = (
                f"position {min(taken) + 1} has a pin already (line {line}): this one moves to the next free place"
            )
            yield second.rule.finding("warning", "position", message)
        same = {slot.row for slot in first.slots} & {slot.row for slot in second.slots} - {-1}
        if same:
            yield second.rule.finding(
                "warning", "items", f"{_items(len(same))} pinned in line {line} too: the higher place holds"
            )
    for pin in pins:
        for other in bound:
            if other.rule.kind == "exclude" and _together(pin, other):
                n = int((pin.items & other.items).sum())
                if n and (isinstance(pin.rule.items, tuple) or n == pin.items.sum()):
                    message = (
                        f"{_items(n)} excluded by {other.rule.name!r} (line {other.rule.lines['']}), which goes first"
                    )
                    yield pin.rule.finding("warning", "items", message)


def _items(n: int) -> str:
    return "one item is" if n == 1 else f"{n:,} items are"


def _together(first: Bound, second: Bound) -> bool:
    """Whether two rules can hold for the same question."""
    if first.rule.ends <= second.rule.starts or second.rule.ends <= first.rule.starts:
        return False
    if first.users is None or second.users is None:
        return True
    return bool((first.users & second.users).any() or first.strangers & second.strangers)
