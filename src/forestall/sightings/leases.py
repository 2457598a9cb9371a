"""Leases of DHCP servers: dnsmasq's and ISC's files, Kea's CSV."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

from forestall.domain.device import SiteId
from forestall.domain.sighting import Sighting, Source
from forestall.sightings import cell
from forestall.sightings.cell import Read

_ISC_LEASE = re.compile(r"^lease (\S+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_ISC_TIME = r"{} (?:\d (\d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d)|epoch (\d+))"
_KEA_ACTIVE = "0"


def read_dnsmasq(data: bytes, site: SiteId, now: datetime) -> Read:
    """Read `dnsmasq.leases`: when it ends, hardware address, IP address, name, client id."""
    lines = cell.decode(data).splitlines()
    named = enumerate(lines, start=1)
    rows = ((f"line {number}", partial(_dnsmasq, line, site, now)) for number, line in named if line.strip())
    return cell.collect(rows)


def _dnsmasq(line: str, site: SiteId, now: datetime) -> Sighting | None:
    words = line.split()
    if words[0] == "duid":
        return None
    if len(words) < 4:
        raise ValueError("expected: end, hardware address, IP address, name")
    ends, mac, ip, name = words[:4]
    # How long a lease is, is not in the file: a running one is a sighting now, 0 never ends.
    seen_at = now if ends == "0" else cell.moment(ends, now)
    # A leading hardware type (06-aa:bb:...) is not Ethernet's.
    return Sighting(Source.LEASE, site, seen_at, cell.hardware(mac), cell.address(ip), _name(name))


def read_isc(data: bytes, site: SiteId, now: datetime) -> Read:
    """Read ISC's `dhcpd.leases`; of several entries for an address the last counts."""
    text = cell.decode(data)
    blocks = {found[1]: found for found in _ISC_LEASE.finditer(text)}
    rows = (
        (f"lease {cell.text(ip)}", partial(_isc, ip, found[2], site, now)) for ip, found in blocks.items()
    )
    return cell.collect(rows)


def _isc(ip: str, body: str, site: SiteId, now: datetime) -> Sighting | None:
    mac = re.search(r"hardware ethernet ([0-9a-fA-F:]+);", body)
    state = re.search(r"^\s*binding state (\w+);", body, re.MULTILINE)
    if mac is None or (state is not None and state[1] == "abandoned"):
        return None
    name = re.search(r'client-hostname "((?:[^"\\]|\\.)*)"', body)
    seen_at = _isc_time("cltt", body) or _isc_time("starts", body)
    if seen_at is None:
        raise ValueError("has neither cltt nor starts")
    return Sighting(
        Source.LEASE,
        site,
        min(seen_at, now),
        cell.hardware(mac[1]),
        cell.address(ip),
        _name(name[1]) if name else "",
    )


def _isc_time(name: str, body: str) -> datetime | None:
    found = re.search(_ISC_TIME.format(name), body)
    if found is None:
        return None
    if found[2]:
        return datetime.fromtimestamp(int(found[2]), UTC)
    return datetime.strptime(found[1], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)


def read_kea(data: bytes, site: SiteId, now: datetime) -> Read:
    """Read Kea's `kea-leases4.csv`, a journal: of several rows for an address the last counts."""
    last: dict[str, tuple[str, Mapping[str, str]]] = {}
    for where, row in cell.csv_rows(data, ("address", "hwaddr", "valid_lifetime", "expire")):
        last[row.get("address", "")] = where, row
    return cell.collect(_kea_rows(last, site, now))


def _kea_rows(
    last: Mapping[str, tuple[str, Mapping[str, str]]], site: SiteId, now: datetime
) -> Iterator[tuple[str, partial[Sighting | None]]]:
    for where, row in last.values():
        yield where, partial(_kea, row, site, now)


def _kea(row: Mapping[str, str], site: SiteId, now: datetime) -> Sighting | None:
    if row.get("state", _KEA_ACTIVE) not in {_KEA_ACTIVE, ""} or not row["hwaddr"]:
        return None
    begun = int(row["expire"]) - int(row["valid_lifetime"])
    return Sighting(
        Source.LEASE,
        site,
        cell.moment(str(begun), now),
        cell.hardware(row["hwaddr"]),
        cell.address(row["address"]),
        _name(row.get("hostname", "")),
    )


def _name(name: str) -> str:
    return "" if name == "*" else cell.text(name).rstrip(".")
