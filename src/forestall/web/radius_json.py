"""What FreeRADIUS's REST module sends: a password, and a request's attributes as JSON."""

import base64
import binascii
import hmac
from typing import Any

import msgspec
from starlette.requests import Request

_MOST_BYTES = 64 * 1024
_MOST_VALUES = 8
"""Of one attribute; more are nobody's."""


class _Attribute(msgspec.Struct):
    value: list[Any] = msgspec.field(default_factory=list)


def authentic(request: Request, password: str) -> bool:
    """Say whether whoever asks knows the password."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(credential, validate=True) if scheme.lower() == "basic" else b""
    except binascii.Error:
        return False
    return hmac.compare_digest(given.partition(b":")[2], password.encode())


async def attributes(request: Request) -> dict[str, list[str]] | None:
    """Read the attributes of a request as texts; None where the body is too long or is none."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return None
    try:
        given = msgspec.json.decode(bytes(body), type=dict[str, _Attribute])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return {
        name: [str(value)[:300] for value in attribute.value[:_MOST_VALUES]]
        for name, attribute in given.items()
    }
