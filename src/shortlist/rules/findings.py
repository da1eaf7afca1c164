"""What is to be said about rules: problems, and what an editor should know."""

from dataclasses import dataclass
from typing import Literal

from shortlist.errors import RulesError

MOST_TOLD = 20


@dataclass(frozen=True, order=True)
class Finding:
    """One sentence about a line.

    Attributes:
        line: from 1.
        level: an ``error`` keeps a rule from being used, a ``warning`` does not.
        rule: the rule's name, empty where it is not about one.
        message: what was expected, what came, and what follows.
    """

    line: int
    level: Literal["error", "warning"]
    rule: str
    message: str

    def told(self, origin: str) -> str:
        """The sentence with the place in front.

        >>> Finding(3, "error", "old films", "places: expected a number, got 'x'").told("rules.toml")
        "rules.toml, line 3: 'old films': places: expected a number, got 'x'"
        """
        return f"{origin}, line {self.line}: {f'{self.rule!r}: ' if self.rule else ''}{self.message}"


def refuse_errors(findings: list[Finding], origin: str) -> None:
    """Raise what is wrong, one line each; the message has the first `MOST_TOLD`.

    Raises:
        RulesError: there is an error among the findings.
    """
    errors = sorted(finding for finding in findings if finding.level == "error")
    if errors:
        told = [finding.told(origin) for finding in errors[:MOST_TOLD]]
        more = [f"{origin}: and {len(errors) - MOST_TOLD:,} more"] if len(errors) > MOST_TOLD else []
        raise RulesError("\n".join(told + more), errors)
