"""Who was seen on the network."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import DeviceId, SiteId
from forestall.domain.sighting import Sighting, Source, Way, way_of
from forestall.store.bulk import staged
from forestall.store.tables import sighting as table

_COLUMNS = [table.c[name] for name in Sighting._fields]
_KEY = [column.name for column in table.primary_key.columns]


def put(con: Connection, sightings: Iterable[Sighting]) -> None:
    """Keep sightings; of the same way of being seen only the newest."""
    newest: dict[Way, Sighting] = {}
    for each in sightings:
        way = way_of(each)
        newest[way] = max(newest.get(way, each), each, key=lambda one: one.seen_at)
    with staged(con, _COLUMNS, newest.values()) as stage:
        statement = insert(table).from_select([column.name for column in _COLUMNS], select(stage))
        fresh = {name: statement.excluded[name] for name in ("seen_at", "name", "user", "port")}
        con.execute(
            statement.on_conflict_do_update(
                index_elements=_KEY, set_=fresh, where=table.c.seen_at <= statement.excluded.seen_at
            )
        )


def forget(con: Connection, before: datetime) -> None:
    """Let go of sightings older than an instant."""
    con.execute(delete(table).where(table.c.seen_at < before))


def everything(con: Connection) -> tuple[list[Sighting], dict[Way, DeviceId]]:
    """Read all sightings, and whom each was last taken for."""
    seen, known = list[Sighting](), dict[Way, DeviceId]()
    for row in con.execute(select(*_COLUMNS, table.c.device)):
        *values, device = row
        sighting = Sighting(Source(values[0]), SiteId(values[1]), *values[2:])
        seen.append(sighting)
        if device is not None:
            known[way_of(sighting)] = DeviceId(device)
    return seen, known


def assign(con: Connection, taken: Mapping[Sighting, DeviceId]) -> None:
    """Note whom sightings were taken for."""
    like = [*(table.c[name] for name in _KEY), table.c.device]
    rows = ((*way_of(each), device) for each, device in taken.items())
    with staged(con, like, rows) as stage:
        same = [table.c[name] == stage.c[name] for name in _KEY]
        con.execute(update(table).where(*same).values(device=stage.c.device))
