"""Who was seen on the network."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import DeviceId, SiteId
from forestall.domain.sighting import Sighting, Source, Way, way_of
from forestall.store.bulk import staged
from forestall.store.tables import sighting as table

_COLUMNS = [table.c[name] for name in Sighting._fields]
_KEY = [column.name for column in table.primary_key.columns]


def alone(con: Connection) -> None:
    """Let nobody else make machines of sightings until this transaction ends."""
    con.execute(text("SELECT pg_advisory_xact_lock(hashtext('sightings'))"))


def put(con: Connection, sightings: Iterable[Sighting]) -> None:
    """Keep sightings; of the same way of being seen only the newest.

    Rows are locked in the order of their keys, here as in `assign`: writers wait for each other, never in a circle.
    """
    newest: dict[Way, Sighting] = {}
    for each in sightings:
        way = way_of(each)
        newest[way] = max(newest.get(way, each), each, key=lambda one: one.seen_at)
    if not newest:
        return
    with staged(con, _COLUMNS, (newest[way] for way in sorted(newest))) as stage:
        ordered = select(stage).order_by(*(stage.c[name] for name in _KEY))
        statement = insert(table).from_select([column.name for column in _COLUMNS], ordered)
        fresh = {name: statement.excluded[name] for name in ("seen_at", "name", "user", "port", "vlan")}
        con.execute(
            statement.on_conflict_do_update(
                index_elements=_KEY, set_=fresh, where=table.c.seen_at <= statement.excluded.seen_at
            )
        )


def forget(con: Connection, before: datetime) -> None:
    """Let go of sightings older than an instant; those that somebody is renewing just now stay."""
    key = tuple_(*table.primary_key.columns)
    old = select(*table.primary_key.columns).where(table.c.seen_at < before)
    con.execute(delete(table).where(key.in_(old.with_for_update(skip_locked=True))))


def waiting(con: Connection) -> bool:
    """Say whether somebody was seen in a way that is new and not yet anybody's."""
    return con.execute(select(1).where(table.c.device.is_(None)).limit(1)).first() is not None


def lately(con: Connection, source: Source, since: datetime) -> set[str]:
    """Read the hardware addresses that a source has seen since an instant."""
    wanted = select(table.c.hardware).distinct().where(table.c.source == source, table.c.seen_at >= since)
    return set(con.execute(wanted).scalars())


def known(con: Connection, hardware: Collection[str]) -> set[str]:
    """Say which of these hardware addresses somebody was seen with before."""
    wanted = select(table.c.hardware).distinct().where(table.c.hardware == func.any(list(hardware)))
    return set(con.execute(wanted).scalars())


def tally(con: Connection) -> dict[Source, tuple[int, datetime]]:
    """Count the ways in which each source has seen somebody, with the newest instant."""
    rows = con.execute(
        select(table.c.source, func.count(), func.max(table.c.seen_at))
        .group_by(table.c.source)
        .order_by(table.c.source)
    )
    return {Source(source): (count, at) for source, count, at in rows}


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
    if not taken:
        return
    like = [*(table.c[name] for name in _KEY), table.c.device]
    rows = ((*way_of(each), device) for each, device in taken.items())
    with staged(con, like, rows) as stage:
        same = [table.c[name] == stage.c[name] for name in _KEY]
        key = [table.c[name] for name in _KEY]
        locked = select(func.count()).select_from(
            select(*key).where(*same).order_by(*key).with_for_update(of=table).subquery()
        )
        con.execute(locked)
        con.execute(update(table).where(*same).values(device=stage.c.device))
