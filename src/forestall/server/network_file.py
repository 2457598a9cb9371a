"""The settings of enforcement points: `[network]`, `[[network.points]]`, `[room]`.

Secrets are in files of their own. One that others can read is refused, and so is what would make a point unsafe.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from forestall.domain import address
from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.network import radius_coa, snmp
from forestall.network.hook import HookPoint
from forestall.network.nftables import NftPoint, NftRules
from forestall.network.point import Point
from forestall.network.radius_coa import RadiusPoint, RadiusRules, Way
from forestall.network.switch import SwitchRules
from forestall.network.switch_snmp import SnmpSwitch
from forestall.network.tables import TableSource
from forestall.server.credentials import login_of, secret_of

MAIN = "main"
"""The site of whatever is not said to be elsewhere, as for `forestall find import`."""
Vlan = Annotated[int, msgspec.Meta(ge=1, le=4094)]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[\w.:-]{1,60}$")]
Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class SnmpTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="snmp"):
    """A switch."""

    name: Name
    address: str
    credentials: str
    port: PortNumber = snmp.PORT
    sites: list[str] = []
    uplinks: list[str] = []
    never: list[str] = []
    quarantine_vlan: Vlan | None = None
    voice_vlans: list[Vlan] = []
    other_addresses: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0
    closed_at_most: Count = 5
    longest_mark: Annotated[int, msgspec.Meta(ge=32, le=255)] = 64
    seconds: Annotated[float, msgspec.Meta(gt=0, le=30)] = 2.0
    reader: str = ""
    """A login that may only read; with it the switch's tables also find machines."""


class SourceTable(msgspec.Struct, forbid_unknown_fields=True):
    """A switch or router that is only read: who is there?"""

    name: Name
    address: str
    credentials: str
    site: str = MAIN
    port: PortNumber = snmp.PORT
    uplinks: list[str] = []
    seconds: Annotated[float, msgspec.Meta(gt=0, le=30)] = 2.0


class RadiusTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="radius"):
    """A RADIUS client that takes dynamic authorization."""

    name: Name
    address: str
    credentials: str
    port: PortNumber = radius_coa.PORT
    sites: list[str] = []
    way: Way = Way.DISCONNECT
    quarantine_vlan: str = ""
    separator: Literal["-", ":", ""] = "-"
    seconds: Annotated[float, msgspec.Meta(gt=0, le=30)] = 2.0


class NftTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="nftables"):
    """A Linux gateway or bridge."""

    name: Name
    family: Literal["inet", "bridge", "netdev", "ip", "ip6"]
    table: Name
    macs: str = ""
    ipv4: str = ""
    ipv6: str = ""
    command: list[str] = msgspec.field(default_factory=lambda: ["nft"])
    sites: list[str] = []
    closed_at_most: Count = 50


class HookTable(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="hook"):
    """A command of the company's own."""

    name: Name
    command: list[str]
    sites: list[str] = []
    closed_at_most: Count = 50


PointTable = SnmpTable | RadiusTable | NftTable | HookTable


class AdmissionTable(msgspec.Struct, forbid_unknown_fields=True):
    """What a RADIUS server is answered: FreeRADIUS asks with the password of this file."""

    credentials: str = ""
    vlan: str = ""
    """Of machines that may come in; empty: the RADIUS server's own choice."""
    quarantine_vlan: str = ""
    """Of machines that may not; empty: they are rejected."""
    seconds: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 3_600
    """After which a session is asked for again."""
    site: str = MAIN
    """Of sessions at RADIUS clients that no point and no source names."""


class NetworkTable(msgspec.Struct, forbid_unknown_fields=True):
    """How machines are taken off the network."""

    mode: Literal["simulate", "enforce"] = "simulate"
    protected: list[str] = []
    """Addresses that are never removed: servers, gateways, printers of the payroll."""
    closes_a_minute: Count = 10
    points: list[PointTable] = []
    sources: list[SourceTable] = []
    admission: AdmissionTable = msgspec.field(default_factory=AdmissionTable)


class RoomTable(msgspec.Struct, forbid_unknown_fields=True):
    """The fix-it room: where removed machines find out why, and get the patch."""

    bind: str = ""
    """Empty: there is none. An address that is reached from quarantine, and nothing else on it."""
    patches: str = ""
    """Where the patch is: the address of the content store as removed machines reach it."""


