"""What the ledger can record, and the chain that makes a changed or missing entry visible (A12)."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)

GENESIS = "0" * 64
"""What the first entry names as its predecessor."""


class EventKind(StrEnum):
    """Everything that can be written."""

    FEED_LOADED = "feed_loaded"
    FEED_REFUSED = "feed_refused"
    TOKEN_MADE = "token_made"  # noqa: S105 - a kind of event, not a secret
    DEVICE_ENROLLED = "device_enrolled"
    DEVICE_VOIDED = "device_voided"
    """No certificate of it counts any more: revoked, or two machines had it."""
    RATED = "rated"
    CAMPAIGN_STARTED = "campaign_started"
    ENLISTED = "enlisted"
    PHASE_CHANGED = "phase_changed"
    DEADLINE_MOVED = "deadline_moved"
    RING_CHANGED = "ring_changed"
    """A machine was put on a ring's list, or taken off it."""
    RING_OPENED = "ring_opened"
    COMPLAINED = "complained"
    """A person says that a patch broke something."""
    HALTED = "halted"
    RESUMED = "resumed"
    EXEMPTED = "exempted"
    BELIEVED = "believed"
    """One side of a disagreement is believed for a while, or no longer (A18)."""
    HELPED = "helped"
    """A person opened a help-desk case."""
    CLAIMED = "claimed"
    """Somebody at a machine says whose it is; the person named is asked by mail."""
    OWNED = "owned"
    """Whose a machine is: a person confirmed it, or says that it is not theirs."""
    PROTECTED = "protected"
    ASKED = "asked"
    APPROVED = "approved"
    STATUS_CHANGED = "status_changed"
    INTENDED = "intended"
    HELD = "held"
    DONE = "done"
    REFUSED = "refused"
    PORT_READ = "port_read"
    ORDER_REFUSED = "order_refused"
    RESTORED = "restored"
    REPLAYED = "replayed"
    JOINED = "joined"
    """Two machines that were known apart are one."""
    MOVED = "moved"
    """A removed machine was seen at another port."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: who did what to whom, and why. `rule` is a row's name in `plan.RULES`."""

    kind: EventKind
    actor: str
    subject: str
    """What it happened to: a device, a campaign, a feed."""
    campaign: str = ""
    rule: str = ""
    paragraph: str = ""
    body: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in its place in the chain."""

    sequence: int
    """From 1, without gaps."""
    at: datetime
    event: Event
    previous: str
    hash: str


def entry_hash(sequence: int, at: datetime, event: Event, previous: str) -> str:
    """Hash an entry together with its predecessor's hash: SHA-256 over canonical JSON, hexadecimal."""
    return _hash(sequence, _written(at), event, previous)


def chain(events: Iterable[Event], at: datetime, after: int, head: str) -> list[Entry]:
    """Put events behind the entry number `after`, whose hash is `head`."""
    entries: list[Entry] = []
    written = _written(at)
    for number, event in enumerate(events, start=after + 1):
        digest = _hash(number, written, event, head)
        entries.append(Entry(number, at, event, head, digest))
        head = digest
    return entries


def _written(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _hash(sequence: int, at: str, event: Event, previous: str) -> str:
    content = [
        sequence, at, event.kind, event.actor, event.subject, event.campaign, event.rule, event.paragraph,
        event.body, previous,
    ]  # fmt: skip
    return hashlib.sha256(_CANONICAL.encode(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry at some time, kept elsewhere: whoever holds one notices a ledger that was cut short."""

    sequence: int
    hash: str


EMPTY = Head(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Flaw:
    """Where a ledger is not what it was."""

    sequence: int
    why: str


def verify(entries: Iterable[Entry], heads: Iterable[Head] = ()) -> Flaw | None:
    """Check a whole ledger, from its first entry, against itself and against heads kept elsewhere.

    Returns the first flaw, None where there is none.
    """
    kept: dict[int, set[str]] = {}
    for head in heads:
        kept.setdefault(head.sequence, set()).add(head.hash)
    last = EMPTY
    for entry in entries:
        if entry.sequence != last.sequence + 1:
            return Flaw(last.sequence + 1, f"missing: the next entry is {entry.sequence}")
        if entry.previous != last.hash:
            return Flaw(entry.sequence, "does not follow the entry before it")
        if entry.hash != entry_hash(entry.sequence, entry.at, entry.event, entry.previous):
            return Flaw(entry.sequence, "was changed: its content does not give its hash")
        if kept.pop(entry.sequence, {entry.hash}) != {entry.hash}:
            return Flaw(entry.sequence, "is not the entry whose hash was kept elsewhere")
        last = Head(entry.sequence, entry.hash)
    beyond = [sequence for sequence in kept if sequence > last.sequence]
    if beyond:
        return Flaw(last.sequence + 1, f"cut off: a head kept elsewhere names entry {max(beyond)}")
    return None
