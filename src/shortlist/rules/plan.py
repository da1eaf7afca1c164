"""The rules that hold for one question, joined."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Mask, Rows
from shortlist.ranking.caps import Cap
from shortlist.ranking.rerank import Ruled

if TYPE_CHECKING:
    from shortlist.rules.binding import Bound

MOST_WANTED = 50
"""A pin by a condition that so many items satisfy has them all scored; of more, only what stage 1 found."""
Places = NDArray[np.int64]


class Slot(NamedTuple):
    """A place that a pin fills.

    Attributes:
        place: in the answer, from 0.
        name: of the rule.
        row: of the item; -1 = the best of ``items``.
        items: bool (n_items,), for a pin by a condition.
    """

    place: int
    name: str
    row: int
    items: Mask | None


@dataclass(frozen=True, eq=False)
class Plan:
    """What rules that hold at once do.

    Attributes:
        excluded: bool (n_items,) or ``None`` = nothing.
        boosts: bool (n_boosts, n_items), and the names of the rules.
        lifts: int64 (n_items,), places up; ``None`` = there are no boosts.
        buried: bool (n_items,) or ``None``.
        caps: those of bury rules, with no place at all, and of caps.
        slots: of the pins, in the order in which they are filled.
    """

    excluded: Mask | None
    boosts: tuple[tuple[str, Mask], ...]
    lifts: NDArray[np.int64] | None
    buried: Mask | None
    caps: tuple[Cap, ...]
    slots: tuple[Slot, ...]
    _names: dict[bytes, tuple[str, ...]] = field(default_factory=dict)

    def wanted(self, allowed: Mask) -> Rows:
        """int32, the allowed items that pins need scored; ``allowed``: bool (n_items,)."""
        rows: list[int] = []
        for slot in self.slots:
            if slot.items is None:
                rows += [slot.row] if allowed[slot.row] else []
            else:
                matching = np.flatnonzero(slot.items & allowed)
                rows += matching.tolist() if len(matching) <= MOST_WANTED else []
        return np.array(sorted(set(rows)), dtype=np.int32)

    def arrange(self, item_rows: Rows) -> Ruled:
        """A new order of a pool.

        Boosted items move by their places, buried ones behind all others, pinned ones to their places in the answer.

        Args:
            item_rows: int32 (n,), the pool, best first.
        """
        n = len(item_rows)
        order = np.arange(n)
        if self.lifts is not None:
            lifts = self.lifts[item_rows]
            order = np.lexsort((order, -lifts, order - lifts))
        if self.buried is not None:
            order = order[np.argsort(self.buried[item_rows[order]], kind="stable")]
        marks = self._boosted(item_rows)
        pins = self._pinned(item_rows, order)
        if pins:  # beyond the answer's end they are not to be where they would be unpinned
            held = np.zeros(n, dtype=bool)
            held[[place for place, _ in pins.values()]] = True
            order = order[np.argsort(held[order], kind="stable")]
            for place, name in pins.values():
                marks[place] = (name, *marks.get(place, ()))
        return Ruled(order, {at: place for at, (place, _) in pins.items()}, marks)

    def _boosted(self, item_rows: Rows) -> dict[int, tuple[str, ...]]:
        """The names of the boosts of each place of the pool."""
        if not self.boosts:
            return {}
        bits = np.packbits([mask[item_rows] for _, mask in self.boosts], axis=0).T  # (n, ceil(n_boosts / 8))
        marks = {}
        for place in np.flatnonzero(bits.any(axis=1)).tolist():
            key = bits[place].tobytes()
            if key not in self._names:
                row = item_rows[place]
                self._names[key] = tuple(name for name, mask in self.boosts if mask[row])
            marks[place] = self._names[key]
        return marks

    def _pinned(self, item_rows: Rows, order: Places) -> dict[int, tuple[int, str]]:
        """Place in the answer -> place in the pool and name of the rule."""
        if not self.slots:
            return {}
        place_of = {row: place for place, row in enumerate(item_rows.tolist())}
        pins: dict[int, tuple[int, str]] = {}
        taken: set[int] = set()
        for slot in self.slots:
            if slot.items is None:
                found = place_of.get(slot.row)
            else:
                matching = order[slot.items[item_rows[order]]].tolist()
                found = next((place for place in matching if place not in taken), None)
            if found is None or found in taken:
                continue
            at = slot.place
            while at in pins:
                at += 1
            pins[at] = found, slot.name
            taken.add(found)
        return pins


def make_plan(bound: Sequence["Bound"]) -> Plan:
    """The joint effect of rules that hold at once."""

    def masks(kind: str) -> list[Mask]:
        return [one.items for one in bound if one.rule.kind == kind]

    boosts = [one for one in bound if one.rule.kind == "boost"]
    slots = sorted((slot for one in bound for slot in one.slots), key=lambda slot: slot.place)
    return Plan(
        excluded=_any(masks("exclude")),
        boosts=tuple((one.rule.name, one.items) for one in boosts),
        lifts=np.sum([one.rule.places * one.items for one in boosts], axis=0, dtype=np.int64) if boosts else None,
        buried=_any(masks("bury")),
        caps=tuple(one.cap for one in bound if one.cap is not None),
        slots=tuple(slots),
    )


def _any(masks: list[Mask]) -> Mask | None:
    return np.logical_or.reduce(masks) if masks else None
