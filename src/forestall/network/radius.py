"""RADIUS packets for dynamic authorization (RFC 5176): written, signed, and answers checked. Standard library only.

The protocol signs with MD5, whatever one thinks of it: keep it on a closed management network. Every request carries a
Message-Authenticator; few devices answer with one (RFC 5176 leaves it free), but a wrong one is no answer.
"""

import hashlib
import hmac
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

_HEADER = struct.Struct("!BBH16s")
_LONGEST = 4096
_MESSAGE_AUTHENTICATOR = 80


class Code(IntEnum):
    """Which packet."""

    DISCONNECT_REQUEST = 40
    DISCONNECT_ACK = 41
    DISCONNECT_NAK = 42
    COA_REQUEST = 43
    COA_ACK = 44
    COA_NAK = 45


class Kind(IntEnum):
    """The attributes that are used."""

    USER_NAME = 1
    NAS_IDENTIFIER = 32
    CALLING_STATION_ID = 31
    EVENT_TIMESTAMP = 55
    TUNNEL_TYPE = 64
    TUNNEL_MEDIUM_TYPE = 65
    TUNNEL_PRIVATE_GROUP_ID = 81
    ERROR_CAUSE = 101


Attribute = tuple[int, bytes]

CAUSES = {
    201: "residual session context removed",
    401: "unsupported attribute",
    402: "missing attribute",
    403: "NAS identification mismatch",
    404: "invalid request",
    501: "administratively prohibited",
    503: "no such session",
    506: "resources unavailable",
}
"""Error-Cause values (RFC 5176, section 3.5), in words."""
NO_SESSION = 503


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose signature is right."""

    code: int
    attributes: tuple[Attribute, ...]

    @property
    def cause(self) -> int:
        """Error-Cause; 0 where none was given."""
        given = next(
            (value for kind, value in self.attributes if kind == Kind.ERROR_CAUSE and len(value) == 4), b""
        )
        return int.from_bytes(given)


def request(code: Code, attributes: Sequence[Attribute], secret: bytes) -> bytes:
    """Write a signed request."""
    body = _written([*attributes, (_MESSAGE_AUTHENTICATOR, bytes(16))])
    identifier = secrets.randbelow(256)
    head = _HEADER.pack(code, identifier, _HEADER.size + len(body), bytes(16))
    body = body[:-16] + hmac.digest(secret, head + body, "md5")
    return _HEADER.pack(code, identifier, _HEADER.size + len(body), _md5(head + body + secret)) + body


def reply(packet: bytes, asked: bytes, secret: bytes) -> Reply | None:
    """Check an answer against its request; None for one that nobody with the secret sent."""
    if not _HEADER.size <= len(packet) <= _LONGEST:
        return None
    code, identifier, length, signature = _HEADER.unpack_from(packet)
    if identifier != asked[1] or not _HEADER.size <= length <= len(packet):
        return None
    body = packet[_HEADER.size : length]
    head = packet[:4] + asked[4:20]
    attributes = _read(body)
    if attributes is None or not hmac.compare_digest(_md5(head + body + secret), signature):
        return None
    given = [value for kind, value in attributes if kind == _MESSAGE_AUTHENTICATOR]
    right = hmac.digest(secret, head + _blanked(body), "md5")
    if any(not hmac.compare_digest(right, each) for each in given):
        return None
    return Reply(code, tuple(attributes))


def _written(attributes: Sequence[Attribute]) -> bytes:
    return b"".join(struct.pack("!BB", kind, len(value) + 2) + value for kind, value in attributes)


def _read(body: bytes) -> list[Attribute] | None:
    found: list[Attribute] = []
    at = 0
    while at < len(body):
        length = body[at + 1] if at + 1 < len(body) else 0
        if length < 2 or at + length > len(body):
            return None
        found.append((body[at], body[at + 2 : at + length]))
        at += length
    return found


def _blanked(body: bytes) -> bytes:
    """Put zeros where the Message-Authenticator stands: that is how it was computed."""
    return _written([(k, bytes(16) if k == _MESSAGE_AUTHENTICATOR else v) for k, v in _read(body) or []])


def _md5(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).digest()
