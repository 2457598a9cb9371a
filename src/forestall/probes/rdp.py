"""Remote Desktop (MS-RDPBCGR 2.2.1): which security layer a server insists on, before anybody logs on.

This tells how exposed a server is, not whether it is patched: with network level authentication nobody reaches the
flaws before a logon without an account.
"""

import struct

from forestall.domain.evidence import Status
from forestall.probes.answer import Answer, Ask, Heard, printable, unknown

_STANDARD = 0
_FAILURES = {
    1: "TLS is required",
    5: "network level authentication is required",
    6: "TLS with user authentication is required",
}


def security_layer(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Ask for the oldest security layer and see whether the server insists on more."""
    if not heard:
        return Ask(_request(_STANDARD), lambda data: len(data) >= 4 and len(data) >= _length(data))
    data = heard[0].data
    if len(data) < 7 or data[0] != 3 or data[5] & 0xF0 != 0xD0:
        return unknown("what listens there does not speak Remote Desktop", data[:40])
    if len(data) < 19:
        return _said("the server takes connections with the oldest security", data)
    kind, code = data[11], int.from_bytes(data[15:19], "little")
    if kind == 3:
        return _said(_FAILURES.get(code, f"the server refuses with code {code}"), data)
    if kind == 2 and code == _STANDARD:
        return _said("the server takes connections with the oldest security", data)
    return unknown("the server's answer cannot be read", data[:40])


def _said(detail: str, data: bytes) -> Answer:
    return Answer(Status.UNKNOWN, detail, printable(data[:19]))


def _request(protocols: int) -> bytes:
    """Make an X.224 connection request with an RDP negotiation request in a TPKT packet."""
    negotiation = struct.pack("<BBHI", 1, 0, 8, protocols)
    connection = struct.pack(">BBHHB", 6 + len(negotiation), 0xE0, 0, 0, 0) + negotiation
    return struct.pack(">BBH", 3, 0, 4 + len(connection)) + connection


def _length(data: bytes) -> int:
    return int.from_bytes(data[2:4])
