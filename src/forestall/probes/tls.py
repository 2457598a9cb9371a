"""TLS: the versions a server offers, the age of its certificate, and whether it bleeds (CVE-2014-0160)."""

import hashlib
import struct
from datetime import UTC, datetime

from forestall.domain.evidence import Status
from forestall.probes.answer import Answer, Ask, Ended, Heard, unknown

_VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_ALERT, _HANDSHAKE, _HEARTBEAT = 21, 22, 24
_SERVER_HELLO, _CERTIFICATE, _HELLO_DONE = 2, 11, 14
_BEAT_EXTENSION = struct.pack(">HHB", 15, 1, 1)
_LONGEST_RECORD = 2**14 + 2048
_SUITES = (
    0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014,
    0x009C, 0x009D, 0x002F, 0x0035, 0x0033, 0x0039, 0x000A,
)  # fmt: skip


def versions(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Offer one version after the other, each on a connection of its own. SSL 3.0 is POODLE (CVE-2014-3566)."""
    asked = list(_VERSIONS)
    if len(heard) < len(asked):
        return Ask(_client_hello(asked[len(heard)]), _has_record, fresh=True)
    replies = [_reply(each.data) for each in heard]
    if not any(replies):
        return unknown("what listens there does not speak TLS", heard[-1].data[:40])
    taken = [version for version, reply in zip(asked, replies, strict=True) if reply == version]
    offered = ", ".join(_VERSIONS[version] for version in taken) or "no version that was asked for"
    if asked[0] in taken:
        return Answer(Status.AFFECTED, f"the server takes SSL 3.0; it offers {offered}", offered)
    if replies[0] is None and heard[0].ended is Ended.SILENT:
        return unknown(f"no answer to SSL 3.0; the server offers {offered}")
    return Answer(Status.FIXED, f"SSL 3.0 is refused; the server offers {offered}", offered)


def certificate(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Read the server's certificate: until when it is valid, and its fingerprint."""
    if not heard:
        return Ask(_client_hello(0x0303), _is_certificate_there)
    chain = _message(_split(heard[0].data), _CERTIFICATE)
    if chain is None or len(chain) < 11:
        refuses = _reply(heard[0].data) is not None
        said = "takes TLS 1.3 only, which hides it" if refuses else "does not speak TLS"
        return unknown(f"the certificate cannot be read: what listens there {said}", heard[0].data[:20])
    der = chain[10 : 10 + int.from_bytes(chain[7:10])]
    ends_at = _valid_until(der)
    until = f"valid until {ends_at:%Y-%m-%d}" if ends_at else "its validity cannot be read"
    return Answer(Status.UNKNOWN, f"the certificate: {until}", f"SHA-256 {hashlib.sha256(der).hexdigest()}")


def heartbleed(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Send a heartbeat that claims 16 bytes more than it has; whoever bleeds sends them back.

    The goodbye behind it makes the server answer or hang up: silence proves nothing.
    """
    if not heard:
        return Ask(_client_hello(0x0303, _BEAT_EXTENSION), _is_hello_over)
    records = _split(heard[0].data)
    hello = _message(records, _SERVER_HELLO)
    if hello is None:
        return unknown("what listens there does not greet with TLS 1.2 or older", heard[0].data[:20])
    if _BEAT_EXTENSION[:4] not in hello:
        return Answer(Status.NOT_AFFECTED, "the server offers no heartbeat, where the flaw is")
    if len(heard) == 1:
        return Ask(_beat_and_goodbye(hello[4:6]), _has_alert)
    return _judge_beat(heard[1])


def _judge_beat(heard: Heard) -> Answer:
    if any(kind == _HEARTBEAT for kind, _, _ in _split(heard.data)):
        # What came is another's memory: that it came is kept, not what it says.
        return Answer(Status.AFFECTED, "the server answers with bytes that nobody sent", "heartbeat answered")
    if heard.ended is Ended.SILENT:
        return unknown("the server neither answers the heartbeat nor ends the connection")
    return Answer(Status.FIXED, "a heartbeat that claims too much is passed over", "no heartbeat came back")


def _client_hello(version: int, extension: bytes = b"") -> bytes:
    """Offer one version; the random bytes are fixed, for nothing is ever encrypted."""
    groups = struct.pack(">HHHHHH", 10, 8, 6, 0x001D, 0x0017, 0x0018)
    points = struct.pack(">HHBB", 11, 2, 1, 0)
    schemes = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
    signatures = struct.pack(f">HHH{len(schemes)}H", 13, 2 * len(schemes) + 2, 2 * len(schemes), *schemes)
    extensions = groups + points + signatures + extension
    if version == 0x0304:
        share = struct.pack(">HHHHH", 51, 38, 36, 0x001D, 32) + _POINT
        extensions += struct.pack(">HHBH", 43, 3, 2, version) + share
    legacy = min(version, 0x0303)
    suites = struct.pack(f">H{len(_SUITES)}H", 2 * len(_SUITES), *_SUITES)
    body = struct.pack(">H", legacy) + b"forestall".ljust(32, b".") + b"\x00" + suites + b"\x01\x00"
    if version != 0x0300:
        body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    return struct.pack(">BHH", _HANDSHAKE, min(legacy, 0x0301), len(message)) + message


_POINT = bytes([9]) + bytes(31)
"""A public point of X25519 (RFC 7748): the base point. Nobody's secret hangs on it."""


def _beat_and_goodbye(version: bytes) -> bytes:
    """Claim a payload of 16 bytes and have none: the least that shows the flaw."""
    beat, goodbye = struct.pack(">BH", 1, 16), struct.pack(">BB", 1, 0)
    return b"".join(
        bytes([kind]) + version + struct.pack(">H", len(content)) + content
        for kind, content in ((_HEARTBEAT, beat), (_ALERT, goodbye))
    )


def _split(data: bytes) -> list[tuple[int, int, bytes]]:
    """Split into whole TLS records: (type, version, content); what comes behind something else is left out."""
    found, place = list[tuple[int, int, bytes]](), 0
    while place + 5 <= len(data):
        kind, version, length = struct.unpack(">BHH", data[place : place + 5])
        end = place + 5 + length
        if not 20 <= kind <= 24 or version >> 8 != 3 or length > _LONGEST_RECORD or end > len(data):
            break
        found.append((kind, version, data[place + 5 : end]))
        place = end
    return found


def _has_record(data: bytes) -> bool:
    return bool(_split(data))


def _has_alert(data: bytes) -> bool:
    return any(kind == _ALERT for kind, _, _ in _split(data))


def _reply(data: bytes) -> int | None:
    """Say which version a server chose; 0 where it answered with an alert, None where it is no TLS."""
    records = _split(data)
    hello = _message(records, _SERVER_HELLO)
    if hello is None or len(hello) < 39:
        return 0 if any(kind == _ALERT for kind, _, _ in records) else None
    chosen = int.from_bytes(hello[4:6])
    rest = hello[39 + hello[38] + 3 :]
    extensions, place = rest[2:], 0
    while place + 4 <= len(extensions):
        kind, length = struct.unpack(">HH", extensions[place : place + 4])
        if kind == 43 and length == 2:
            chosen = int.from_bytes(extensions[place + 4 : place + 6])
        place += 4 + length
    return chosen


def _message(records: list[tuple[int, int, bytes]], kind: int) -> bytes | None:
    """Find a handshake message, with its header; messages may share a record or be spread over several."""
    stream = b"".join(content for record, _, content in records if record == _HANDSHAKE)
    place = 0
    while place + 4 <= len(stream):
        length = int.from_bytes(stream[place + 1 : place + 4])
        message = stream[place : place + 4 + length]
        if len(message) < 4 + length:
            return None
        if message[0] == kind:
            return message
        place += 4 + length
    return None


def _is_hello_over(data: bytes) -> bool:
    return _has_alert(data) or _message(_split(data), _HELLO_DONE) is not None


def _is_certificate_there(data: bytes) -> bool:
    return _has_alert(data) or _message(_split(data), _CERTIFICATE) is not None


def _valid_until(der: bytes) -> datetime | None:
    """Read the end of a certificate's validity (RFC 5280, 4.1); None where it cannot be read."""
    fields = _elements(_content(_content(der)))
    sequences = [content for tag, content in fields if tag == _SEQUENCE]
    times = _elements(sequences[2]) if len(sequences) > 2 else []
    if len(times) != 2 or times[1][0] not in _TIMES:
        return None
    try:
        return datetime.strptime(times[1][1].decode("ascii"), _TIMES[times[1][0]]).replace(tzinfo=UTC)
    except ValueError:
        return None


_SEQUENCE = 0x30
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}


def _content(der: bytes) -> bytes:
    """Take what is in the first element."""
    found = _elements(der, most=1)
    return found[0][1] if found else b""


def _elements(der: bytes, most: int = 20) -> list[tuple[int, bytes]]:
    """Split DER into its elements, (tag, content); what cannot be read ends the list."""
    found, place = list[tuple[int, bytes]](), 0
    while place + 2 <= len(der) and len(found) < most:
        tag, length = der[place], der[place + 1]
        place += 2
        if length > 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[place : place + size]) if size <= 4 else len(der)
            place += size
        if length > len(der) - place:
            break
        found.append((tag, der[place : place + length]))
        place += length
    return found
