"""Squid's Internet Cache Protocol (RFC 2186): one question for an impossible address.

Unpatched, Squid answers with the address taken from memory it has already freed (CVE-2026-33526); patched, it
answers with the address that was asked for.
"""

import struct

from forestall.domain.evidence import Status
from forestall.probes.answer import Answer, Ask, Heard, unknown

_URL = b"probe test"
_ECHOED = b"probe%20test"
_QUERY, _ERROR = 1, 4
_HEADER = struct.Struct(">BBHIIII")
_NUMBER = 0x46_53


def freed_memory(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Ask for an address with a space in it and look at what comes back."""
    if not heard:
        return Ask(_query(), lambda data: len(data) >= _HEADER.size)
    data = heard[0].data
    if not data:
        return unknown("nobody answers ICP there")
    if not _is_ours(data):
        return unknown("the answer is not ICP's, or to another question", data)
    if data[0] != _ERROR:
        return unknown(f"Squid answers with ICP's opcode {data[0]}: it does not serve us", data)
    echoed = data[_HEADER.size :].rstrip(b"\x00")
    if echoed in {_URL, _ECHOED}:
        return Answer(Status.FIXED, "the answer names the address that was asked for", echoed.decode())
    # What came is another's memory: how much of it is kept, not what it says.
    return Answer(
        Status.AFFECTED,
        "the answer names bytes of freed memory in the place of the address",
        f"{len(echoed)} bytes that nobody sent",
    )


def _is_ours(data: bytes) -> bool:
    return len(data) >= _HEADER.size and _HEADER.unpack(data[: _HEADER.size])[2:4] == (len(data), _NUMBER)


def _query() -> bytes:
    content = bytes(4) + _URL + b"\x00"
    return _HEADER.pack(_QUERY, 2, _HEADER.size + len(content), _NUMBER, 0, 0, 0) + content
