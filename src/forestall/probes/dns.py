"""DNS: the version that a name server tells when asked for `version.bind` (class CH, type TXT)."""

import re
import struct

from forestall.domain.evidence import Status
from forestall.probes.answer import Answer, Ask, Heard, printable, unknown

_NUMBER = 0x46_53
_QUESTION = b"\x07version\x04bind\x00" + struct.pack(">HH", 16, 3)
_HEADER = struct.Struct(">HHHHHH")
_ANSWER = struct.Struct(">HHHIHB")
_BIND = re.compile(r"(9\.[0-9][0-9.]*)(?:-([A-Za-z0-9.+~]+))?(?:-Debian)?")
_DNSMASQ = re.compile(r"dnsmasq-([0-9][0-9.]*)")


def version(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Ask a name server what it is."""
    if not heard:
        return Ask(_HEADER.pack(_NUMBER, 0, 1, 0, 0, 0) + _QUESTION, lambda data: len(data) >= _HEADER.size)
    data = heard[0].data
    if not data:
        return unknown("nobody answers DNS there")
    told = _text(data)
    if told is None:
        return unknown("the name server does not tell its version", data[:60])
    if dnsmasq := _DNSMASQ.fullmatch(told):
        return _told("dnsmasq", dnsmasq[1], told)
    if bind := _BIND.fullmatch(told):
        return _told("bind9", f"{bind[1]}-{bind[2]}" if bind[2] else bind[1], told)
    return unknown("the name server is neither BIND nor dnsmasq, or hides what it is", told.encode())


def _told(package: str, found: str, proof: str) -> Answer:
    return Answer(Status.UNKNOWN, f"{package} {found}", printable(proof.encode()), package, found)


def _text(data: bytes) -> str | None:
    """Take the first string of the first answer record; None where there is none."""
    if len(data) < _HEADER.size:
        return None
    number, flags, questions, answers, *_ = _HEADER.unpack(data[: _HEADER.size])
    replied = flags >> 15 == 1 and flags & 0xF == 0
    if number != _NUMBER or not replied or questions != 1 or not answers:
        return None
    rest = data[_HEADER.size :]
    if rest[: len(_QUESTION)].lower() != _QUESTION:
        return None
    rest = rest[len(_QUESTION) :]
    # The record's name: a pointer to the question's, or the same name again.
    name = _QUESTION[:-4]
    if rest[: len(name)].lower() == name:
        rest = b"\xc0\x0c" + rest[len(name) :]
    if len(rest) < _ANSWER.size:
        return None
    _, kind, kin, _, _, length = _ANSWER.unpack(rest[: _ANSWER.size])
    if (kind, kin) != (16, 3):
        return None
    return rest[_ANSWER.size : _ANSWER.size + length].decode("ascii", "replace")