def points_of(
    table: NetworkTable, directory: Path, ours: frozenset[str], engines: snmp.Engines
) -> list[Point]:
    """Make the points that the settings name; `ours` are the addresses of this machine and of its gateways.

    Raises:
        InputError: two of one name, or a file of secrets that is missing, readable by others, or not as it must be.
    """
    _check_names([each.name for each in table.points], "enforcement points")
    return [_point(each, directory, ours, engines) for each in table.points]


def protected_of(table: NetworkTable) -> frozenset[str]:
    """Read the addresses that are never removed.

    Raises:
        InputError: one is no address.
    """
    if wrong := next((each for each in table.protected if not address.canonical(each)), ""):
        raise InputError(f"network.protected: “{wrong[:60]}” is no IP or MAC address")
    return frozenset(map(address.canonical, table.protected))


def _point(table: PointTable, directory: Path, ours: frozenset[str], engines: snmp.Engines) -> Point:
    sites = frozenset(table.sites)
    match table:
        case SnmpTable():
            rules = SwitchRules(
                name=table.name,
                uplinks=frozenset(table.uplinks),
                never=frozenset(table.never),
                quarantine_vlan=table.quarantine_vlan,
                voice_vlans=frozenset(table.voice_vlans),
                other_addresses=table.other_addresses,
                closed_at_most=table.closed_at_most,
                longest_mark=table.longest_mark,
                ours=ours,
            )
            login = login_of(directory, table.credentials)
            return SnmpSwitch(rules, _ip(table), login, engines, sites, table.port, table.seconds)
        case RadiusTable():
            if table.way is Way.COA and not table.quarantine_vlan:
                raise InputError(f"{table.name}: way = “coa” needs a quarantine_vlan to move machines to")
            radius = RadiusRules(table.name, table.way, table.quarantine_vlan, ours, table.separator)
            secret = secret_of(directory, table.credentials).encode()
            return RadiusPoint(radius, _ip(table), secret, sites, table.port, table.seconds)
        case NftTable():
            kinds = {"ether_addr": table.macs, "ipv4_addr": table.ipv4, "ipv6_addr": table.ipv6}
            sets = {kind: name for kind, name in kinds.items() if name}
            if not sets:
                raise InputError(f"{table.name}: name at least one set: macs, ipv4 or ipv6")
            nft = NftRules(table.name, table.family, table.table, sets, table.closed_at_most, ours)
            return NftPoint(nft, tuple(table.command), sites)
        case HookTable():
            command = tuple(table.command)
            _check_program(table.name, command)
            return HookPoint(table.name, command, sites, table.closed_at_most, ours)


def sources_of(table: NetworkTable, directory: Path, ours: frozenset[str]) -> list[TableSource]:
    """Make the sources whose tables are read: those that are named, and the switches with a login for readers.

    Raises:
        InputError: two of one name, or what makes a point unusable.
    """
    found = [
        TableSource(
            SwitchRules(each.name, frozenset(each.uplinks), ours=ours),
            _ip(each),
            login_of(directory, each.reader if isinstance(each, SnmpTable) else each.credentials),
            SiteId(each.site if isinstance(each, SourceTable) else (*each.sites, MAIN)[0]),
            each.port,
            each.seconds,
        )
        for each in (*table.points, *table.sources)
        if isinstance(each, SourceTable) or (isinstance(each, SnmpTable) and each.reader)
    ]
    _check_names([each.name for each in found], "sources of sightings")
    return found


def _check_names(names: Sequence[str], of: str) -> None:
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(f"Two {of} are called “{twice}”: every one needs a name of its own")


def _ip(table: SnmpTable | RadiusTable | SourceTable) -> str:
    """Take an address, never a name: who answers for a name may change."""
    found = address.canonical_ip(table.address)
    if not found:
        raise InputError(
            f"{table.name}: “{table.address[:60]}” is no IP address; names are not looked up here"
        )
    return found


def _check_program(name: str, command: Sequence[str]) -> None:
    """Refuse a hook that somebody else could change."""
    if not command or not command[0].startswith("/"):
        raise InputError(f"{name}: command starts with a full path, as in [“/usr/local/sbin/ports”]")
    path = Path(command[0])
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{name}: {path}: {error.strerror}") from error
    if found.st_mode & 0o022 or found.st_uid not in {0, os.geteuid()} or not os.access(path, os.X_OK):
        raise InputError(f"{name}: {path} must be executable, and writable by its owner alone")
