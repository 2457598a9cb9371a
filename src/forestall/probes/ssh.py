"""SSH (RFC 4253): the banner, and the list of key exchanges that a server offers before anybody logs on."""

import re
import struct

from forestall.domain.evidence import Status
from forestall.probes.answer import Answer, Ask, Ended, Heard, printable, unknown

HELLO = b"SSH-2.0-forestall\r\n"
STRICT = "kex-strict-s-v00@openssh.com"
_KEXINIT = 20
_LONGEST_PACKET = 35_000
_BANNER = re.compile(rb"^SSH-(?:2\.0|1\.99)-([\x21-\x7e]+)(?: ([\x20-\x7e]*))?\r?$", re.MULTILINE)
_OPENSSH = re.compile(r"OpenSSH_([0-9][0-9.]*p[0-9]+)")
_DEBIAN = re.compile(r"Debian-([A-Za-z0-9.+~]+)")


def banner(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Read the version of the openssh package from the banner; Debian tells its revision there."""
    if not heard:
        return Ask(b"", _has_banner)
    found = _BANNER.search(heard[0].data)
    if found is None:
        return _no_banner(heard[0])
    software, comment = found[1].decode(), (found[2] or b"").decode()
    openssh, debian = _OPENSSH.fullmatch(software), _DEBIAN.match(comment)
    proof = printable(found[0])
    if openssh is None:
        return unknown(f"the SSH server is {printable(found[1])}, not OpenSSH", found[0])
    if debian is None:
        return unknown(f"{software} does not tell a Debian revision", found[0])
    version = f"{openssh[1]}-{debian[1]}"
    return Answer(Status.UNKNOWN, f"openssh {version}", proof, "openssh", version)


def strict_exchange(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Tell whether the prefix of an encrypted session can be cut off (Terrapin, CVE-2023-48795)."""
    if not heard:
        return Ask(b"", _has_banner)
    data = b"".join(each.data for each in heard)
    if _BANNER.search(data) is None:
        return _no_banner(heard[0])
    if len(heard) == 1:
        return Ask(HELLO, lambda more: _key_exchange(data + more) is not None)
    payload = _key_exchange(data)
    if payload is None:
        return unknown("the SSH server does not say which key exchanges it offers", data[-60:])
    lists = _name_lists(payload)
    if lists is None:
        return unknown("the SSH server's offer of key exchanges cannot be read", payload)
    return _judge(lists)


def _judge(lists: list[list[str]]) -> Answer:
    exchanges, ciphers, macs = lists[0], {*lists[2], *lists[3]}, {*lists[4], *lists[5]}
    open_cipher = "chacha20-poly1305@openssh.com" in ciphers or (
        any(cipher.endswith("-cbc") for cipher in ciphers) and any("-etm@" in mac for mac in macs)
    )
    proof = printable(",".join(exchanges[-3:]).encode())
    if STRICT in exchanges:
        return Answer(Status.FIXED, "the server offers strict key exchange", proof)
    if open_cipher:
        return Answer(
            Status.AFFECTED, "no strict key exchange, and a cipher is offered that the attack works on", proof
        )
    return Answer(Status.NOT_AFFECTED, "no cipher is offered that the attack works on", proof)


def _has_banner(data: bytes) -> bool:
    return any(line.startswith(b"SSH-") for line in data.split(b"\n")[:-1])


def _no_banner(heard: Heard) -> Answer:
    said = "sent too much before" if heard.ended is Ended.FULL else "is no SSH server that sends"
    return unknown(f"what listens there {said} a banner", heard.data[:80])


def _key_exchange(data: bytes) -> bytes | None:
    """Take the payload of the packet behind the banner, None while it is not complete or is none."""
    found = _BANNER.search(data)
    if found is None:
        return None
    packet = data[found.end() :].lstrip(b"\n")
    if len(packet) < 6:
        return None
    length, padding, kind = struct.unpack(">IBB", packet[:6])
    if kind != _KEXINIT or not padding + 18 < length <= _LONGEST_PACKET or len(packet) < 4 + length:
        return None
    return packet[5 : 4 + length - padding]


def _name_lists(payload: bytes) -> list[list[str]] | None:
    """Read the ten name-lists behind the message number and the cookie."""
    lists, rest = list[list[str]](), payload[17:]
    for _ in range(10):
        if len(rest) < 4:
            return None
        (length,) = struct.unpack(">I", rest[:4])
        if length > len(rest) - 4:
            return None
        lists.append(rest[4 : 4 + length].decode("ascii", "replace").split(","))
        rest = rest[4 + length :]
    return lists
