"""What a switch says of itself, and what is to be sent to it to close or free a port. Pure: values in, values out."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from forestall.domain import address
from forestall.network.mark import Mark, lost, read_mark, write_mark
from forestall.network.point import Answer, Marked, Plan, Reason, Refusal, Step, Target

IF_ADMIN = "1.3.6.1.2.1.2.2.1.7"
IF_ALIAS = "1.3.6.1.2.1.31.1.1.1.18"
PVID = "1.3.6.1.2.1.17.7.1.4.5.1.1"
VLAN_EGRESS = "1.3.6.1.2.1.17.7.1.4.3.1.2"
VLAN_UNTAGGED = "1.3.6.1.2.1.17.7.1.4.3.1.4"
UP, DOWN = 1, 2

_ETHERNET = frozenset({6, 62, 69, 117})
"""ifType of a plain port; a bundle, a VLAN interface or a tunnel is none."""
_NEAREST = (Reason.TRUNK, Reason.UPLINK, Reason.OWN_PATH)
"""Of several ports behind which a machine is seen, the one that tells most."""
_REPEATER, _BRIDGE, _ACCESS_POINT, _ROUTER, _TELEPHONE = 0x40, 0x20, 0x10, 0x08, 0x04


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """One port as the switch describes it."""

    index: int
    """ifIndex."""
    name: str
    base: int | None = None
    """Its number in the bridge (dot1dBasePort); None where it is no port of the bridge."""
    alias: bytes = b""
    up: bool = True
    """ifAdminStatus: what was ordered, not whether a cable is in."""
    kind: int = 6
    pvid: int | None = None
    tagged: frozenset[int] = frozenset()
    """VLANs that leave it with a tag."""
    neighbour: int = 0
    """What hangs there says by LLDP that it is (lldpRemSysCapEnabled, first octet)."""


@dataclass(frozen=True, slots=True)
class SwitchView:
    """A switch at one instant, read from its own tables (BRIDGE-MIB, Q-BRIDGE-MIB, IF-MIB, LLDP-MIB, IP-MIB)."""

    ports: Mapping[int, SwitchPort]
    seen: Mapping[str, frozenset[int]] = field(default_factory=dict[str, frozenset[int]])
    """The forwarding table: address -> ports (ifIndex)."""
    entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Where in the forwarding table an address stands (OIDs)."""
    arp: Mapping[str, str] = field(default_factory=dict[str, str])
    """IP address -> MAC address."""
    own: frozenset[str] = frozenset()
    """The switch's own addresses."""
    gateway: str = ""
    """MAC address of its default route."""
    root: int | None = None
    """The port towards the root of the spanning tree."""
    egress: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    untagged: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    """VLAN -> ports, as the switch's bit strings."""


@dataclass(frozen=True, slots=True)
class SwitchRules:
    """What the settings say of a switch, and who we are on the network."""

    name: str
    uplinks: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    quarantine_vlan: int | None = None
    """None: the port is shut down."""
    voice_vlans: frozenset[int] = frozenset()
    other_addresses: int = 0
    """So many addresses at the port may belong to others."""
    closed_at_most: int = 5
    longest_mark: int = 64
    """RFC 2863 gives ifAlias 64 octets; many switches take more."""
    ours: frozenset[str] = frozenset()
    """MAC and IP addresses of the machine we run on, and the MAC addresses of its gateways."""


