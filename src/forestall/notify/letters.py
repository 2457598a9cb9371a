"""The mails of the process, in the language of the person who gets them (P6.1, P6.3, P8.3, A2).

Names come from outside: they lose what does not print, and what a mail program would make a link of. The modern
message class encodes what is not ASCII and refuses line breaks in headers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

from forestall.notify.calendar import Deadline, calendar
from forestall.notify.texts import BODIES, SUBJECTS, WORDS, Letter, column

__all__ = ["Contents", "Envelope", "Letter", "Sender", "compose", "tame", "trial", "write"]

_LONGEST_NAME = 80
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


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes."""

    address: Address
    list_id: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """To whom, when, and under which name: the same name is the same message."""

    recipient: str
    language: str
    sent_at: datetime
    name: str = ""
    message: str = ""
    """The part of the Message-ID before the @."""


@dataclass(slots=True)
class _Body:
    """Paragraphs and a link, to be written as plain text and as HTML."""

    paragraphs: list[str] = field(default_factory=list[str])

    def plain(self) -> str:
        return "\n\n".join(self.paragraphs) + "\n"

    def html(self, language: str, title: str) -> str:
        inner = "\n".join(f"<p>{_linked(each)}</p>" for each in self.paragraphs)
        return (
            f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
            f"<title>{escape(title)}</title></head>\n"
            f'<body style="font: 16px/1.5 sans-serif; max-width: 40em">\n{inner}\n</body></html>\n'
        )


def compose(
    contents: Contents, recipient: str, sender: str, language: str, sent_at: datetime
) -> EmailMessage:
    """Write a mail about one update.

    Raises:
        ValueError: an address is none.
    """
    return write([contents], Envelope(recipient, language, sent_at), Sender(address_header(sender)))


def write(parts: Sequence[Contents], envelope: Envelope, sender: Sender) -> EmailMessage:
    """Write one mail about one or several updates, all of the same kind.

    Raises:
        ValueError: the recipient's address is none.
    """
    subject, body = _subject(parts, envelope.language), _body(parts, envelope.language)
    message = _message(subject, body, envelope, sender)
    deadlines = [
        _deadline(part, envelope.language, sender) for part in parts if part.event and part.deadline_at
    ]
    if deadlines:
        text = calendar(deadlines, envelope.sent_at)
        message.add_attachment(
            text, subtype="calendar", filename="deadline.ics", params={"method": "PUBLISH"}
        )
    return message


def trial(envelope: Envelope, sender: Sender) -> EmailMessage:
    """Write a mail that only shows whether mails arrive."""
    at = column(envelope.language)
    return _message(WORDS["test"][at], _Body([WORDS["test_body"][at], WORDS["footer"][at]]), envelope, sender)


def address_header(text: str) -> Address:
    """Read `Name <address>` or an address.

    Raises:
        ValueError: it is none.
    """
    name, bracket, rest = text.strip().rpartition("<")
    address = rest.removesuffix(">") if bracket and rest.endswith(">") else text.strip()
    return Address(display_name=tame(name.strip().strip('"')) if bracket else "", addr_spec=address)


def tame(text: str, longest: int = _LONGEST_NAME) -> str:
    """Make a name from outside harmless: printable, on one line, no address that a mail program would open."""
    printable = "".join(each if each.isprintable() else " " for each in text).replace("://", ":")
    one_line = " ".join(printable.split())
    return one_line if len(one_line) <= longest else f"{one_line[: longest - 1]}…"


def _message(subject: str, body: _Body, envelope: Envelope, sender: Sender) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender.address
    message["To"] = Address(display_name=tame(envelope.name), addr_spec=envelope.recipient)
    message["Date"] = envelope.sent_at
    message["Subject"] = subject
    if envelope.message:
        message["Message-ID"] = f"<{envelope.message}@{sender.address.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if sender.list_id:
        message["List-Id"] = f"<{sender.list_id}>"
    message["Content-Language"] = envelope.language
    message.set_content(body.plain(), cte="quoted-printable" if envelope.language == "en" else "base64")
    message.add_alternative(body.html(envelope.language, subject), subtype="html")
    return message


def _subject(parts: Sequence[Contents], language: str) -> str:
    first, at = parts[0], column(language)
    if len(parts) == 1:
        return tame(SUBJECTS[first.letter][at].format(**_words(first, language)), 200)
    machines = _machines(tuple(dict.fromkeys(name for part in parts for name in part.machines)), 3, language)
    updates = tame(", ".join(part.update for part in parts), 120)
    several = WORDS["several_warned" if first.letter is Letter.FINAL_WARNING else "several"][at]
    return tame(several.format(n=len(parts), updates=updates, machines=machines, minutes=first.minutes), 200)


def _body(parts: Sequence[Contents], language: str) -> _Body:
    at, body = column(language), _Body()
    for part in parts:
        words = _words(part, language)
        if part.imminent:
            body.paragraphs.append(WORDS["imminent"][at])
        body.paragraphs += [text.format(**words) for text in BODIES[part.letter][at]]
        if part.letter is Letter.ANNOUNCEMENT and part.machines:
            body.paragraphs.append(WORDS["machines"][at].format(**words))
    for link in dict.fromkeys(part.link for part in parts):
        body.paragraphs.append(f"{WORDS['link'][at]}\n{link}")
    body.paragraphs.append(WORDS["footer"][at])
    return body


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
        uid=f"{part.event}@{sender.address.domain}",
        at=part.deadline_at,
        sequence=part.sequence,
        summary=summary,
        description=f"{summary}\n{part.link}",
        url=part.link,
    )


def _linked(paragraph: str) -> str:
    """Escape a paragraph; its last line becomes a link where it is one of ours."""
    text, _, last = paragraph.rpartition("\n")
    if not last.startswith(("https://", "http://")):
        return escape(paragraph)
    return f'{escape(text)}<br><a href="{escape(last)}">{escape(last)}</a>'


def later(begun_at: datetime, since: datetime) -> int:
    """Count whole minutes: a calendar entry's sequence that rises with every later word."""
    return max(0, (begun_at - since) // timedelta(minutes=1))
