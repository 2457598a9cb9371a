"""A mailbox of our own: one file that any mail program opens. The default where no mail server is connected."""

from collections.abc import Iterable
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path


def deliver(path: Path, messages: Iterable[EmailMessage], at: datetime) -> int:
    """Append messages to an mbox file (RFC 4155) and return how many there were."""
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    separator = f"From forestall {at:%a %b %d %H:%M:%S %Y}\n".encode()
    with path.open("ab") as file:
        for message in messages:
            text = message.as_bytes().replace(b"\r\n", b"\n").replace(b"\nFrom ", b"\n>From ")
            file.write(separator + text + b"\n\n")
            count += 1
    return count
