"""One rule, as written."""

from dataclasses import dataclass
from typing import Literal

from shortlist.rules.findings import Finding

Kind = Literal["pin", "boost", "bury", "exclude", "cap"]
Condition = str | tuple[int, ...] | tuple[str, ...]
MAX_RULES = 500
MAX_BYTES = 1_000_000
MAX_IDS = 10_000
MAX_PLACE = 1_000
MAX_NAME = 100
ALWAYS, NEVER = -(2**62), 2**62


@dataclass(frozen=True)
class Rule:
    """One table of the file.

    Attributes:
        kind: the table's name.
        name: how answers call it.
        lines: of its keys; ``""`` has that of the table.
        items: a condition on item attributes or item ids; ``None`` = all, only for a cap.
        users: likewise for users.
        starts, ends: it holds from the one moment on until before the other, Unix seconds.
        position: of a pin: where its (first) item stands, from 1.
        places: of a boost: how many places up; negative = down.
        most: of a cap: how many at most.
        by: of a cap: the attribute whose values are the groups; ``None`` = the items are one group.
    """

    kind: Kind
    name: str
    lines: dict[str, int]
    items: Condition | None = None
    users: Condition | None = None
    starts: int = ALWAYS
    ends: int = NEVER
    position: int = 0
    places: int = 0
    most: int = 0
    by: str | None = None

    def phase(self, now: float) -> Literal["to come", "holds", "over"]:
        """Whether it holds at a moment, Unix seconds."""
        return "to come" if now < self.starts else "holds" if now < self.ends else "over"

    def finding(self, level: Literal["error", "warning"], key: str, message: str) -> Finding:
        told = f"{key}: {message}" if key else message
        return Finding(self.lines.get(key, self.lines[""]), level, self.name, told)
