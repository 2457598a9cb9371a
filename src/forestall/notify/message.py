"""Puts a mail together: plain text, the same as HTML, a calendar entry, and headers that machines understand.

Names come from outside: they lose what does not print, and what a mail program would make a link of. The modern
message class encodes what is not ASCII and refuses line breaks in headers.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import lru_cache
from html import escape

from forestall.domain.notice import address_of

_LONGEST_NAME = 80
_LIVE = re.compile(r"=\?+|:/+")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """The right-hand side of our Message-IDs."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Envelope:
    """To whom, when, and under which name: the same name is the same message."""

    recipient: str
    language: str
    sent_at: datetime
    name: str = ""
    message: str = ""
    """The part of the Message-ID before the @."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a mail says; of a paragraph's lines the last may be a link."""

    subject: str
    paragraphs: tuple[str, ...]
    calendar: str = ""


def message_of(text: Text, envelope: Envelope, sender: Sender) -> bytes:
    """Put a mail together, ready to be handed over.

    Raises:
        ValueError: the recipient's address is none.
    """
    own = EmailMessage(policy=SMTP)
    own["To"] = Address(display_name=tame(envelope.name), addr_spec=envelope.recipient)
    if envelope.message:
        own["Message-ID"] = f"<{envelope.message}@{sender.domain}>"
    head = own.as_bytes().removesuffix(b"\r\n")
    return head + _common(text, envelope.language, envelope.sent_at, sender)


def sender_of(text: str) -> Sender:
    """Read `Name <address>` or an address.

    Raises:
        ValueError: it is none.
    """
    name, bracket, rest = text.strip().rpartition("<")
    address = address_of(rest.removesuffix(">") if bracket and rest.endswith(">") else text)
    if not address:
        raise ValueError(f"“{text[:80]}” is no mail address")
    return Sender(tame(name.strip().strip('"')) if bracket else "", address)


def tame(text: str, longest: int = _LONGEST_NAME) -> str:
    """Make a name from outside harmless: printable, on one line, no address that a mail program would open.

    Nor anything that looks like an encoded word (RFC 2047): the message class decodes those, line breaks and all.
    """
    printable = "".join(each if each.isprintable() else " " for each in text[: 10 * longest])
    one_line = " ".join(_LIVE.sub(lambda found: found.group()[0], printable).split())
    return one_line if len(one_line) <= longest else f"{one_line[: longest - 1]}…"


@lru_cache(maxsize=64)
def _common(text: Text, language: str, sent_at: datetime, sender: Sender) -> bytes:
    """Write what is the same for many people, which is most of a mail and most of the work."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(display_name=sender.name, addr_spec=sender.address)
    message["Date"] = sent_at
    message["Subject"] = text.subject
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["List-Id"] = f"<forestall.{sender.domain}>"
    message.set_content("\n\n".join(text.paragraphs) + "\n", cte=_encoding(*text.paragraphs))
    html = _html(text, language)
    message.add_alternative(html, subtype="html", cte=_encoding(html))
    if text.calendar:
        message.add_attachment(
            text.calendar,
            subtype="calendar",
            cte=_encoding(text.calendar),
            filename="deadline.ics",
            params={"method": "PUBLISH"},
        )
    message["Content-Language"] = language  # last: making parts moves what is called Content- into them
    return message.as_bytes()


def _encoding(*texts: str) -> str:
    """Pick an encoding that every mail server passes on, whatever it can."""
    return "quoted-printable" if all(text.isascii() for text in texts) else "base64"


def _html(text: Text, language: str) -> str:
    paragraphs = "\n".join(f"<p>{_linked(each)}</p>" for each in text.paragraphs)
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f"<title>{escape(text.subject)}</title></head>\n"
        f'<body style="font: 16px/1.5 sans-serif; max-width: 40em">\n{paragraphs}\n</body></html>\n'
    )


def _linked(paragraph: str) -> str:
    """Escape a paragraph; its last line becomes a link where it is one."""
    before, _, last = paragraph.rpartition("\n")
    if not last.startswith(("https://", "http://")):
        return escape(paragraph)
    return f'{escape(before)}<br><a href="{escape(last)}">{escape(last)}</a>'
