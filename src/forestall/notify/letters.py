"""The mails of the process, in the language of the person who gets them (P6.1, P6.3, P8.3, A2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

from forestall.notify.calendar import Deadline, calendar
from forestall.notify.message import Envelope, Sender, Text, message_of, sender_of, tame
from forestall.notify.texts import BODIES, SUBJECTS, WORDS, Letter, column

__all__ = ["Contents", "Letter", "claim_letter", "compose", "later", "trial", "write"]

_MOST_MACHINES = 20
_MOST_FLAWS = 5


@dataclass(frozen=True, slots=True)
class Contents:
    """What a mail says of one update. Several machines of one person are one mail."""

    letter: Letter
    update: str
    machines: tuple[str, ...]
    deadline_at: datetime | None
    minutes: int
    """From a final warning to the removal."""
    link: str
    flaws: tuple[str, ...] = ()
    """The vulnerabilities that the update closes."""
    imminent: bool = False
    event: str = ""
    """Names the deadline in calendars; empty for no calendar entry."""
    sequence: int = 0


def compose(
    contents: Contents, recipient: str, sender: str, language: str, sent_at: datetime
) -> EmailMessage:
    """Write a mail about one update.

    Raises:
        ValueError: an address is none.
    """
    written = write([contents], Envelope(recipient, language, sent_at), sender_of(sender))
    return message_from_bytes(written, _class=EmailMessage, policy=SMTP)


def write(parts: Sequence[Contents], envelope: Envelope, sender: Sender) -> bytes:
    """Write one mail about one or several updates.

    Raises:
        ValueError: the recipient's address is none.
    """
    language = envelope.language
    deadlines = [_deadline(part, language, sender) for part in parts if part.event and part.deadline_at]
    written = calendar(deadlines, envelope.sent_at) if deadlines else ""
    return message_of(
        Text(_subject(parts, language), _paragraphs(parts, language), written), envelope, sender
    )


def claim_letter(machine: str, link: str, envelope: Envelope, sender: Sender) -> bytes:
    """Ask a person whether a machine is theirs, as somebody at it has said."""
    at = column(envelope.language)
    name = tame(machine)
    lines = (
        WORDS["claim_body"][at].format(machine=name),
        f"{WORDS['claim_link'][at]}\n{link}",
        WORDS["footer"][at],
    )
    return message_of(Text(tame(WORDS["claim"][at].format(machine=name), 200), lines), envelope, sender)


def trial(envelope: Envelope, sender: Sender) -> bytes:
    """Write a mail that only shows whether mails arrive."""
    at = column(envelope.language)
    return message_of(
        Text(WORDS["test"][at], (WORDS["test_body"][at], WORDS["footer"][at])), envelope, sender
    )


def _subject(parts: Sequence[Contents], language: str) -> str:
    first, at = parts[0], column(language)
    if len(parts) == 1:
        return tame(SUBJECTS[first.letter][at].format(**_words(first, language)), 200)
    machines = _machines(tuple(dict.fromkeys(name for part in parts for name in part.machines)), 3, language)
    updates = tame(", ".join(part.update for part in parts), 120)
    several = WORDS["several_warned" if first.letter is Letter.FINAL_WARNING else "several"][at]
    return tame(several.format(n=len(parts), updates=updates, machines=machines, minutes=first.minutes), 200)


def _paragraphs(parts: Sequence[Contents], language: str) -> tuple[str, ...]:
    at = column(language)
    paragraphs: list[str] = []
    for part in parts:
        words = _words(part, language)
        if part.imminent:
            paragraphs.append(WORDS["imminent"][at])
        paragraphs += [text.format(**words) for text in BODIES[part.letter][at]]
        if part.letter is Letter.ANNOUNCEMENT and part.machines:
            paragraphs.append(WORDS["machines"][at].format(**words))
    links = dict.fromkeys(part.link for part in parts)
    return *paragraphs, *(f"{WORDS['link'][at]}\n{link}" for link in links), WORDS["footer"][at]


def _words(part: Contents, language: str) -> dict[str, object]:
    at = column(language)
    flaws = ", ".join([*map(tame, part.flaws[:_MOST_FLAWS]), *["…"] * (len(part.flaws) > _MOST_FLAWS)])
    return {
        "update": tame(part.update),
        "machines": _machines(part.machines, _MOST_MACHINES, language),
        "deadline": f"{part.deadline_at:%Y-%m-%d %H:%M} UTC"
        if part.deadline_at
        else WORDS["no_deadline"][at],
        "minutes": part.minutes,
        "flaws": f" ({flaws})" if flaws else "",
    }


def _machines(names: tuple[str, ...], most: int, language: str) -> str:
    shown = ", ".join(tame(name) for name in names[:most])
    if len(names) <= most:
        return shown
    return WORDS["and_more"][column(language)].format(machines=shown, n=len(names) - most)


def _deadline(part: Contents, language: str, sender: Sender) -> Deadline:
    if part.deadline_at is None:
        raise ValueError("a calendar entry needs a deadline")
    summary = WORDS["event"][column(language)].format(update=tame(part.update))
    return Deadline(
        uid=f"{part.event}@{sender.domain}",
        at=part.deadline_at,
        sequence=part.sequence,
        summary=summary,
        description=f"{summary}\n{part.link}",
        url=part.link,
    )


def later(begun_at: datetime, since: datetime) -> int:
    """Count whole minutes: a calendar entry's sequence that rises with every later word."""
    return max(0, (begun_at - since) // timedelta(minutes=1))
