"""Who was seen on the network, and which sightings are one machine (A13, P6.2).

What a machine says of itself, its name for example, never joins it to another: names are claims. A certificate joins
first, a hardware address next; an IP address only says who held it last.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import NamedTuple

from forestall.domain.device import DeviceId, SiteId


class Source(StrEnum):
    """What saw it."""

    NEIGHBOUR = "neighbour"
    """A router's table of hardware addresses (ARP, NDP)."""
    LEASE = "lease"
    """A DHCP server's leases."""
    FORWARDING = "forwarding"
    """A switch's table: which hardware address is behind which port."""
    LOGIN = "login"
    """RADIUS accounting: who came in by which device."""
    SWEEP = "sweep"
    """It answered when we knocked."""
    CHECK_IN = "check_in"
    """An agent of ours came from this address, with its certificate."""
    BOOKS = "books"
    """An inventory of the company's own, imported."""


class Sighting(NamedTuple):
    """One observation of a machine; empty where the source does not say."""

    source: Source
    site: SiteId
    seen_at: datetime
    hardware: str = ""
    """MAC address as aa:bb:cc:dd:ee:ff."""
    address: str = ""
    """IP address, as Python's ipaddress prints it."""
    name: str = ""
    """What it calls itself: shown, never believed."""
    user: str = ""
    """Who logged on, as the directory names him."""
    port: str = ""
    """Switch and port."""
    certificate: str = ""
    """Whom a certificate that was verified names: the only word on who is managed."""
    vlan: int = 0
    """The VLAN it was seen in; 0 where the source does not say."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine is attached, by the newest word of one source."""

    source: Source
    port: str
    vlan: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Machine:
    """All that was seen of one machine."""

    id: DeviceId
    site: SiteId
    name: str
    user: str
    port: str
    """The newest of its places; else what the company's own list says."""
    places: tuple[Place, ...]
    """By switches and RADIUS servers: a port that leads to many machines is nobody's place."""
    hardware: tuple[str, ...]
    addresses: tuple[str, ...]
    """IP addresses of which it is the last holder."""
    sources: tuple[Source, ...]
    first_seen_at: datetime
    last_seen_at: datetime
    managed: bool


@dataclass(frozen=True, slots=True, order=True)
class Joined:
    """A line of the merge log: two machines that we knew apart are one."""

    kept: DeviceId
    absorbed: DeviceId
    because: str


Way = tuple[str, str, str, str, str]
"""One way of being seen: source, site, hardware address, IP address, certificate."""


def way_of(sighting: Sighting) -> Way:
    """Name the way somebody was seen; only the newest sighting of each is kept."""
    return sighting.source, sighting.site, sighting.hardware, sighting.address, sighting.certificate


class Merged(NamedTuple):
    """Machines, what was joined to make them, and whom each sighting was taken for."""

    machines: list[Machine]
    log: list[Joined]
    taken: dict[Sighting, DeviceId]


ATTACHES = (Source.FORWARDING, Source.LOGIN)
"""What knows at which port somebody is."""
ADDRESS_HELD_FOR = timedelta(days=1)
"""Whoever was last seen with an IP address within this time is taken for its holder."""

_HARDWARE, _CERTIFICATE = "hardware:", "certificate:"
_SHARED = ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:")
"""Hardware addresses that are nobody's alone: none, everybody, routers that stand in for each other."""


def is_shared(hardware: str) -> bool:
    """Say whether a hardware address is no machine's own; group addresses are not."""
    return hardware.startswith(_SHARED) or bool(int(hardware[:2], 16) & 1)


def merge(
    sightings: Iterable[Sighting], known: Mapping[Way, DeviceId], enrolled: Iterable[DeviceId] = ()
) -> Merged:
    """Make machines of sightings; their order does not matter.

    `known` says whom each way of being seen was taken for before, so that a machine keeps its id. `enrolled` are the
    ids that have a certificate of ours: only a sighting with that certificate makes a machine one of them.
    """
    ordered = sorted(sightings, key=lambda each: (each.seen_at, *each))
    groups, managed = _Groups(ordered), frozenset(enrolled)
    members = defaultdict[str, list[Sighting]](list)
    for sighting in ordered:
        members[groups.of(sighting)].append(sighting)
    held, earlier = _held(members), _earlier(ordered, groups, known, managed)
    given = frozenset(known.values())
    machines, log, taken = list[Machine](), list[Joined](), dict[Sighting, DeviceId]()
    for root, seen in members.items():
        certified = [name for each in seen if (name := DeviceId(each.certificate)) in managed]
        names = [*certified[:1], *sorted(earlier[root])] or [_new_id(root, given)]
        why = f"seen as {', '.join(sorted({_key(each) for each in seen}))}"
        log += [Joined(names[0], name, why) for name in names[1:]]
        machines.append(_machine(names[0], seen, tuple(sorted(held[root])), managed=bool(certified)))
        taken |= dict.fromkeys(seen, names[0])
    return Merged(sorted(machines, key=lambda each: each.id), sorted(log), taken)


