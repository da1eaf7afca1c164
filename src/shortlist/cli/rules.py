"""``shortlist rules``: see what a file of rules would do before it is live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli import completion
from shortlist.cli.console import JsonFlag, ModelArgument, say, show, show_json
from shortlist.cli.recommend import moment, typed_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shortlist.cascade import Cascade
    from shortlist.rules.binding import BoundRules
    from shortlist.rules.parsing import Rules

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A TOML file of rules.", autocompletion=completion.files)
]
BEYOND = 100
"""So many ranks beyond k are looked at for where an item came from, or went."""
app = typer.Typer(help="Check rules, and see their effect.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def rules() -> None:
    """Check rules, and see their effect."""


@app.command()
def check(file: FileArgument, model: ModelArgument, as_json: JsonFlag = False) -> None:
    """Say what is wrong with a file of rules, and what an editor should know; exit code 1 if a rule cannot be used."""
    from shortlist.errors import RulesError
    from shortlist.rules.parsing import read_rules
    from shortlist.saving import load

    fitted = load(model)
    try:
        read = read_rules(file)
        bound = fitted.bound_rules(read)
        if not as_json:
            bound.require_all()
    except RulesError as error:
        if not as_json or not error.findings:
            raise
        show_json(
            {"file": str(file), "ok": False, "rules": [], "findings": [finding_of(one) for one in error.findings]}
        )
        raise typer.Exit(1) from None
    findings = bound.findings()
    ok = all(finding.level != "error" for finding in findings)
    if as_json:
        described = [rule_of(bound, place) for place in range(len(bound.bound))]
        document = {"file": str(file), "version": read.version, "ok": ok, "rules": described}
        show_json(document | {"findings": [finding_of(one) for one in findings]})
        raise typer.Exit(not ok)
    show(f"{file}: {len(read)} rules, version {read.version}")
    for place in range(len(bound.bound)):
        show(in_words(rule_of(bound, place)))
    for finding in findings:
        show(f"{finding.level}: {finding.told(str(file))}")


@app.command(name="test")
def before_and_after(
    file: FileArgument,
    model: ModelArgument,
    user: Annotated[list[str], typer.Option("--user", metavar="ID", help="Whose answer to look at; may be repeated.")],
    at: Annotated[
        str | None, typer.Option(help="The moment of asking, and of date windows: Unix seconds or an ISO date.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many items per user.")] = 10,
    before: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The rules to compare with; left out: none.", autocompletion=completion.files
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the answers to some users before and after, side by side. Nothing goes live."""
    from shortlist.rules.parsing import Rules, read_rules
    from shortlist.saving import load

    fitted = load(model)
    new = read_rules(file)
    old = Rules.parse("") if before is None else read_rules(before)
    ids = [typed_id(one, fitted.user_vocabulary.kind) for one in user]
    asked_at = None if at is None else moment(at)
    for one, row in zip(ids, fitted.user_vocabulary.rows(ids).tolist(), strict=True):
        if row < 0:
            say(f"{one!r} is not a user that the model knows; rules with a condition on users do not hold")
    found = compared(fitted, old, new, ids, asked_at, k)
    findings = fitted.bound_rules(new).findings()
    if as_json:
        document = {"before": old.version if before else None, "after": new.version, "k": k, "users": found}
        show_json(document | {"findings": [finding_of(one) for one in findings]})
        return
    show("\n\n".join(side_by_side(one) for one in found))
    for finding in findings:
        say(f"{finding.level}: {finding.told(str(file))}")


def compared(model: Cascade, old: Rules, new: Rules, users: Sequence[Any], at: Any, k: int) -> list[dict[str, Any]]:
    """For each user what stands where before and after, and why what was there has gone.

    Raises:
        RulesError: the model cannot follow a rule.
    """
    depth = k + BEYOND
    answers = [model.recommend(users, depth, at=at, details=True, rules=one) for one in (old, new)]
    titles = dict(model.items.select("item_id", "title").iter_rows()) if "title" in model.items.columns else {}
    found = []
    for q, user in enumerate(users):
        old_rows, new_rows = (_rows_of(answer, q) for answer in answers)
        ranks = [{row["item_id"]: row["rank"] for row in rows} for rows in (old_rows, new_rows)]

        def told(row: dict[str, Any], before: dict[Any, int] = ranks[0]) -> dict[str, Any]:
            shown = {"rank": row["rank"], "item_id": row["item_id"], "title": titles.get(row["item_id"])}
            return shown | {"rules": list(row.get("rules") or []), "rank_before": before.get(row["item_id"])}

        after = [told(row) | {"mark": _mark(row, ranks[0], k)} for row in new_rows[:k]]
        here = {row["item_id"] for row in after}
        gone = [row for row in old_rows[:k] if row["item_id"] not in here]
        why = _reasons(model, new, user, at, [row["item_id"] for row in gone], [row["item_id"] for row in new_rows[:k]])
        removed = [
            told(row) | {"mark": "removed", "rank_after": ranks[1].get(row["item_id"]), "rules": names}
            for row, names in zip(gone, why, strict=True)
        ]
        found.append(
            {
                "user_id": user,
                "acted": answers[1].details["acted"][q].to_list(),
                "before": [told(row) for row in old_rows[:k]],
                "after": after,
                "removed": removed,
            }
        )
    return found


