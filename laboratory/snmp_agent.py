"""An SNMP agent for tests and benchmarks (v2c, read only): tables as a value, and the ways of a hostile agent."""

import bisect
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

Oid = tuple[int, ...]
_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_GET, _NEXT, _RESPONSE, _BULK = 0xA0, 0xA1, 0xA2, 0xA5
_NO_SUCH, _END = b"\x80\x00", b"\x82\x00"


@dataclass
class Agent:
    """What it answers with. `endless`: its last column never ends; `pause`: seconds before each answer."""

    values: Mapping[Oid, int | bytes]
    community: bytes = b"readers"
    endless: bool = False
    pause: float = 0.0
    asked: list[int] = field(default_factory=list[int])
    """The kinds of requests, in order."""
    port: int = 0
    _order: list[Oid] = field(default_factory=list[Oid])
    _encoded: dict[Oid, bytes] = field(default_factory=dict[Oid, bytes])

    def become(self, values: Mapping[Oid, int | bytes]) -> None:
        """Answer with other values from now on."""
        self.values, self._order, self._encoded = values, [], {}

    def answer(self, datagram: bytes) -> bytes | None:
        """Answer one request; nothing without the community."""
        _, message, _ = _part(datagram)
        _, version, rest = _part(message)
        _, community, rest = _part(rest)
        kind, body, _ = _part(rest)
        self.asked.append(kind)
        if community != self.community:
            return None
        _, request, body = _part(body)
        _, _, body = _part(body)
        _, repetitions, body = _part(body)
        names = [_oid_of(_part(pair)[1]) for pair in _parts(_part(body)[1])]
        if kind == _GET:
            pairs = [self._pair(name) for name in names]
        else:
            pairs = [
                pair
                for name in names
                for pair in self._after(name, int.from_bytes(repetitions) if kind == _BULK else 1)
            ]
        listed = _tlv(_SEQUENCE, b"".join(pairs))
        pdu = _tlv(_RESPONSE, _tlv(_INTEGER, request) + _tlv(_INTEGER, b"\0") * 2 + listed)
        return _tlv(_SEQUENCE, _tlv(_INTEGER, version) + _tlv(_OCTETS, community) + pdu)

    def _pair(self, name: Oid) -> bytes:
        known = self._known(name)
        return known or _tlv(_SEQUENCE, _tlv(_OID, _bytes_of(name)) + _NO_SUCH)

    def _known(self, name: Oid) -> bytes:
        if name not in self._encoded and name in self.values:
            self._encoded[name] = _pair(name, self.values[name])
        return self._encoded.get(name, b"")

    def _after(self, name: Oid, count: int) -> list[bytes]:
        if not self._order:
            self._order = sorted(self.values)
        if self.endless and name >= self._order[-1]:
            last = self._order[-1]
            at = name[len(last)] if len(name) > len(last) else 0
            return [_pair((*last, at + n + 1), 1) for n in range(count)]
        at = bisect.bisect_right(self._order, name)
        found = [self._known(each) for each in self._order[at : at + count]]
        return found or [_tlv(_SEQUENCE, _tlv(_OID, _bytes_of(name)) + _END)]


@contextmanager
def answering(agent: Agent) -> Iterator[Agent]:
    """Let an agent answer on loopback until the block ends."""
    stop = threading.Event()
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        agent.port = sock.getsockname()[1]

        def serve() -> None:
            while not stop.is_set():
                try:
                    datagram, caller = sock.recvfrom(65_535)
                except TimeoutError:
                    continue
                if agent.pause:
                    time.sleep(agent.pause)
                said = agent.answer(datagram)
                if said is not None:
                    sock.sendto(said, caller)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield agent
        finally:
            stop.set()
            thread.join()


def _tlv(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < 128:
        return bytes((tag, size)) + value
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + value


def _part(data: bytes) -> tuple[int, bytes, bytes]:
    """Take the first element off: tag, value, rest."""
    size, at = data[1], 2
    if size & 0x80:
        at = 2 + (size & 0x7F)
        size = int.from_bytes(data[2:at])
    return data[0], data[at : at + size], data[at + size :]


def _parts(data: bytes) -> Iterator[bytes]:
    while data:
        _, value, data = _part(data)
        yield value


def _pair(name: Oid, value: int | bytes) -> bytes:
    shown = (
        _tlv(_OCTETS, value)
        if isinstance(value, bytes)
        else _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1))
    )
    return _tlv(_SEQUENCE, _tlv(_OID, _bytes_of(name)) + shown)


def _bytes_of(name: Oid) -> bytes:
    found = bytearray()
    for number in (name[0] * 40 + name[1], *name[2:]):
        octets = [number & 0x7F]
        while number := number >> 7:
            octets.append(0x80 | (number & 0x7F))
        found += bytes(reversed(octets))
    return bytes(found)


def _oid_of(data: bytes) -> Oid:
    numbers, number = list[int](), 0
    for octet in data:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    return (*divmod(numbers[0], 40), *numbers[1:]) if numbers[0] < 80 else (2, numbers[0] - 80, *numbers[1:])
