"""Keeps who is logged in, by RADIUS accounting; machines are made of it by the next turn of `server.reading` (P6.2)."""

from collections.abc import Iterable, Sequence

from forestall.domain.device import SiteId
from forestall.domain.sighting import Sighting
from forestall.server.network_file import MAIN, NetworkTable, SourceTable
from forestall.sightings.session import Client, Clients
from forestall.store import sightings
from forestall.store.database import Database


def keep(database: Database, batch: Iterable[Sequence[Sighting]]) -> None:
    """Keep sightings of many sessions in one transaction; a repeated or late one changes nothing."""
    with database.begin() as con:
        sightings.put(con, (each for seen in batch for each in seen))


def clients_of(table: NetworkTable) -> Clients:
    """Name RADIUS clients as the settings do, so that a port has one name, whoever tells of it."""
    named = {
        each.address: Client(
            each.name, SiteId(each.site if isinstance(each, SourceTable) else (*each.sites, MAIN)[0])
        )
        for each in (*table.points, *table.sources)
        if hasattr(each, "address")
    }
    return Clients(named, SiteId(table.admission.site))
