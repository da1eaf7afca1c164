"""A description as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shortlist.data.description.figures import Attribute, Description, Numbers, Spread

BAR = 30
UNITS = {
    "1d": ("day", 10),
    "1w": ("week of", 10),
    "1mo": ("month", 7),
    "1q": ("quarter from", 7),
    "1y": ("year", 4),
    "10y": ("decade", 4),
    "100y": ("century", 4),
}
"""What a period is called, and how much of its first day says which."""
Line = tuple[str, str]


def as_text(found: Description) -> str:
    """Sections of lines, each a label and what is known under it."""
    sections: dict[str, list[Line]] = {
        found.name or "the log": list(_sizes(found)),
        "long tail": list(_long_tail(found)),
        "time": list(_times(found)),
        "repeats": list(_repeats(found)),
        "ratings": [] if found.ratings is None else list(_numbers(found.ratings)),
        "weights": [] if found.weights is None else list(_numbers(found.weights)),
        "events": [(str(kind or "(not given)"), f"{n:,}") for kind, n in (found.events or {}).items()],
        "attributes": [(f"{one.table[:-1]}.{one.name}", _attribute(one)) for one in found.attributes],
        "cold start": list(_cold_start(found)),
        "validation": list(_validation(found)),
        "what fits": list(_suggestion(found)),
    }
    width = 2 + max(len(label) for lines in sections.values() for label, _ in lines)
    return "\n\n".join(
        "\n".join([title, *(f"  {label:<{width}}{text}".rstrip() for label, text in lines)])
        for title, lines in sections.items()
        if lines
    )


def _sizes(found: Description) -> Iterator[Line]:
    sizes = found.sizes
    yield "interactions", f"{sizes.interactions:,}"
    yield "users", f"{sizes.users:,}" + _without(sizes.users_without_events)
    yield "items", f"{sizes.items:,}" + _without(sizes.items_without_events)
    yield "density", f"{sizes.density:.3%} of all pairs of user and item"
    yield "events per user", _spread(sizes.per_user)
    yield "events per item", _spread(sizes.per_item)
    for note in found.notes:
        yield "note", note
    if found.other_columns:
        yield "not used", ", ".join(found.other_columns)


def _without(n: int) -> str:
    return f", and {n:,} without an event" if n else ""


def _spread(spread: Spread) -> str:
    quantiles = (
        f"{spread.p10:,} · {spread.p25:,} · {spread.median:,} · {spread.p75:,} · {spread.p90:,} · {spread.p99:,}"
    )
    return f"{spread.least:,} to {spread.most:,}, mean {spread.mean:,.1f}; 10-25-50-75-90-99%: {quantiles}"


def _long_tail(found: Description) -> Iterator[Line]:
    tail = found.long_tail
    yield "top 1% of items", f"{tail.top_1_percent:.1%} of the events"
    yield "top 10% of items", f"{tail.top_10_percent:.1%} of the events"
    yield "Gini", f"{tail.gini:.3f} (0 = all items alike)"
    yield "single-event items", f"{tail.single_event_items:,}"
    yield "top item", f"{tail.top_item[0]!r}, {tail.top_item[1]:.1%} of the events"
    yield "top user", f"{tail.top_user[0]!r}, {tail.top_user[1]:.1%} of the events"


def _times(found: Description) -> Iterator[Line]:
    times = found.times
    if times.kind == "none":
        yield "kind", "none: there are no times, or all are equal"
        return
    yield "kind", {"seconds": "Unix seconds", "order": "only an order"}[times.kind]
    yield "span", f"{times.first} to {times.last}" + ("" if times.days is None else f", {times.days:,.1f} days")
    yield "same time", f"{times.tied_share:.1%} of the events have another one of the same user"
    if times.sessions is not None:
        sessions = times.sessions
        yield "sessions", f"{sessions.number:,} (half an hour apart); of a user: {_spread(sessions.per_user)}"
        yield "one session", f"{sessions.single_session_users:.1%} of the users"
    if times.longest_gap_days:
        yield "longest gap", f"{times.longest_gap_days:,.1f} days, from {times.longest_gap_start}"
    most = max((period.events for period in times.periods), default=0)
    unit, length = UNITS.get(times.period or "", ("", 0))
    for period in times.periods:
        bar = _bar(period.events, most)
        yield f"{unit} {period.start[:length]}", f"{period.events:>11,} events {period.users:>9,} users  {bar}"


def _bar(n: float, most: float) -> str:
    return "#" * round(BAR * n / most) if most else ""


def _repeats(found: Description) -> Iterator[Line]:
    yield "same pair again", f"{found.repeats.share:.2%} of the events"
    yield "same row again", f"{found.repeats.exact_share:.2%} of the events"
    yield "seen items", f"are {'left out of' if found.repeats.filter_seen else 'kept in'} answers by default"


def _numbers(numbers: Numbers) -> Iterator[Line]:
    yield "range", f"{numbers.least:g} to {numbers.most:g}, {numbers.distinct:,} different"
    yield "mean", f"{numbers.mean:.3f}, standard deviation {numbers.deviation:.3f}"
    yield "missing", f"{numbers.missing:.2%}"
    most = max(count["events"] for count in numbers.counts)
    for count in numbers.counts:
        single = count["least"] == count["most"]
        label = f"{count['least']:g}" if single else f"{count['least']:g} to {count['most']:g}"
        yield label, f"{count['events']:>11,}  {_bar(count['events'], most)}"


def _attribute(one: Attribute) -> str:
    bounds = "" if one.least is None else f", {_short(one.least)} to {_short(one.most)}"
    return f"{one.kind}, {one.given:.1%} given, {one.distinct:,} different{bounds}"


def _short(bound: float | str | None) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _cold_start(found: Description) -> Iterator[Line]:
    cold = found.cold_start
    if cold is None:
        return
    yield "last fifth from", str(cold.cut)
    yield "active users", f"{cold.users:,}, of whom {cold.warm_users:,} were there before"
    yield "events of new users", f"{cold.new_user_events:.1%}"
    yield "events of new items", f"{cold.new_item_events:.1%}"


def _validation(found: Description) -> Iterator[Line]:
    for key, value in (found.validation or {}).items():
        for one in value if isinstance(value, list) else [value]:
            if one not in found.notes:
                yield key.replace("_", " "), _plain(one)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_plain(one)}" for key, one in value.items()) or "nothing"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _suggestion(found: Description) -> Iterator[Line]:
    suggestion = found.suggestion
    protocol = {"window": "time"}.get(suggestion.target, suggestion.target)
    yield "target", f"{suggestion.target}: {suggestion.reason}"
    yield "to measure it", f"shortlist evaluate … --protocol {protocol}"
    yield "enough", f"{'yes' if suggestion.enough else 'no'}: {suggestion.askable_users:,} users can be asked"
    for remark in suggestion.remarks:
        yield "", remark
