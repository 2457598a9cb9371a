"""Deadlines for a person's calendar (RFC 5545): an event that moves when its deadline does."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_LONGEST_LINE = 75
"""Octets (RFC 5545, 3.1)."""


class Deadline(NamedTuple):
    """One deadline."""

    uid: str
    """Stays the same when the deadline moves: the calendar then moves its event."""
    at: datetime
    sequence: int
    """Rises with every later word on the same deadline."""
    summary: str
    description: str
    url: str


def calendar(deadlines: Iterable[Deadline], written_at: datetime) -> str:
    """Write deadlines as a calendar, each with a reminder a day before; instants in UTC."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Forestall//EN", "METHOD:PUBLISH"]
    for deadline in deadlines:
        lines += _event(deadline, written_at)
    return "".join(f"{part}\r\n" for line in (*lines, "END:VCALENDAR") for part in _folded(line))


def _event(deadline: Deadline, written_at: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{_text(deadline.uid)}"
    yield f"SEQUENCE:{deadline.sequence}"
    yield f"DTSTAMP:{_instant(written_at)}"
    yield f"DTSTART:{_instant(deadline.at)}"
    yield f"DTEND:{_instant(deadline.at + timedelta(minutes=30))}"
    yield f"SUMMARY:{_text(deadline.summary)}"
    yield f"DESCRIPTION:{_text(deadline.description)}"
    yield f"URL:{deadline.url}"
    yield "STATUS:CONFIRMED"
    yield "TRANSP:TRANSPARENT"
    yield "BEGIN:VALARM"
    yield "ACTION:DISPLAY"
    yield f"DESCRIPTION:{_text(deadline.summary)}"
    yield "TRIGGER:-P1D"
    yield "END:VALARM"
    yield "END:VEVENT"


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    """Escape a TEXT value (RFC 5545, 3.3.11); what is no printable character becomes a space."""
    escaped = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")
    return "".join(each if each.isprintable() else " " for each in escaped)


def _folded(line: str) -> Iterator[str]:
    """Break a line after at most 75 octets, never within a character."""
    part, room = "", _LONGEST_LINE
    for each in line:
        size = len(each.encode())
        if size > room:
            yield part
            part, room = " ", _LONGEST_LINE - 1
        part += each
        room -= size
    yield part
