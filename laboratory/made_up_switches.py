"""Hundreds of switches that are not there: SNMPv2c on loopback in a process of its own, honest and otherwise."""

import asyncio
import json
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self, cast

KINDS = ("honest", "slow", "dead", "dying", "lying", "endless")
"""Slow: each answer takes a while. Dying: silent after a few ports. Lying: says yes and does nothing."""
_OF_FIFTY = {7: "slow", 17: "dead", 27: "dying", 37: "lying", 47: "endless"}
SLOW_SECONDS = 0.3
_DIES_AFTER = 8
_ADMIN, _ALIAS, _NAME = (
    (1, 3, 6, 1, 2, 1, 2, 2, 1, 7),
    (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 18),
    (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1),
)
_BASE, _PVID = (1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2), (1, 3, 6, 1, 2, 1, 17, 7, 1, 4, 5, 1, 1)
_UP, _DOWN = 1, 2
_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_GET, _ANSWER, _SET, _BULK, _NO_OBJECT, _END = 0xA0, 0xA2, 0xA3, 0xA5, 0x80, 0x82
Oid = tuple[int, ...]
Value = int | bytes


class Crowd:
    """Starts the switches' process and asks it how they stand."""

    def __init__(self, switches: int, ports: int, marked: int) -> None:
        self.kinds = [_OF_FIFTY.get(number % 50, "honest") for number in range(switches)]
        self._shape = (str(ports), str(marked))
        self.ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        command = (sys.executable, str(Path(__file__)), *self._shape, *self.kinds)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = self._said()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def closed_by_switch(self) -> dict[str, int]:
        """Count the ports that carry our mark or are down, as the switches themselves have them."""
        return self._ask("closed")

    def closed(self) -> int:
        """Count them all."""
        return sum(self.closed_by_switch().values())

    def mend(self) -> None:
        """Let every switch be honest."""
        self._ask("mend")

    def _ask(self, word: str) -> dict[str, int]:
        if self._process.stdin is None:
            raise RuntimeError("the switches were not started")
        print(word, file=self._process.stdin, flush=True)
        return self._said()

    def _said(self) -> dict[str, int]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        return {str(name): int(number) for name, number in json.loads(line).items()}


@dataclass
class MadeUp(asyncio.DatagramProtocol):
    """One switch: its variables, and how honest it is."""

    kind: str
    variables: dict[Oid, Value]
    _order: list[Oid] = field(default_factory=list[Oid])
    _asked: int = 0
    _transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._order = sorted(self.variables)
        self._transport = cast("asyncio.DatagramTransport", transport)  # it is one, though not by its class

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.kind == "dead" or (self.kind == "dying" and self._asked > _DIES_AFTER):
            return
        answer = self.answer(data)
        delay = SLOW_SECONDS if self.kind == "slow" else 0.0
        if self._transport is not None:
            asyncio.get_running_loop().call_later(delay, self._transport.sendto, answer, addr)

    def answer(self, data: bytes) -> bytes:
        """Answer one message by the letters of RFC 3416."""
        _, message, _ = _read(data, 0)
        version, community, pdu = list(_items(message))
        (_, number), (_, few), (_, many), (_, asked) = list(_items(pdu[1]))
        wanted = [list(_items(each)) for _, each in _items(asked)]
        names = [_oid(pair[0][1]) for pair in wanted]
        if pdu[0] == _BULK:
            rows = self._bulk(names, int.from_bytes(few), int.from_bytes(many))
        else:
            if pdu[0] == _SET:
                self._set([(name, pair[1]) for name, pair in zip(names, wanted, strict=True)])
            rows = [(name, self._value(name)) for name in names]
        listed = b"".join(_tlv(_SEQUENCE, _tlv(_OID, _written(name)) + value) for name, value in rows)
        zero = _tlv(_INTEGER, b"\0")
        body = _tlv(_INTEGER, number) + zero + zero + _tlv(_SEQUENCE, listed)
        return _tlv(_SEQUENCE, _tlv(*version) + _tlv(*community) + _tlv(_ANSWER, body))

    def closed(self) -> int:
        """Count the ports that are down or carry a mark."""
        return sum(
            value == _DOWN or b"[forestall" in bytes(self.variables[(*_ALIAS, oid[-1])])
            for oid, value in self.variables.items()
            if oid[:-1] == _ADMIN
        )

    def _bulk(self, names: Sequence[Oid], few: int, many: int) -> list[tuple[Oid, bytes]]:
        rows: list[tuple[Oid, bytes]] = []
        for name in names[few:]:
            if self.kind == "endless" and name[: len(_ALIAS)] == _ALIAS:
                last = name[len(_ALIAS)] if len(name) > len(_ALIAS) else 0
                rows += [((*_ALIAS, last + 1 + step), _tlv(_OCTETS, b"")) for step in range(many)]
                continue
            at = bisect_right(self._order, name)
            found = self._order[at : at + many]
            rows += [(each, self._value(each)) for each in found] or [(name, _tlv(_END, b""))]
        return rows

    def _value(self, name: Oid) -> bytes:
        value = self.variables.get(name)
        if value is None:
            return _tlv(_NO_OBJECT, b"")
        return _tlv(_OCTETS, value) if isinstance(value, bytes) else _tlv(_INTEGER, _number(value))

    def _set(self, changes: Sequence[tuple[Oid, tuple[int, bytes]]]) -> None:
        self._asked += 1
        if self.kind == "lying":
            return
        for name, (kind, content) in changes:
            self.variables[name] = content if kind == _OCTETS else int.from_bytes(content, signed=True)


