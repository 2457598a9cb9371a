"""The kinds of tables that can be read, one row each."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.sightings import leases, neighbours, rows
from forestall.sightings.cell import Read


class Kind(NamedTuple):
    """One kind of table."""

    name: str
    read: Callable[[bytes, SiteId, datetime], Read]
    meaning: str


KINDS = (
    Kind("neighbours", neighbours.read, "`ip -j -s neigh` of a router"),
    Kind("dnsmasq", leases.read_dnsmasq, "dnsmasq.leases"),
    Kind("isc", leases.read_isc, "dhcpd.leases of ISC DHCP"),
    Kind("kea", leases.read_kea, "kea-leases4.csv"),
    Kind("forwarding", rows.read_forwarding, "switch tables: switch,port,mac"),
    Kind("accounting", rows.read_accounting, "RADIUS accounting with the columns of radacct"),
    Kind("csv", rows.read_csv, "your inventory: hardware,address,name,user,port,site,seen_at"),
    Kind("json", rows.read_json, "the same as a JSON list of objects"),
)


def kind_named(name: str) -> Kind:
    """Find a kind.

    Raises:
        InputError: there is none of that name.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise InputError(
        f"there is no kind of table {name[:60]!r}; there are {', '.join(each.name for each in KINDS)}"
    )
