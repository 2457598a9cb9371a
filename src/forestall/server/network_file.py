"""The settings of enforcement points: `[network]`, `[[network.points]]`, `[room]`.

Secrets are in files of their own. One that others can read is refused, and so is what would make a point unsafe.
"""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from forestall.domain import address
from forestall.domain.errors import InputError
from forestall.network import radius_coa, snmp
from forestall.network.hook import HookPoint
from forestall.network.nftables import NftPoint, NftRules
from forestall.network.point import Point
from forestall.network.radius_coa import RadiusPoint, RadiusRules, Way
from forestall.network.switch import SwitchRules
from forestall.network.switch_snmp import SnmpSwitch
from forestall.server.toml_file import read_toml

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


class NetworkTable(msgspec.Struct, forbid_unknown_fields=True):
    """How machines are taken off the network."""

    mode: Literal["simulate", "enforce"] = "simulate"
    protected: list[str] = []
    """Addresses that are never removed: servers, gateways, printers of the payroll."""
    closes_a_minute: Count = 10
    points: list[PointTable] = []
    admission: AdmissionTable = msgspec.field(default_factory=AdmissionTable)


class RoomTable(msgspec.Struct, forbid_unknown_fields=True):
    """The fix-it room: where removed machines find out why, and get the patch."""

    bind: str = ""
    """Empty: there is none. An address that is reached from quarantine, and nothing else on it."""
    patches: str = ""
    """Where the patch is: the address of the content store as removed machines reach it."""


class _Community(msgspec.Struct, forbid_unknown_fields=True):
    community: str


class _User(msgspec.Struct, forbid_unknown_fields=True):
    user: str
    auth_key: Annotated[str, msgspec.Meta(min_length=8)]
    priv_key: Annotated[str, msgspec.Meta(min_length=8)]
    auth: Literal["sha", "sha224", "sha256", "sha384", "sha512"] = "sha256"
    priv: Literal["aes", "aes192", "aes256"] = "aes"


class _Secret(msgspec.Struct, forbid_unknown_fields=True):
    secret: Annotated[str, msgspec.Meta(min_length=8)]


def points_of(
    table: NetworkTable, directory: Path, ours: frozenset[str], engines: snmp.Engines
) -> list[Point]:
    """Make the points that the settings name; `ours` are the addresses of this machine and of its gateways.

    Raises:
        InputError: two of one name, or a file of secrets that is missing, readable by others, or not as it must be.
    """
    names = [each.name for each in table.points]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(f"Two enforcement points are called “{twice}”: every one needs a name of its own")
    return [_point(each, directory, ours, engines) for each in table.points]


def protected_of(table: NetworkTable) -> frozenset[str]:
    """Read the addresses that are never removed.

    Raises:
        InputError: one is no address.
    """
    if wrong := next((each for each in table.protected if not address.canonical(each)), ""):
        raise InputError(f"network.protected: “{wrong[:60]}” is no IP or MAC address")
    return frozenset(map(address.canonical, table.protected))


def secret_of(directory: Path, name: str) -> str:
    """Read a file with the one key `secret`."""
    return read_toml(_private(directory, name), _Secret).secret


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
            login = _login(directory, table.credentials)
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


def _ip(table: SnmpTable | RadiusTable) -> str:
    """Take an address, never a name: who answers for a name may change."""
    found = address.canonical_ip(table.address)
    if not found:
        raise InputError(
            f"{table.name}: “{table.address[:60]}” is no IP address; names are not looked up here"
        )
    return found


def _login(directory: Path, name: str) -> snmp.V2c | snmp.V3:
    path = _private(directory, name)
    if re.search(r"^\s*community\s*=", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE):
        return snmp.V2c(read_toml(path, _Community).community)
    user = read_toml(path, _User)
    return snmp.V3(user.user, user.auth_key, user.priv_key, user.auth, user.priv)


def _private(directory: Path, name: str) -> Path:
    path = directory / name
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; it holds the credentials") from error
    if found.st_mode & 0o077 or not stat.S_ISREG(found.st_mode) or found.st_uid not in {0, os.geteuid()}:
        raise InputError(f"{path}: others can read these credentials; chmod 600 {path}")
    return path


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
