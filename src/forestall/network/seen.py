"""Who is there by a switch's forwarding table and by a router's table of neighbours. Pure: tables in, sightings out.

A port that leads to other switches, or that many share, is nobody's place; whoever is behind it is seen all the same.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from forestall.domain.address import mac_of_bytes
from forestall.domain.device import SiteId
from forestall.domain.sighting import Sighting, Source, is_shared
from forestall.network.snmp import Value
from forestall.network.switch import SwitchPort, SwitchRules, SwitchSight, SwitchView

MOST_AT_A_PORT = 8
"""More addresses than this at one port are another switch's, whatever the port says of itself."""
LONGEST_PORT = 100
_STALE, _INVALID, _INCOMPLETE = 2, 5, 7
_IP_SIZES = {1: 4, 2: 16, 3: 4, 4: 16}
"""InetAddressType -> octets: IPv4, IPv6, and both with a zone behind them (RFC 4001)."""
Rows = Mapping[tuple[int, ...], Value]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one switch or router knows."""

    forwarding: tuple[tuple[Sighting, int], ...] = ()
    """Whom it forwards to, with how many addresses share the port."""
    neighbours: tuple[Sighting, ...] = ()
    """Who holds which IP address, and answered lately."""
    stale: tuple[Sighting, ...] = ()
    """Who held one, and has not been heard of since: nobody was seen by that alone."""


def forwarded(
    view: SwitchView, vlans: Mapping[str, int], rules: SwitchRules, site: SiteId, now: datetime
) -> Iterator[tuple[Sighting, int]]:
    """Yield whom a switch forwards to; at several ports of their own, the one that the fewest share."""
    crowd = Counter(index for ports in view.seen.values() for index in ports)
    sight = SwitchSight(view, rules)
    places = {
        index: port
        for index, port in view.ports.items()
        if 0 < crowd[index] <= MOST_AT_A_PORT and sight.leads_on(port) is None
    }
    for mac, ports in view.seen.items():
        if mac in view.own or is_shared(mac):
            continue
        at = min(
            (index for index in ports if index in places), key=lambda each: (crowd[each], each), default=None
        )
        port = "" if at is None else _named(rules.name, places[at])
        vlan = vlans.get(mac, 0) or (0 if at is None else places[at].pvid or 0)
        yield Sighting(Source.FORWARDING, site, now, mac, port=port, vlan=vlan), crowd[at] if at else 0


def _named(switch: str, port: SwitchPort) -> str:
    name = "".join(letter for letter in port.name if letter.isprintable())
    return f"{switch} {name}"[:LONGEST_PORT]


def vlans_of(table: Rows, ids: Rows) -> dict[str, int]:
    """Read in which VLAN each address was learned; the table counts by filtering databases (RFC 4363)."""
    vlan_of = {int(value): index[-1] for index, value in ids.items() if isinstance(value, int) and index}
    found = dict[str, int]()
    for index in table:
        if len(index) == 7 and all(octet < 256 for octet in index[1:]):
            vlan = vlan_of.get(index[0], index[0])
            found[mac_of_bytes(index[1:])] = vlan if 0 < vlan < 4_095 else 0
    return found


def neighbours(old: Rows, new: Rows, states: Rows, site: SiteId, now: datetime) -> Seen:
    """Read who holds which address: ipNetToMedia (IPv4) and ipNetToPhysical with its states (both)."""
    lively, stale = dict[Sighting, None](), dict[Sighting, None]()
    for index, value in old.items():
        if len(index) == 5 and (sighting := _neighbour(index[1:], value, site, now)):
            lively[sighting] = None
    for index, value in new.items():
        sighting = _neighbour(_octets(index), value, site, now)
        state = states.get(index)
        if sighting is None or state in {_INVALID, _INCOMPLETE}:
            continue
        if state == _STALE:
            # The older table has no states: what it says of the same neighbour is no fresher.
            lively.pop(sighting, None)
            stale[sighting] = None
        else:
            lively[sighting] = None
    return Seen(neighbours=tuple(lively), stale=tuple(stale))


def _octets(index: tuple[int, ...]) -> tuple[int, ...]:
    """Take the address out of an index: interface, type, length, octets."""
    if len(index) < 4 or len(index) != 3 + index[2]:
        return ()
    return index[3 : 3 + _IP_SIZES.get(index[1], 0)]


def _neighbour(octets: tuple[int, ...], value: Value, site: SiteId, now: datetime) -> Sighting | None:
    mac = mac_of_bytes(value) if isinstance(value, bytes) else ""
    if not mac or len(octets) not in {4, 16} or not all(octet < 256 for octet in octets):
        return None
    address = ip_address(bytes(octets))
    if address.is_link_local or address.is_multicast or address.is_loopback or address.is_unspecified:
        return Sighting(Source.NEIGHBOUR, site, now, mac) if address.is_link_local else None
    return Sighting(Source.NEIGHBOUR, site, now, mac, str(address))
