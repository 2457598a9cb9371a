"""A RADIUS client (switch, access point, VPN gate) told to end or change a session (RFC 5176).

The network gate keeps no list of ours: where a machine may go is asked again at its next login, and our answer is
`web/admission_api.py`. So this point cannot be read back, and freeing is one more disconnect.
"""

import asyncio
import struct
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from forestall.clock import utc_now
from forestall.domain import address
from forestall.network import radius
from forestall.network.point import Answer, Marked, Plan, Reason, Refusal, Step, Target
from forestall.network.radius import Attribute, Code, Kind, Reply

PORT = 3799
_VLAN, _802 = 13, 6
"""Tunnel-Type VLAN, Tunnel-Medium-Type IEEE-802 (RFC 3580)."""


class Way(StrEnum):
    """How a session is told."""

    DISCONNECT = "disconnect"
    """It ends; the machine logs in again at once and gets the place that the answer names."""
    COA = "coa"
    """It is moved to the quarantine VLAN; only freeing ends it."""


@dataclass(frozen=True, slots=True)
class RadiusRules:
    """What the settings say of a RADIUS client."""

    name: str
    way: Way = Way.DISCONNECT
    quarantine_vlan: str = ""
    ours: frozenset[str] = frozenset()
    separator: str = "-"
    """Between the octets of a Calling-Station-Id; RFC 3580 writes 00-10-A4-23-19-C0."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for one session; where no such session is, nothing has to be done."""

    code: Code
    attributes: tuple[Attribute, ...]
    text: str


@dataclass(frozen=True, slots=True)
class RadiusSight:
    """What can be known without asking: nothing. Who is there shows when the request is answered."""

    rules: RadiusRules

    @property
    def readable(self) -> bool:
        """It keeps no list."""
        return False

    @property
    def detail(self) -> str:
        """Say what happens there."""
        return f"{self.rules.way} by Calling-Station-Id"

    def marks(self) -> tuple[Marked, ...]:
        """There are none."""
        return ()

    def close(self, target: Target, protected: AbstractSet[str]) -> tuple[Answer, ...]:
        """Plan to end or move the sessions of all the machine's addresses, or say why not."""
        macs = address.macs(target.addresses)
        if target.protected or {*macs, *address.ips(target.addresses)} & protected:
            return (Refusal(Reason.PROTECTED, self.rules.name, f"{target.device} is never removed (A8)"),)
        if self.rules.ours & set(macs):
            return (Refusal(Reason.INFRASTRUCTURE, self.rules.name, "that is Forestall or its gateway"),)
        if not macs:
            return (
                Refusal(
                    Reason.NO_ADDRESS, self.rules.name, f"no hardware address of {target.device} is known"
                ),
            )
        moved = self.rules.way is Way.COA
        steps: list[Step] = [self._move(mac) if moved else self._end(mac) for mac in macs]
        return (Plan(self.rules.name, target.device, closes=True, steps=tuple(steps)),)

    def release(self, target: Target) -> tuple[Plan, ...]:
        """Plan to end the sessions, so that they begin anew in the right place."""
        steps = tuple(self._end(mac) for mac in address.macs(target.addresses))
        return (Plan(self.rules.name, target.device, closes=False, steps=steps),) if steps else ()

    def free(self, places: AbstractSet[str] | None = None) -> tuple[Plan, ...]:  # noqa: ARG002 - nothing is kept here
        """Nothing is kept here."""
        return ()

    def shows(self, addresses: Iterable[str]) -> bool:  # noqa: ARG002 - it has no forwarding table
        """Whoever comes in elsewhere is asked for again."""
        return False

    def _end(self, mac: str) -> Ask:
        station = self._station(mac)
        return Ask(Code.DISCONNECT_REQUEST, (station,), f"Disconnect-Request {station[1].decode()}")

    def _move(self, mac: str) -> Ask:
        station, vlan = self._station(mac), self.rules.quarantine_vlan
        attributes = (
            station,
            (Kind.TUNNEL_TYPE, struct.pack("!I", _VLAN)),
            (Kind.TUNNEL_MEDIUM_TYPE, struct.pack("!I", _802)),
            (Kind.TUNNEL_PRIVATE_GROUP_ID, vlan.encode()),
        )
        return Ask(Code.COA_REQUEST, attributes, f"CoA-Request {station[1].decode()} to VLAN {vlan}")

    def _station(self, mac: str) -> Attribute:
        return Kind.CALLING_STATION_ID, mac.upper().replace(":", self.rules.separator).encode()


@dataclass(frozen=True, slots=True)
class RadiusPoint:
    """One RADIUS client that takes dynamic authorization."""

    rules: RadiusRules
    address: str
    secret: bytes
    sites: frozenset[str] = frozenset()
    port: int = PORT
    seconds: float = 2.0
    tries: int = 3

    @property
    def name(self) -> str:
        """What people call it."""
        return self.rules.name

    async def look(self, *, marks_only: bool = False) -> RadiusSight | Refusal:  # noqa: ARG002 - there is nothing to see
        """Nothing can be asked."""
        return RadiusSight(self.rules)

    async def send(self, plan: Plan) -> Refusal | None:
        """Ask for each session; closing needs one that was really there and told."""
        told = 0
        for step in plan.steps:
            if not isinstance(step, Ask):
                raise TypeError(f"no step for a RADIUS client: {step}")
            stamp = (Kind.EVENT_TIMESTAMP, struct.pack("!I", int(utc_now().timestamp())))
            asked = radius.request(step.code, (*step.attributes, stamp), self.secret)
            answer = await self._asked(asked)
            if answer is None:
                return Refusal(
                    Reason.UNREACHABLE, self.name, "no answer: address, path, or the shared secret differs"
                )
            if answer.code in {Code.DISCONNECT_ACK, Code.COA_ACK}:
                told += 1
            elif answer.cause != radius.NO_SESSION:
                why = radius.CAUSES.get(answer.cause, f"Error-Cause {answer.cause}")
                return Refusal(Reason.NOT_AS_PROMISED, self.name, f"{step.text}: refused, {why}")
        if plan.closes and not told:
            return Refusal(Reason.NOT_SEEN, self.name, "it has no session of this machine")
        return None

    async def _asked(self, asked: bytes) -> Reply | None:
        loop = asyncio.get_running_loop()
        answers: asyncio.Queue[bytes] = asyncio.Queue(64)
        way = partial(_Answers, answers)
        try:
            transport, _ = await loop.create_datagram_endpoint(way, remote_addr=(self.address, self.port))
        except OSError:
            return None
        with closing(transport):
            for _ in range(self.tries):
                transport.sendto(asked)  # the same packet again: whoever got it already answers the same
                try:
                    async with asyncio.timeout(self.seconds):
                        while True:
                            found = radius.reply(await answers.get(), asked, self.secret)
                            if found is not None:
                                return found
                except TimeoutError:
                    continue
        return None


class _Answers(asyncio.DatagramProtocol):
    """Keeps what comes in; what is too much is dropped, as UDP does."""

    def __init__(self, answers: asyncio.Queue[bytes]) -> None:
        self._answers = answers

    def datagram_received(self, data: bytes, _address: object) -> None:
        if not self._answers.full():
            self._answers.put_nowait(data)
