"""Tables as rows: switches' forwarding tables, RADIUS accounting, and the company's own inventory (CSV, JSON)."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from forestall.domain.device import SiteId
from forestall.domain.sighting import Sighting, Source
from forestall.sightings import cell
from forestall.sightings.cell import Read
from forestall.sightings.neighbours import objects

_BOOKS = ("hardware", "address", "name", "user", "port", "site", "seen_at")


def read_forwarding(data: bytes, site: SiteId, now: datetime) -> Read:
    """Read a switch's forwarding table: CSV with the columns switch, port, mac; vlan and seen_at may be there."""
    found = cell.csv_rows(data, ("switch", "port", "mac"))
    return cell.collect((where, partial(_forwarding, row, site, now)) for where, row in found)


def _forwarding(row: Mapping[str, str], site: SiteId, now: datetime) -> Sighting | None:
    mac = cell.hardware(row["mac"])
    if not mac:
        return None
    port = f"{cell.text(row['switch'])} {cell.text(row['port'])}".strip()
    vlan = row.get("vlan", "").strip()
    return Sighting(
        Source.FORWARDING,
        site,
        cell.moment(row.get("seen_at", ""), now),
        mac,
        port=port,
        vlan=int(vlan) if vlan.isdecimal() and len(vlan) < 5 else 0,
    )


def read_accounting(data: bytes, site: SiteId, now: datetime) -> Read:
    """Read RADIUS accounting: CSV with the columns of FreeRADIUS's `radacct` table.

    Only `tls_client_cert_common_name`, which the server itself verified, is believed to be a certificate.
    """
    found = cell.csv_rows(data, ("username", "callingstationid"))
    return cell.collect((where, partial(_accounting, row, site, now)) for where, row in found)


def _accounting(row: Mapping[str, str], site: SiteId, now: datetime) -> Sighting | None:
    mac = cell.hardware(row["callingstationid"])
    ip = cell.address(row.get("framedipaddress", ""))
    if not mac and not ip:
        return None
    times = (row.get(name, "") for name in ("acctstoptime", "acctupdatetime", "acctstarttime"))
    port = f"{cell.text(row.get('nasipaddress'))} {cell.text(row.get('nasportid'))}".strip()
    return Sighting(
        Source.LOGIN,
        site,
        cell.moment(next((each for each in times if each), ""), now),
        mac,
        ip,
        user=cell.text(row["username"]),
        port=port,
        certificate=cell.text(row.get("tls_client_cert_common_name")),
    )


def read_csv(data: bytes, site: SiteId, now: datetime) -> Read:
    """Read an inventory of the company's own: CSV with any of hardware, address, name, user, port, site, seen_at."""
    found = cell.csv_rows(data, ())
    return cell.collect((where, partial(_books, row, site, now)) for where, row in found)


def read_json(data: bytes, site: SiteId, now: datetime) -> Read:
    """Read the same as a JSON list of objects."""
    found = enumerate(objects(data), start=1)
    return cell.collect((f"entry {place}", partial(_books, row, site, now)) for place, row in found)


def _books(row: object, site: SiteId, now: datetime) -> Sighting:
    if not isinstance(row, Mapping):
        raise TypeError("is no object")
    known = {name: str(row.get(name) or "") for name in _BOOKS}
    sighting = Sighting(
        Source.BOOKS,
        SiteId(cell.text(known["site"])) if known["site"].strip() else site,
        cell.moment(known["seen_at"], now),
        cell.hardware(known["hardware"]),
        cell.address(known["address"]),
        cell.text(known["name"]),
        cell.text(known["user"]),
        cell.text(known["port"]),
    )
    if not sighting.hardware and not sighting.address:
        raise ValueError("has neither hardware nor address: nobody can be found by it")
    return sighting