def _rows_of(answer: Any, q: int) -> list[dict[str, Any]]:
    """The rows of query q, whose user may have been asked for twice."""
    ends = answer.details["returned"].cum_sum().to_list()
    rows: list[dict[str, Any]] = answer.table[([0, *ends])[q] : ends[q]].to_dicts()
    return rows


def _mark(row: dict[str, Any], ranks_before: dict[Any, int], k: int) -> str:
    before = ranks_before.get(row["item_id"])
    if before is None or before > k:
        return "added"
    return "same" if before == row["rank"] else "up" if before > row["rank"] else "down"


def _reasons(model: Cascade, rules: Rules, user: Any, at: Any, gone: list[Any], here: list[Any]) -> list[list[str]]:
    """For each item that has gone the rules that drove it out; empty = it only made room."""
    from shortlist.ranking.caps import Count
    from shortlist.rules.acting import Acting, moment_of

    request = model.request([user], at)
    queries = request.queries
    acting = Acting(model.bound_rules(rules), moment_of(at, model.log.in_seconds), request.user_ids)
    holding = acting.holding(queries, 0)
    count = Count(acting.caps(queries, 0))
    for row in model.item_vocabulary.rows(here).tolist():
        count.add(row)
    found = []
    for row in model.item_vocabulary.rows(gone).tolist():
        against = [one.rule for one in holding if one.items[row]]
        names = [rule.name for rule in against if rule.kind == "exclude" or rule.places < 0]
        found.append([*names, *(cap.rule for cap in count.exceeded(row))])
    return found


MARKS = {"added": "+", "up": "↑", "down": "↓", "same": "="}


def side_by_side(one: dict[str, Any]) -> str:
    """One user's answers as text: what was there, what is there now, and the rules' names."""
    before = [_label(row) for row in one["before"]]
    width = max([len("before"), *map(len, before)])
    after = [f"{MARKS[row['mark']]}{_moved(row)} {_label(row)}" for row in one["after"]]
    wide = max([len("after"), *map(len, after)])
    lines = [f"user {one['user_id']}", f"  {'':>3}  {'before':<{width}}  {'after':<{wide}}  rules"]
    for place in range(max(len(before), len(after))):
        left = before[place] if place < len(before) else ""
        right = after[place] if place < len(after) else ""
        names = ", ".join(one["after"][place]["rules"]) if place < len(after) else ""
        lines.append(f"  {place + 1:>3}  {left:<{width}}  {right:<{wide}}  {names}".rstrip())
    for row in one["removed"]:
        now = f"now {row['rank_after']}" if row["rank_after"] else "gone"
        lines.append(f"    - {_label(row)} (was {row['rank']}, {now}): {', '.join(row['rules']) or 'made room'}")
    return "\n".join(lines)


def _moved(row: dict[str, Any]) -> str:
    if row["mark"] in ("up", "down"):
        return f"{abs(row['rank_before'] - row['rank'])}"
    return f" (was {row['rank_before']})" if row["mark"] == "added" and row["rank_before"] else ""


def _label(row: dict[str, Any]) -> str:
    label = f"{row['item_id']} {row['title']}" if row["title"] else str(row["item_id"])
    return label if len(label) <= 48 else f"{label[:47]}…"


def finding_of(finding: Any) -> dict[str, Any]:
    return {"line": finding.line, "level": finding.level, "rule": finding.rule or None, "message": finding.message}


def rule_of(bound: BoundRules, place: int) -> dict[str, Any]:
    """A rule and whom it concerns."""
    import time

    one = bound.bound[place]
    return {
        "name": one.rule.name,
        "kind": one.rule.kind,
        "line": one.rule.lines[""],
        "phase": one.rule.phase(time.time()),
        "items": int(one.items.sum()),
        "users": None if one.users is None else int(one.users.sum()) + len(one.strangers),
    }


def in_words(rule: dict[str, Any]) -> str:
    """A rule as a line of text."""
    whom = "everybody" if rule["users"] is None else f"{rule['users']:,} users"
    phase = "" if rule["phase"] == "holds" else f", {rule['phase']}"
    return f"  {rule['kind']:<7} {rule['name']!r}, line {rule['line']}: {rule['items']:,} items, {whom}{phase}"
