"""Which target fits a log, and what else to know before training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from shortlist.data.description.figures import Description

ENOUGH = 100
"""Users asked. A metric in [0, 1] that varies by .3 from user to user then has a 95% interval of about ±.06."""
PLENTY = 1_000
"""With so many users who come back (an interval of about ±.02), it does not matter how many do not."""
SHORTLIST = 200
"""Candidates of the presets."""


@dataclass(frozen=True)
class Suggestion:
    """What a model of a log should be trained for.

    Attributes:
        target: for `train`; what measures it is the protocol ``time`` (for ``window``), ``next`` or ``random``.
        reason: one sentence.
        askable_users: how many users with a history that protocol can ask.
        enough: whether they are at least 100.
        remarks: what else to know before training, one sentence each.
    """

    target: Literal["window", "next", "random"]
    reason: str
    askable_users: int
    enough: bool
    remarks: tuple[str, ...]


def suggest(found: Description) -> Suggestion:
    """``window`` where enough people come back, else ``next``; ``random`` without usable times."""
    target, reason, askable = _target(found)
    enough = askable >= ENOUGH
    few = "" if enough else f"Only {askable:,} users can be asked: figures will be chance to a large part."
    remarks = [few, *_of_users(found, target), *_of_items(found), *_of_values(found)]
    return Suggestion(target, reason, askable, enough, tuple(filter(None, remarks)))


def _target(found: Description) -> tuple[Literal["window", "next", "random"], str, int]:
    several = found.sizes.users - found.sizes.single_event_users
    if found.cold_start is None:
        return "random", "there are no usable times: what can be asked is which events were left out", several
    if not several:
        return "window", "no user has two events: nobody has a history, and only popularity can be learned", 0
    warm, active = found.cold_start.warm_users, found.cold_start.users
    there = f"{warm:,} of the {active:,} users active in the last fifth of the events were there before"
    if warm >= PLENTY or (warm >= ENOUGH and 2 * warm >= active) or warm >= several:
        return "window", f"{there}: what they take up in a period after a moment can be learned and measured", warm
    return "next", f"only {there}, but {several:,} users have two events or more, whose last one can be asked", several


def _of_users(found: Description, target: str) -> Iterator[str]:
    median, (user, share) = found.sizes.per_user.median, found.long_tail.top_user
    if median < 3:
        yield f"Half of the users have {median} event{'s' if median > 1 else ''} or fewer: a history says little."
    if share > 0.1 and found.sizes.users > 10:
        yield f"One user ({user!r}) has {share:.0%} of the events: a person?"
    sessions = found.times.sessions
    if sessions is not None and sessions.single_session_users > 0.5:
        yield f"{sessions.single_session_users:.0%} of the users were there for a single session."
    if target == "next" and (found.times.tied_share or 0) > 0.5:
        yield (
            f"{found.times.tied_share:.0%} of the events share their time with another of the same user: which of them "
            "came next is the order of the file."
        )


def _of_items(found: Description) -> Iterator[str]:
    n_items = found.sizes.items + found.sizes.items_without_events
    if n_items <= SHORTLIST:
        yield f"A shortlist of {SHORTLIST} holds the whole catalogue ({n_items:,}): only its order is to be learned."
    if found.cold_start is not None and found.cold_start.new_item_events > 0.1:
        yield (
            f"{found.cold_start.new_item_events:.0%} of the last fifth of the events are of items that were not there "
            "before: a model trained before cannot know what becomes of them."
        )


def _of_values(found: Description) -> Iterator[str]:
    if found.times.kind == "order":
        yield "Times are only an order, so nothing is told in days."
    if found.ratings is not None and found.ratings.distinct == 1:
        yield "All ratings are equal: they say nothing."
    elif found.ratings is not None:
        yield (
            f"Ratings run from {found.ratings.least:g} to {found.ratings.most:g}, and low ones count as positive too, "
            "unless the setting positive.min_rating draws a line."
        )
    if found.events is not None and len(found.events) > 1:
        yield "Events of all kinds count as positive, unless the setting positive.events chooses some."
    if not found.repeats.filter_seen:
        yield f"{found.repeats.share:.0%} of the events repeat a pair: answers keep seen items."
    if found.repeats.exact_share > 0.01 and found.times.kind != "none":
        yield f"{found.repeats.exact_share:.0%} of the rows repeat an earlier row, time and all."
