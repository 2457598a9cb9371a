"""A switch spoken to by SNMP: its tables read into a view, plans sent to it one SET at a time, each read back."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from forestall.clock import stopwatch
from forestall.domain.address import mac_of_bytes
from forestall.network import snmp, switch
from forestall.network.point import Plan, Reason, Refusal, Step
from forestall.network.snmp import V3, Engines, NoAnswer, Session, V2c, Value
from forestall.network.switch import Member, Set, SwitchPort, SwitchRules, SwitchSight, SwitchView, Vanish

_NAME = "1.3.6.1.2.1.31.1.1.1.1"
_DESCRIPTION = "1.3.6.1.2.1.2.2.1.2"
_TYPE = "1.3.6.1.2.1.2.2.1.3"
_PHYSICAL = "1.3.6.1.2.1.2.2.1.6"
_BASE_PORT = "1.3.6.1.2.1.17.1.4.1.2"
_BRIDGE_TABLE = "1.3.6.1.2.1.17.4.3.1.2"
VLAN_TABLE = "1.3.6.1.2.1.17.7.1.2.2.1.2"
_CURRENT_EGRESS = "1.3.6.1.2.1.17.7.1.4.2.1.4"
_CURRENT_UNTAGGED = "1.3.6.1.2.1.17.7.1.4.2.1.5"
_NEIGHBOURS = "1.0.8802.1.1.2.1.4.1.1.12"
ARP = "1.3.6.1.2.1.4.22.1.2"
DEFAULT_ROUTE = "1.3.6.1.2.1.4.21.1.7.0.0.0.0"
ROOT_PORT = "1.3.6.1.2.1.17.2.7.0"

_MARKS = (
    _NAME,
    switch.IF_ALIAS,
    switch.IF_ADMIN,
    _BASE_PORT,
    switch.PVID,
    switch.VLAN_EGRESS,
    switch.VLAN_UNTAGGED,
)
_ALL = (
    *_MARKS, _DESCRIPTION, _TYPE, _PHYSICAL, _BRIDGE_TABLE, VLAN_TABLE, _CURRENT_EGRESS, _CURRENT_UNTAGGED,
    _NEIGHBOURS, ARP,
)  # fmt: skip
VIEWED = tuple(name for name in _ALL if name != switch.IF_ALIAS)
"""What it takes to say who is where: all but people's words about their ports."""
_SETTLE_SECONDS = 3.0
"""A switch may take a moment until it reads as it was told."""
Table = Mapping[tuple[int, ...], Value]


@dataclass(frozen=True, slots=True)
class SnmpSwitch:
    """One switch: where it is, how to log in, what the settings say of it."""

    rules: SwitchRules
    address: str
    credential: V2c | V3
    engines: Engines
    sites: frozenset[str] = frozenset()
    port: int = snmp.PORT
    seconds: float = 2.0
    """For one answer."""
    tries: int = 3

    @property
    def name(self) -> str:
        """What people call it."""
        return self.rules.name

    async def look(self, *, marks_only: bool = False) -> SwitchSight | Refusal:
        """Read the switch's tables; for marks alone only what describes its ports."""
        try:
            session = await self._session()
            names = _MARKS if marks_only else _ALL
            tables = dict(zip(names, await asyncio.gather(*map(session.walk, names)), strict=True))
            root, gateway = await session.get(ROOT_PORT, DEFAULT_ROUTE)
        except NoAnswer as silence:
            return Refusal(Reason.UNREACHABLE, self.name, str(silence))
        return SwitchSight(view_of(tables, root, gateway), self.rules)

    async def send(self, plan: Plan) -> Refusal | None:
        """Send the steps in order; each must read back as it was set before the next one is sent."""
        try:
            session = await self._session()
            for step in plan.steps:
                if not await _done(session, step):
                    return Refusal(Reason.NOT_AS_PROMISED, self.name, f"said yes, but not so: {step.text}")
        except NoAnswer as silence:
            return Refusal(Reason.UNREACHABLE, self.name, f"{silence} (it may have acted all the same)")
        return None

    async def _session(self) -> Session:
        return await self.engines.session(self.address, self.port, self.credential, self.seconds, self.tries)


async def _done(session: Session, step: Step) -> bool:
    match step:
        case Set(oid, value, _, unsigned):
            await session.set(oid, value, unsigned=unsigned)
            return await _settled(session, oid, lambda read: read == value)
        case Member(oid, port, on, _):
            (bits,) = await session.get(oid)
            if not isinstance(bits, bytes):
                return False
            await session.set(oid, switch.with_bit(bits, port, on=on))
            return await _settled(
                session, oid, lambda read: isinstance(read, bytes) and switch.has_bit(read, port) is on
            )
        case Vanish(oid, port, _):
            return await _settled(session, oid, lambda read: read != port)
        case _:
            raise TypeError(f"no step for a switch: {step}")