@dataclass(frozen=True, slots=True)
class Set:
    """One SNMP SET, read back before the next one is sent."""

    oid: str
    value: int | bytes
    text: str
    unsigned: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One port goes into a PortList or out of it, whatever else the list holds when it is sent."""

    oid: str
    port: int
    on: bool
    text: str


@dataclass(frozen=True, slots=True)
class Vanish:
    """The forwarding table must no longer show an address at a port: a switch that only says yes is found out."""

    oid: str
    port: int
    text: str


@dataclass(frozen=True, slots=True)
class SwitchSight:
    """A switch as it was looked at."""

    view: SwitchView
    rules: SwitchRules

    @property
    def readable(self) -> bool:
        """A switch tells which of its ports are closed."""
        return True

    @property
    def detail(self) -> str:
        """Count what matters to a network team."""
        return f"{len(self.view.ports)} ports, own path: {', '.join(self._names(self._own_path())) or 'not known'}"

    def marks(self) -> tuple[Marked, ...]:
        """List the ports with our mark."""
        return tuple(
            Marked(self.rules.name, port.name, mark.device, mark.campaigns, self._closed(port, mark))
            for port, mark in self._marked()
        )

    def close(self, target: Target, protected: AbstractSet[str]) -> tuple[Answer, ...]:
        """Plan to close every port where the machine is, or say why not."""
        macs = address.macs(target.addresses)
        if not macs:
            macs = tuple(self.view.arp[ip] for ip in address.ips(target.addresses) if ip in self.view.arp)
        protected = protected | {self.view.arp[each] for each in protected if each in self.view.arp}
        refusal = self._unfit(target, macs, protected)
        if refusal is not None:
            return (refusal,)
        held = {
            port.index: self._shut(port, mark.with_campaign(target.campaign), macs)
            for port, mark in self._marked()
            if mark.device == target.device and self._closed(port, mark)
        }
        answers = (*held.values(), *self._at_ports(target, macs, protected, held.keys()))
        return answers or (self._refuse(Reason.NOT_SEEN, f"no port shows {', '.join(macs)}"),)

    def release(self, target: Target) -> tuple[Plan, ...]:
        """Plan to take a campaign out of the machine's marks; the last one frees the port."""
        return tuple(
            self._remark(port, rest)
            if rest.campaigns and self._closed(port, mark)
            else self._open(port, mark)
            for port, mark in self._marked()
            if mark.device == target.device and target.campaign in mark.campaigns
            for rest in [mark.without_campaign(target.campaign)]
        )

    def free(self, places: AbstractSet[str] | None = None) -> tuple[Plan, ...]:
        """Plan to free all marked ports, or some."""
        marked = ((port, mark) for port, mark in self._marked() if places is None or port.name in places)
        return tuple(self._open(port, mark) for port, mark in marked)

    def shows(self, addresses: Iterable[str]) -> bool:
        """Look into the forwarding table."""
        return any(mac in self.view.seen for mac in address.macs(addresses))

    # -- where it is ------------------------------------------------------------------------------------------

    def _unfit(self, target: Target, macs: tuple[str, ...], protected: AbstractSet[str]) -> Refusal | None:
        """Refuse whatever the port: who must never be removed, and what we cannot judge."""
        named = {*macs, *address.ips(target.addresses)}
        if target.protected or named & protected:
            return self._refuse(Reason.PROTECTED, f"{target.device} is never removed (A8)")
        infrastructure = {*self.view.own, *self.rules.ours, self.view.gateway} - {""}
        if found := sorted(named & infrastructure):
            return self._refuse(Reason.INFRASTRUCTURE, f"{found[0]} is the switch, its gateway, or Forestall")
        if not macs:
            return self._refuse(Reason.NO_ADDRESS, f"no hardware address is known of {target.device}")
        if not self._own_path():
            why = "the port through which Forestall reaches the switch is not known: name it in `uplinks`"
            return self._refuse(Reason.OWN_PATH_UNKNOWN, why)
        return None

    def _at_ports(
        self, target: Target, macs: tuple[str, ...], protected: AbstractSet[str], held: AbstractSet[int]
    ) -> Iterator[Answer]:
        """Answer for each port that shows the machine; ports towards other switches only where nothing else does."""
        indexes = {index for mac in macs for index in self.view.seen.get(mac, ())} - held
        found = [self.view.ports[index] for index in sorted(indexes) if index in self.view.ports]
        behind = {port.index: reason for port in found if (reason := self.leads_on(port)) is not None}
        at = [port for port in found if port.index not in behind]
        room = self.rules.closed_at_most - sum(marked.closed for marked in self.marks())
        for number, port in enumerate(at):
            refusal = self._unsafe(port, macs, protected) or (self._capped() if number >= room else None)
            yield refusal or self._shut(port, self._new_mark(port, target), macs)
        if found and not at and not held:
            port = min(found, key=lambda each: _NEAREST.index(behind[each.index]))
            yield self._refuse(behind[port.index], f"seen only at {port.name}, which leads to other machines")

    def leads_on(self, port: SwitchPort) -> Reason | None:
        """Say why a port leads to other switches, to the rest of the network, or to ourselves."""
        if port.name in self.rules.uplinks or port.index == self.view.root:
            return Reason.UPLINK
        if port.index in self._own_path():
            return Reason.OWN_PATH
        if port.kind not in _ETHERNET or port.base is None or port.tagged - self.rules.voice_vlans:
            return Reason.TRUNK
        switch = port.neighbour & _BRIDGE and not port.neighbour & _TELEPHONE
        return Reason.UPLINK if switch or port.neighbour & (_ROUTER | _REPEATER) else None

    def _own_path(self) -> frozenset[int]:
        """Find the ports through which we reach the switch: ours by its own tables, and those that people named."""
        ways = {
            self.view.gateway,
            *self.rules.ours,
            *(self.view.arp.get(each, "") for each in self.rules.ours),
        }
        found = {index for way in ways for index in self.view.seen.get(way, ())}
        return frozenset(
            found | {port.index for port in self.view.ports.values() if port.name in self.rules.uplinks}
        )

    def _unsafe(self, port: SwitchPort, macs: tuple[str, ...], protected: AbstractSet[str]) -> Refusal | None:
        """Refuse a port whose closing would hit others, or that somebody else closed."""
        here = {mac for mac, ports in self.view.seen.items() if port.index in ports} - self.view.own
        others = sorted(here - set(macs))
        mark = read_mark(port.alias)
        speaking = port.neighbour & (
            _ACCESS_POINT | (_TELEPHONE if self.rules.quarantine_vlan is None else 0)
        )
        why = {
            Reason.NEVER: "is listed in `never`" if port.name in self.rules.never else "",
            Reason.NEIGHBOUR: "has a telephone or an access point" if speaking else "",
            Reason.PROTECTED: "also has a protected machine (A8)" if here & protected else "",
            Reason.MANY_ADDRESSES: f"also shows {', '.join(others[:3])}"
            if len(others) > self.rules.other_addresses
            else "",
            Reason.CLOSED_BY_OTHERS: f"is closed for {mark.device}"
            if mark is not None and self._closed(port, mark)
            else "is down without our mark" * (not port.up),
        }
        return next(
            (self._refuse(reason, f"{port.name} {detail}") for reason, detail in why.items() if detail), None
        )

    # -- what is sent -----------------------------------------------------------------------------------------

    def _shut(self, port: SwitchPort, mark: Mark, macs: tuple[str, ...]) -> Answer:
        """Mark first: a port whose mark does not hold is not closed, for nobody could free it."""
        text = write_mark(mark, self.rules.longest_mark)
        if text is None:
            why = f"the mark of {mark.device} does not fit {self.rules.longest_mark} octets: raise `longest_mark`"
            return self._refuse(Reason.MARK_TOO_LONG, why)
        steps: list[Step] = [] if text == port.alias else [_alias(port, text)]
        vlan = self.rules.quarantine_vlan
        if self._closed(port, mark):
            return Plan(self.rules.name, port.name, closes=True, steps=tuple(steps))
        if mark.vlan is None or vlan is None:
            steps.append(Set(f"{IF_ADMIN}.{port.index}", DOWN, f"{port.name}: ifAdminStatus = down"))
            steps += [
                Vanish(oid, port.base or 0, f"{port.name}: {mac} is gone")
                for mac in macs
                if port.index in self.view.seen.get(mac, ())
                for oid in self.view.entries.get(mac, ())
            ]
        elif self.view.egress and vlan not in self.view.egress:
            return self._refuse(Reason.NO_QUARANTINE_VLAN, f"VLAN {vlan} does not exist there")
        else:
            steps += self._moved(port, mark.vlan, vlan)
        return Plan(self.rules.name, port.name, closes=True, steps=tuple(steps), note=lost(mark, text))

    def _open(self, port: SwitchPort, mark: Mark) -> Plan:
        """Open first, then put back what stood there: whatever happens between, the mark tells that work is left."""
        steps: list[Step] = []
        if mark.vlan is not None and port.pvid != mark.vlan and port.pvid is not None:
            steps += self._moved(port, port.pvid, mark.vlan)
        elif mark.vlan is None and not port.up:
            steps.append(Set(f"{IF_ADMIN}.{port.index}", UP, f"{port.name}: ifAdminStatus = up"))
        return Plan(self.rules.name, port.name, closes=False, steps=(*steps, _alias(port, mark.before)))

    def _remark(self, port: SwitchPort, mark: Mark) -> Plan:
        text = write_mark(mark, self.rules.longest_mark) or port.alias
        still = f"still closed for {', '.join(mark.campaigns)}"
        return Plan(self.rules.name, port.name, closes=False, steps=(_alias(port, text),), note=still)

    def _moved(self, port: SwitchPort, old: int, new: int) -> Iterator[Step]:
        """Move a port to another VLAN (RFC 4363): into the new one, its own frames there, out of the old one."""
        base = port.base or 0
        yield from self._membership(port, base, new, member=True)
        yield Set(f"{PVID}.{base}", new, f"{port.name}: dot1qPvid = {new}", unsigned=True)
        yield from self._membership(port, base, old, member=False)

    def _membership(self, port: SwitchPort, base: int, vlan: int, *, member: bool) -> Iterator[Step]:
        word = "joins" if member else "leaves"
        tables = ((VLAN_EGRESS, self.view.egress), (VLAN_UNTAGGED, self.view.untagged))
        # Untagged ports are a subset of all ports at every instant: last in, first out.
        for oid, table in tables if member else tables[::-1]:
            bits = table.get(vlan)
            if bits is not None and has_bit(bits, base) is not member:
                yield Member(f"{oid}.{vlan}", base, member, f"{port.name}: {word} VLAN {vlan}")

    # -- small questions --------------------------------------------------------------------------------------

    def _marked(self) -> Iterator[tuple[SwitchPort, Mark]]:
        for port in self.view.ports.values():
            mark = read_mark(port.alias)
            if mark is not None:
                yield port, mark

    def _closed(self, port: SwitchPort, mark: Mark) -> bool:
        """Say whether a marked port is as the mark says, by the switch's own word."""
        if mark.vlan is None:
            return not port.up
        return (
            port.pvid == self.rules.quarantine_vlan if self.rules.quarantine_vlan else port.pvid != mark.vlan
        )

    def _new_mark(self, port: SwitchPort, target: Target) -> Mark:
        """Mark a port; an old mark of ours on an open port counts only for what stood there before it."""
        old = read_mark(port.alias)
        vlan = port.pvid if self.rules.quarantine_vlan is not None else None
        return Mark(target.device, (target.campaign,), old.before if old else port.alias, vlan)

    def _names(self, indexes: AbstractSet[int]) -> list[str]:
        return [self.view.ports[index].name for index in sorted(indexes) if index in self.view.ports]

    def _capped(self) -> Refusal:
        return self._refuse(Reason.CAP, f"{self.rules.closed_at_most} ports are closed there already")

    def _refuse(self, reason: Reason, detail: str) -> Refusal:
        return Refusal(reason, self.rules.name, detail)


def _alias(port: SwitchPort, text: bytes) -> Set:
    return Set(f"{IF_ALIAS}.{port.index}", text, f"{port.name}: ifAlias = “{text.decode(errors='replace')}”")


def has_bit(bits: bytes, number: int) -> bool:
    """Say whether a PortList (RFC 4363) holds a port; the first port is the highest bit of the first octet."""
    octet, bit = divmod(number - 1, 8)
    return number > 0 and octet < len(bits) and bool(bits[octet] & 0x80 >> bit)


def with_bit(bits: bytes, number: int, *, on: bool) -> bytes:
    """Put a port into a PortList, or take it out."""
    octet, bit = divmod(number - 1, 8)
    changed = bytearray(bits.ljust(octet + 1, b"\0"))
    changed[octet] = changed[octet] | 0x80 >> bit if on else changed[octet] & ~(0x80 >> bit) & 0xFF
    return bytes(changed)
