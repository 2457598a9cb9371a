"""Dated observations of one machine against one remediation; a status is derived, never stored (A2)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Witness(StrEnum):
    """Who saw it."""

    AGENT = "agent"
    INVENTORY = "inventory"
    """Our own comparison of a reported inventory with the remediation."""
    PROBE = "probe"
    LOGON = "logon"
    VPN = "vpn"


class Status(StrEnum):
    """How one machine stands against one remediation (A2, A3, A6)."""

    FIXED = "fixed"
    PENDING_RESTART = "pending_restart"
    """Installed, not effective: a process still runs the replaced code."""
    AFFECTED = "affected"
    NOT_AFFECTED = "not_affected"
    UNKNOWN = "unknown"


class Side(StrEnum):
    """Who speaks of a machine: it itself, or who looks from outside (A18)."""

    AGENT = "agent"
    """Its own word: agent, inventory, logon, VPN."""
    PROBE = "probe"


class Evidence(NamedTuple):
    """One observation.

    `observed_at` is when it reached us: a machine's own clock never makes evidence fresher.
    """

    witness: Witness
    status: Status
    observed_at: datetime
    detail: str = ""


CLEAN = frozenset({Status.FIXED, Status.NOT_AFFECTED})
"""Nothing left to do on this machine."""

OUTSIDE = frozenset({Witness.PROBE})
"""Witnesses that do not depend on the machine's own word."""

_WORST_FIRST = (Status.AFFECTED, Status.PENDING_RESTART, Status.FIXED, Status.NOT_AFFECTED)


class Limits(NamedTuple):
    """How long an observation counts."""

    own: timedelta
    """What the machine says of itself (agent, inventory, logon, VPN)."""
    outside: timedelta
    """What a probe saw."""
    ahead: timedelta = timedelta(minutes=5)
    """What is dated further ahead than this was written by a wrong clock and does not count."""


class Verdict(NamedTuple):
    """What the evidence amounts to.

    `as_of` is the instant of the observation that decided; None where nothing fresh was said.
    """

    status: Status
    as_of: datetime | None = None
    conflict: bool = False
    """The two sides contradict each other, so the status is UNKNOWN (A18)."""


NOTHING_KNOWN = Verdict(Status.UNKNOWN)


def judge(
    evidence: Iterable[Evidence],
    now: datetime,
    limits: Limits,
    *,
    disputed: bool = False,
    believed: Side | None = None,
) -> Verdict:
    """Derive the status of one machine from what its witnesses said (A2, A18).

    The newest fresh word wins; a witness that could not tell says nothing. A machine that was affected and is now
    fixed has been mended; one that a newer witness finds affected although the other side called it clean is a
    contradiction, and stays one (`disputed`) while both only repeat themselves. People may say which side is
    `believed` there; where the sides agree that changes nothing.
    """
    own: list[Evidence] = []
    outside: list[Evidence] = []
    for item in evidence:
        beyond = item.witness in OUTSIDE
        age = now - item.observed_at
        counts = -limits.ahead <= age <= (limits.outside if beyond else limits.own)
        if counts and item.status is not Status.UNKNOWN:
            (outside if beyond else own).append(item)
    said, seen = _own_word(own), _newest(outside)
    if said is None or seen is None:
        sole = said or seen
        return NOTHING_KNOWN if sole is None else Verdict(sole.status, sole.observed_at)
    verdict = _weigh(said, seen)
    if not verdict.conflict and not (disputed and _differ(said, seen)):
        return verdict
    if believed is None:
        return Verdict(Status.UNKNOWN, max(said.observed_at, seen.observed_at), conflict=True)
    word = said if believed is Side.AGENT else seen
    return Verdict(word.status, word.observed_at)


def disputed_since(
    before: Iterable[Evidence], after: Iterable[Evidence], at: datetime, since: datetime | None
) -> datetime | None:
    """Say since when the sides contradict each other, after one of them spoke at `at`; None where they do not (A18).

    Who only repeats a word ends no contradiction: an agent that goes on calling itself fixed is not mended by that.
    Words count here however old they are.
    """
    said, seen = _last(after)
    if said is None or seen is None or not _differ(said, seen):
        return None
    if since is not None and (said.status in CLEAN, seen.status in CLEAN) == tuple(
        each is not None and each.status in CLEAN for each in _last(before)
    ):
        return since
    return at if _weigh(said, seen).conflict else None


def _last(evidence: Iterable[Evidence]) -> tuple[Evidence | None, Evidence | None]:
    """Find the last word of the machine and of those who look from outside."""
    known = [each for each in evidence if each.status is not Status.UNKNOWN]
    return (
        _own_word([each for each in known if each.witness not in OUTSIDE]),
        _newest([each for each in known if each.witness in OUTSIDE]),
    )


def _differ(said: Evidence, seen: Evidence) -> bool:
    return (said.status in CLEAN) is not (seen.status in CLEAN)


def _newest(items: list[Evidence]) -> Evidence | None:
    """Find the newest word; of two at the same instant, the worse."""
    if len(items) < 2:
        return items[0] if items else None
    return max(items, key=lambda e: (e.observed_at, -_WORST_FIRST.index(e.status)))


def _own_word(items: list[Evidence]) -> Evidence | None:
    """Find the newest word of the machine; package versions alone never end a pending restart (A6)."""
    newest = _newest(items)
    if newest is None or newest.witness is not Witness.INVENTORY or newest.status not in CLEAN:
        return newest
    running = _newest([e for e in items if e.witness is not Witness.INVENTORY])
    return running if running is not None and running.status is Status.PENDING_RESTART else newest


def _weigh(said: Evidence, seen: Evidence) -> Verdict:
    older, newer = sorted((said, seen), key=lambda e: e.observed_at)
    if older.observed_at == newer.observed_at and newer.status in CLEAN:
        older, newer = newer, older
    if older.status in CLEAN and newer.status not in CLEAN:
        return Verdict(Status.UNKNOWN, newer.observed_at, conflict=True)
    if said.status is Status.PENDING_RESTART and seen.status not in CLEAN:
        return Verdict(Status.PENDING_RESTART, newer.observed_at)
    return Verdict(newer.status, newer.observed_at)