def made_up(kind: str, ports: int, marked: int) -> MadeUp:
    """Make a switch whose first ports are closed by us."""
    variables: dict[Oid, Value] = {}
    for index in range(1, ports + 1):
        ours = index <= marked
        alias = f"[forestall m-{index} openssl-1] Room {index}" if ours else f"Room {index}"
        row: dict[Oid, Value] = {
            _NAME: f"Gi1/0/{index}".encode(),
            _ALIAS: alias.encode(),
            _ADMIN: _DOWN if ours else _UP,
            _BASE: index,
            _PVID: 10,
        }
        for column, value in row.items():
            variables[*column, index] = value
    return MadeUp(kind, variables)


def _read(data: bytes, at: int) -> tuple[int, bytes, int]:
    kind, length = data[at], data[at + 1]
    at += 2
    if length & 0x80:
        more = length & 0x7F
        length, at = int.from_bytes(data[at : at + more]), at + more
    return kind, data[at : at + length], at + length


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, content, at = _read(data, at)
        yield kind, content


def _tlv(kind: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((kind, size)) + content
    width = (size.bit_length() + 7) // 8
    return bytes((kind, 0x80 | width)) + size.to_bytes(width) + content


def _number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, signed=True)


def _oid(content: bytes) -> Oid:
    numbers: list[int] = []
    value = 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(value)
            value = 0
    return *divmod(numbers[0], 40), *numbers[1:]


def _written(oid: Oid) -> bytes:
    content = bytearray([oid[0] * 40 + oid[1]])
    for number in oid[2:]:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return bytes(content)


def _itself(switch: MadeUp) -> MadeUp:
    return switch


async def _live(ports: int, marked: int, kinds: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    switches: dict[str, MadeUp] = {}
    places: dict[str, int] = {}
    for number, kind in enumerate(kinds):
        name = f"sw-{number:03}-{kind}"
        switch = switches[name] = made_up(kind, ports, marked)
        transport, _ = await loop.create_datagram_endpoint(partial(_itself, switch), ("127.0.0.1", 0))
        places[name] = transport.get_extra_info("sockname")[1]
    print(json.dumps(places), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "mend":
            for switch in switches.values():
                switch.kind = "honest"
        print(json.dumps({name: switch.closed() for name, switch in switches.items()}), flush=True)


if __name__ == "__main__":
    asyncio.run(_live(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
