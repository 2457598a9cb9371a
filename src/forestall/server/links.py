"""Links in mails: each names one message and ends by itself; who changes a letter of it has none."""

import base64
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from forestall.domain.errors import InputError
from forestall.domain.notice import MessageId

VALID_FOR = timedelta(days=90)
PATH = "/m/"
"""Where a person finds the machines that a message is about."""
UPDATE_PATH = "/u/"
"""Where everybody finds what a campaign asks for."""
CLAIM_PATH = "/o/"
"""Where a person confirms that a machine is theirs."""
_KEY_BYTES = 32
_MAC_BYTES = 16
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and reads links with a key that never leaves this server."""

    key: bytes

    def token(self, message: MessageId, written_at: datetime) -> str:
        """Name a message in a link: the same message has the same link."""
        signed = f"{message}.{int((written_at + VALID_FOR).timestamp()):x}"
        return f"{signed}.{self._mac(signed)}"

    def message(self, token: str, now: datetime) -> MessageId | None:
        """Read which message a link names; None where it is not ours or has ended."""
        signed, _, mac = token[:_LONGEST].rpartition(".")
        name, _, until = signed.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(signed).encode()):
            return None
        return MessageId(name) if now < datetime.fromtimestamp(int(until, 16), UTC) else None

    def _mac(self, text: str) -> str:
        digest = hmac.digest(self.key, text.encode(), sha256)[:_MAC_BYTES]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def open_links(directory: Path) -> Links:
    """Read the key of a directory; the first time it is made, readable by nobody else.

    Raises:
        InputError: it cannot be read or made.
    """
    path = directory / "link.key"
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the key of links in mails cannot be kept: {error.strerror}") from error
    if len(key) != _KEY_BYTES:
        raise InputError(f"{path}: is no key of {_KEY_BYTES} bytes; remove it, and links sent before end")
    return Links(key)


def _make(path: Path) -> None:
    """Write a key beside and give it its name whole; where another process was first, its key stays."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(beside)
    finally:
        beside.unlink()