class _Groups:
    """Which sightings are of one machine."""

    def __init__(self, ordered: Sequence[Sighting]) -> None:
        self._holders = defaultdict[tuple[str, str], list[tuple[datetime, str]]](list)
        """By which mark an IP address was held, and when."""
        for each in ordered:
            if each.address and (mark := _mark(each)):
                self._holders[each.site, each.address].append((each.seen_at, mark))
        owners = defaultdict[str, set[str]](set)
        for each in ordered:
            if each.certificate and (mark := self._vouched(each)):
                owners[mark].add(each.certificate)
        # The address of a docking station, or of a router with many behind it, is nobody's.
        self._owner = {mark: next(iter(names)) for mark, names in owners.items() if len(names) == 1}

    def of(self, sighting: Sighting) -> str:
        """Name the machine a sighting is of; one by IP address alone is of who held it at that time."""
        if sighting.certificate:
            return _CERTIFICATE + sighting.certificate
        mark = _mark(sighting) or self._holder(sighting)
        if mark in self._owner:
            return _CERTIFICATE + self._owner[mark]
        return mark or _key(sighting)

    def _vouched(self, sighting: Sighting) -> str:
        """Find whose hardware address a certificate vouches for.

        An agent's word vouches for what it names and was borne out (`domain.vouching`), and for nothing more: it may
        have come through a machine that stands in for others.
        """
        if _own_hardware(sighting):
            return _HARDWARE + sighting.hardware
        return "" if sighting.source is Source.CHECK_IN else self._holder(sighting, _HARDWARE)

    def _holder(self, sighting: Sighting, kind: str = "") -> str:
        """Find by which mark, of all or of one kind, an IP address was held last before a sighting, or next after."""
        held = self._holders.get((sighting.site, sighting.address), []) if sighting.address else []
        near = [
            each
            for each in held
            if abs(each[0] - sighting.seen_at) <= ADDRESS_HELD_FOR and each[1].startswith(kind)
        ]
        before = [each for each in near if each[0] <= sighting.seen_at]
        found = max(before) if before else min(near, default=None)
        return found[1] if found else ""


def _mark(sighting: Sighting) -> str:
    """Name by what somebody holds an IP address: a hardware address, or an agent's word alone."""
    if _own_hardware(sighting):
        return _HARDWARE + sighting.hardware
    return _CERTIFICATE + sighting.certificate if sighting.source is Source.CHECK_IN else ""


def _own_hardware(sighting: Sighting) -> str:
    return "" if not sighting.hardware or is_shared(sighting.hardware) else sighting.hardware


def _earlier(
    ordered: Sequence[Sighting], groups: _Groups, known: Mapping[Way, DeviceId], managed: frozenset[DeviceId]
) -> dict[str, set[DeviceId]]:
    """Find which machines of before each one was; what was seen by its own marks and last has the best claim."""
    claims: dict[DeviceId, tuple[bool, datetime, str]] = {}
    for each in ordered:
        name = known.get(way_of(each))
        if name is not None and name not in managed:
            claim = (_own_hardware(each) + each.certificate != "", each.seen_at, groups.of(each))
            claims[name] = max(claims.get(name, claim), claim)
    found = defaultdict[str, set[DeviceId]](set)
    for name, (_, _, root) in claims.items():
        found[root].add(name)
    return found


def _new_id(root: str, given: frozenset[DeviceId]) -> DeviceId:
    """Name a machine by what it was first seen as; a name that is another's by now gets a number."""
    names = (DeviceId(f"seen-{root}" + (f"-{n}" if n > 1 else "")) for n in count(1))
    return next(name for name in names if name not in given)


def _key(sighting: Sighting) -> str:
    """Name what a sighting is known by: its certificate, its hardware address, or its IP address alone."""
    if sighting.certificate:
        return _CERTIFICATE + sighting.certificate
    hardware = _own_hardware(sighting)
    return _HARDWARE + hardware if hardware else f"address:{sighting.site}:{sighting.address}"


def _held(members: Mapping[str, Sequence[Sighting]]) -> dict[str, set[str]]:
    """Find the IP addresses that each was the last to be seen with: by no other is it probed or removed."""
    last: dict[tuple[SiteId, str], tuple[datetime, str]] = {}
    for root, seen in members.items():
        for each in seen:
            if each.address:
                place, word = (each.site, each.address), (each.seen_at, root)
                last[place] = max(last.get(place, word), word)
    found = defaultdict[str, set[str]](set)
    for (_, address), (_, root) in last.items():
        found[root].add(address)
    return found


def _machine(name: DeviceId, seen: Sequence[Sighting], held: tuple[str, ...], *, managed: bool) -> Machine:
    places = _places(seen)
    return Machine(
        id=name,
        site=seen[-1].site,
        name=_last(each.name for each in seen),
        user=_last(each.user for each in seen),
        port=next((place.port for place in reversed(places)), "")
        or _last(each.port for each in seen if each.source is Source.BOOKS),
        places=places,
        hardware=tuple(sorted({hardware for each in seen if (hardware := _own_hardware(each))})),
        addresses=held,
        sources=tuple(sorted({each.source for each in seen})),
        first_seen_at=seen[0].seen_at,
        last_seen_at=seen[-1].seen_at,
        managed=managed,
    )


def _places(seen: Sequence[Sighting]) -> tuple[Place, ...]:
    """Find the newest place that each source which knows ports has named, the newest last."""
    newest = {
        each.source: Place(each.source, each.port, each.vlan, each.seen_at)
        for each in seen
        if each.port and each.source in ATTACHES
    }
    return tuple(sorted(newest.values(), key=lambda place: (place.seen_at, place.source)))


def _last(texts: Iterable[str]) -> str:
    return next((text for text in reversed(list(texts)) if text), "")