async def _settled(session: Session, oid: str, holds: Callable[[Value | None], bool]) -> bool:
    """Read until it is so; at most a few seconds."""
    end = stopwatch() + _SETTLE_SECONDS
    pause = 0.02
    while True:
        (read,) = await session.get(oid)
        if holds(read):
            return True
        if stopwatch() > end:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.5)


def view_of(tables: Mapping[str, Table], root: Value | None, gateway: Value | None) -> SwitchView:
    """Make a view of what was read; a table that the switch does not have is empty."""

    def table(name: str) -> Table:
        return tables.get(name, {})

    ports = _ports(table)
    by_base = {port.base: index for index, port in ports.items() if port.base is not None}
    seen: defaultdict[str, set[int]] = defaultdict(set)
    entries: defaultdict[str, list[str]] = defaultdict(list)
    for name in (VLAN_TABLE, _BRIDGE_TABLE):
        for index, number in table(name).items():
            mac = mac_of_bytes(index[-6:]) if all(octet < 256 for octet in index[-6:]) else ""
            if mac and number in by_base:
                seen[mac].add(by_base[int(number)])
                entries[mac].append(".".join(map(str, (name, *index))))
    arp = {".".join(map(str, index[-4:])): mac for index, value in table(ARP).items() if (mac := _mac(value))}
    hop = ".".join(map(str, gateway)) if isinstance(gateway, bytes) else ""
    return SwitchView(
        ports=ports,
        seen={mac: frozenset(at) for mac, at in seen.items()},
        entries={mac: tuple(at) for mac, at in entries.items()},
        arp=arp,
        own=frozenset(mac for value in table(_PHYSICAL).values() if (mac := _mac(value))),
        gateway=arp.get(hop, ""),
        root=by_base.get(root) if isinstance(root, int) else None,
        egress={
            index[-1]: bytes(bits)
            for index, bits in table(switch.VLAN_EGRESS).items()
            if isinstance(bits, bytes)
        },
        untagged={
            index[-1]: bytes(bits)
            for index, bits in table(switch.VLAN_UNTAGGED).items()
            if isinstance(bits, bytes)
        },
    )


def _ports(table: Callable[[str], Table]) -> dict[int, SwitchPort]:
    bases = {int(index): base[-1] for base, index in table(_BASE_PORT).items() if isinstance(index, int)}
    pvids = {index[-1]: int(value) for index, value in table(switch.PVID).items() if isinstance(value, int)}
    neighbours = _neighbours(table(_NEIGHBOURS))
    tagged = _tagged(table)
    names = {**table(_DESCRIPTION), **{index: value for index, value in table(_NAME).items() if value}}
    found: dict[int, SwitchPort] = {}
    for (index, *_), status in table(switch.IF_ADMIN).items():
        base = bases.get(index)
        found[index] = SwitchPort(
            index=index,
            name=_text(names.get((index,), b"")) or str(index),
            base=base,
            alias=_octets(table(switch.IF_ALIAS).get((index,))),
            up=status == switch.UP,
            kind=_number(table(_TYPE).get((index,)), 6),
            pvid=None if base is None else pvids.get(base),
            tagged=frozenset() if base is None else tagged(base),
            # LLDP counts ports in its own way, nearly always as one of these two: either reading keeps a hand off.
            neighbour=neighbours.get(index, 0) | (neighbours.get(base, 0) if base is not None else 0),
        )
    return found


def _neighbours(table: Table) -> dict[int, int]:
    """Read what hangs where: index is (time mark, local port, neighbour)."""
    found: defaultdict[int, int] = defaultdict(int)
    for index, capabilities in table.items():
        if len(index) == 3 and isinstance(capabilities, bytes) and capabilities:
            found[index[1]] |= capabilities[0]
    return found


def _tagged(table: Callable[[str], Table]) -> Callable[[int], frozenset[int]]:
    """Find the VLANs that leave a port with a tag, by the configured and by the current tables."""
    pairs = ((switch.VLAN_EGRESS, switch.VLAN_UNTAGGED), (_CURRENT_EGRESS, _CURRENT_UNTAGGED))
    lists = [
        (index[-1], _octets(bits), _octets(table(untagged).get(index)))
        for egress, untagged in pairs
        for index, bits in table(egress).items()
    ]

    def of(base: int) -> frozenset[int]:
        return frozenset(
            vlan
            for vlan, out, plain in lists
            if switch.has_bit(out, base) and not switch.has_bit(plain, base)
        )

    return of


def _mac(value: Value) -> str:
    return mac_of_bytes(value) if isinstance(value, bytes) else ""


def _octets(value: Value | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _number(value: Value | None, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _text(value: Value) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
