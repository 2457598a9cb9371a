"""Mails that came back (RFC 3464): only which message, and that it failed, is believed; nothing else in them is."""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path
from typing import NamedTuple

from forestall.domain.errors import InputError
from forestall.domain.notice import MessageId, address_of

MOST_BYTES = 1_048_576
"""More of one message is not read: what is looked for stands in front."""
_MOST_PARTS = 50
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_MESSAGE_ID = re.compile(r"<([0-9a-f]{32})@([a-z0-9.-]{1,255})>")


class Bounce(NamedTuple):
    """A message of ours did not reach somebody."""

    message: MessageId
    recipient: str
    status: str
    """`5.1.1` for example (RFC 3463)."""


def read_bounce(content: bytes, domain: str) -> Bounce | None:
    """Read a delivery status notification about a message of ours; None for all other mail.

    Delays and successes are no bounces.
    """
    report = message_from_bytes(content[:MOST_BYTES], _class=EmailMessage, policy=default)
    if report.get_content_type() != "multipart/report":
        return None
    parts = _parts(report)
    failed = next(filter(None, map(_failed, parts)), None)
    name = next(filter(None, (_name(part, domain) for part in parts)), None)
    if failed is None or name is None:
        return None
    recipient, status = failed
    return Bounce(name, recipient, status)


def messages_in(path: Path) -> Iterator[tuple[Path, bytes]]:
    """Read the new messages of a Maildir, each with its file.

    Raises:
        InputError: it is no Maildir.
    """
    new = path / "new"
    if not new.is_dir():
        raise InputError(f"{path}: is no Maildir: there is no directory {new}")
    for file in sorted(new.iterdir()):
        if file.is_file():
            with file.open("rb") as opened:
                yield file, opened.read(MOST_BYTES)


def messages_of(content: bytes) -> list[bytes]:
    """Split what was piped in: an mbox file into its messages (RFC 4155), all else as the one message that it is."""
    if not content.startswith(b"From "):
        return [content]
    return [part.partition(b"\n")[2] for part in re.split(rb"(?:\A|\n\n)(?=From )", content) if part.strip()]


def put_away(file: Path) -> None:
    """Mark a message of a Maildir as read."""
    file.rename(file.parent.parent / "cur" / f"{file.name.partition(':')[0]}:2,S")


def _parts(report: Message) -> list[Message]:
    found = []
    for part in report.walk():
        found.append(part)
        if len(found) == _MOST_PARTS:
            break
    return found


def _failed(part: Message) -> tuple[str, str] | None:
    """Find the first recipient that a status part says has failed."""
    if part.get_content_type() != "message/delivery-status":
        return None
    blocks = part.get_payload()
    for block in blocks if isinstance(blocks, list) else []:
        if not isinstance(block, Message) or str(block.get("Action", "")).strip().lower() != "failed":
            continue
        said = str(block.get("Original-Recipient") or block.get("Final-Recipient") or "")
        status = _STATUS.search(str(block.get("Status", "")))
        return address_of(said.rpartition(";")[2]), status.group() if status else "unknown"
    return None


def _name(part: Message, domain: str) -> MessageId | None:
    """Find our Message-ID in the returned message or its headers."""
    if part.get_content_type() == "text/rfc822-headers":
        headers = part.get_payload(decode=True)
        text = headers.decode("ascii", "replace") if isinstance(headers, bytes) else ""
    elif part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        returned = inner[0] if isinstance(inner, list) and inner else None
        text = f"Message-ID: {returned.get('Message-ID', '')}" if isinstance(returned, Message) else ""
    else:
        return None
    line = re.search(r"^Message-ID:\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    found = _MESSAGE_ID.fullmatch(line.group(1)) if line else None
    return MessageId(found.group(1)) if found and found.group(2) == domain.lower() else None
