"""The dated facts of each machine in each campaign: gathered in one go, changed set by set.

How a record changes is the domain's (`domain.record.after_*`); here rows are locked, handed over, written back.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from psycopg import sql
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.evidence import Side, Status
from forestall.domain.order import CampaignId
from forestall.domain.record import Record
from forestall.domain.ring import Ring
from forestall.store import ledger
from forestall.store.bulk import copy_in, driver, staged
from forestall.store.tables import evidence as evidence_table
from forestall.store.tables import record as table

_OF_DEVICE = {
    "device": sql.SQL("d.id"),
    "site": sql.SQL("d.site"),
    "managed": sql.SQL("d.managed"),
    "owned": sql.SQL("d.owner <> ''"),
    "protected": sql.SQL("d.protected"),
    "seen_at": sql.SQL("d.seen_at"),
    "heard_at": sql.SQL("d.heard_at"),
    "ring": sql.SQL("m.ring"),
}
"""What a record has from its machine, whatever the campaign."""

_NAMED_AT_ONCE = 1_000
_OWN = tuple(name for name in Record._fields if name not in _OF_DEVICE)
_STATUS_AT = tuple(index for index, name in enumerate(Record._fields) if name.endswith("_status"))
_ENUM_AT: tuple[tuple[int, type[StrEnum]], ...] = tuple(
    (Record._fields.index(name), kind) for name, kind in (("ring", Ring), ("believed", Side))
)
_STATUS = {status.value: status for status in Status}

_GATHER = sql.SQL(
    "SELECT {} FROM record AS r JOIN device AS d ON d.id = r.device "
    "LEFT JOIN ring_member AS m ON m.device = r.device WHERE r.campaign = %s"
).format(
    sql.SQL(", ").join(_OF_DEVICE.get(name, sql.SQL("r.") + sql.Identifier(name)) for name in Record._fields)
)
_SOME = _GATHER + sql.SQL(" AND r.device = ANY(%s) ORDER BY r.device")
_DISPUTED = _GATHER + sql.SQL(" AND r.disputed_at IS NOT NULL ORDER BY r.disputed_at, r.device")
_LOCKED = _SOME + sql.SQL(" FOR UPDATE OF r")


class Changed(NamedTuple):
    """A record as it was and as it is."""

    before: Record
    after: Record


class Word(NamedTuple):
    """What a witness newly said, for the history."""

    device: DeviceId
    witness: str
    status: Status
    observed_at: datetime
    detail: str


def gather(con: Connection, campaign: CampaignId) -> list[Record]:
    """Read all records of a campaign."""
    return _read(con, _GATHER, (campaign,))


def some(con: Connection, campaign: CampaignId, devices: Sequence[DeviceId]) -> list[Record]:
    """Read the records of some machines, by machine."""
    return _read(con, _SOME, (campaign, list(devices)))


def disputed(con: Connection, campaign: CampaignId) -> list[Record]:
    """Read the records whose agent and probe contradict each other (A18), the oldest disagreement first."""
    return _read(con, _DISPUTED, (campaign,))


def last_words(
    con: Connection, campaign: CampaignId, devices: Sequence[DeviceId]
) -> dict[tuple[DeviceId, str], tuple[datetime, str]]:
    """Say of machines and witnesses when each last began to say what it says, and its detail."""
    rows = driver(con).execute(
        "SELECT DISTINCT ON (device, witness) device, witness, observed_at, detail FROM evidence "
        "WHERE campaign = %s AND device = ANY(%s) ORDER BY device, witness, id DESC",
        (campaign, list(devices)),
    )
    return {(DeviceId(row[0]), row[1]): (row[2], row[3]) for row in rows}


def enlist(con: Connection, campaign: CampaignId, found: Mapping[DeviceId, Status], now: datetime) -> int:
    """Take machines into a campaign with what their inventories say; those already in it stay as they are.

    Returns how many are new; the ledger names them, many to an entry. UNKNOWN is no word, so it is not dated.
    """
    new = bring_back(con, campaign, ((device, status, now) for device, status in found.items()))
    ledger.append(con, _enlisted(campaign, sorted(new), found), now)
    return len(new)


def bring_back(
    con: Connection, campaign: CampaignId, found: Iterable[tuple[DeviceId, Status, datetime]]
) -> list[DeviceId]:
    """Put machines into a campaign without telling the ledger, which knows already (R17); returns the new ones."""
    columns = [table.c[name] for name in ("campaign", "device", "inventory_status", "inventory_at")]
    rows = (
        (campaign, device, None, None) if status is Status.UNKNOWN else (campaign, device, status, at)
        for device, status, at in found
    )
    with staged(con, columns, rows) as stage:
        names = [column.name for column in columns]
        statement = insert(table).from_select(names, select(stage)).on_conflict_do_nothing()
        return [DeviceId(name) for name in con.execute(statement.returning(table.c.device)).scalars()]


def _enlisted(
    campaign: CampaignId, new: Sequence[DeviceId], found: Mapping[DeviceId, Status]
) -> Iterator[Event]:
    for start in range(0, len(new), _NAMED_AT_ONCE):
        machines: dict[str, JsonValue] = {
            device: found[device].value for device in new[start : start + _NAMED_AT_ONCE]
        }
        body: dict[str, JsonValue] = {"machines": machines}
        yield Event(EventKind.ENLISTED, "forestall", campaign, campaign, paragraph="P3.4", body=body)


def revise(
    con: Connection, campaign: CampaignId, changes: Mapping[DeviceId, Callable[[Record], Record]]
) -> list[Changed]:
    """Change records by the domain's rules; rows are locked in one order, so writers never block each other."""
    found = _read(con, _LOCKED, (campaign, list(changes)))
    revised = [Changed(record, changes[record.device](record)) for record in found]
    changed = [pair for pair in revised if pair.before != pair.after]
    if changed:
        _write(con, campaign, (pair.after for pair in changed))
    return changed


def mark(
    con: Connection, campaign: CampaignId, column: str, devices: Sequence[DeviceId], at: datetime
) -> None:
    """Set one instant on many records."""
    statement = sql.SQL("UPDATE record SET {} = %s WHERE campaign = %s AND device = ANY(%s)")
    driver(con).execute(statement.format(sql.Identifier(column)), (at, campaign, list(devices)))


def exempt(con: Connection, campaign: CampaignId, device: DeviceId, until: datetime) -> bool:
    """Exempt a machine from a campaign until an instant (A1); false where it is not in the campaign.

    An instant that has passed ends an exemption.
    """
    mark(con, campaign, "exempt_until", [device], until)
    return bool(some(con, campaign, [device]))


def remember(con: Connection, campaign: CampaignId, words: Iterable[Word]) -> None:
    """Keep what witnesses newly said."""
    columns = ("campaign", "device", "witness", "status", "observed_at", "detail")
    copy_in(con, evidence_table, columns, ((campaign, *word) for word in words))


def off(con: Connection) -> list[tuple[CampaignId, DeviceId]]:
    """List who is off the network, for which campaign."""
    rows = driver(con).execute(
        "SELECT campaign, device FROM record WHERE quarantined_at IS NOT NULL ORDER BY campaign, device"
    )
    return [(CampaignId(row[0]), DeviceId(row[1])) for row in rows]


def memberships(con: Connection, devices: Sequence[DeviceId]) -> set[tuple[CampaignId, DeviceId]]:
    """Say which of some machines are in which campaigns."""
    rows = driver(con).execute("SELECT campaign, device FROM record WHERE device = ANY(%s)", (list(devices),))
    return {(CampaignId(campaign), DeviceId(device)) for campaign, device in rows}


def campaigns_of(con: Connection, device: DeviceId) -> list[CampaignId]:
    """List the campaigns that a machine is in."""
    rows = driver(con).execute("SELECT campaign FROM record WHERE device = %s ORDER BY campaign", (device,))
    return [CampaignId(row[0]) for row in rows]


def _read(con: Connection, statement: sql.Composed, parameters: tuple[object, ...]) -> list[Record]:
    make, status_of, places = Record._make, _STATUS, _STATUS_AT
    found: list[Record] = []
    with driver(con).cursor(binary=True) as cursor:  # instants are most of it, and cheaper so
        for row in cursor.execute(statement, parameters):
            values = list(row)
            for place in places:
                if values[place] is not None:
                    values[place] = status_of[values[place]]
            for place, kind in _ENUM_AT:
                if values[place] is not None:
                    values[place] = kind(values[place])
            found.append(make(values))
    return found


def _write(con: Connection, campaign: CampaignId, records: Iterable[Record]) -> None:
    columns = [table.c.device, *(table.c[name] for name in _OWN)]
    rows = ((record.device, *(getattr(record, name) for name in _OWN)) for record in records)
    with staged(con, columns, rows) as stage:
        assignments = (
            sql.SQL("{0} = {1}.{0}").format(sql.Identifier(name), sql.Identifier(stage.name)) for name in _OWN
        )
        statement = sql.SQL(
            "UPDATE record SET {} FROM {} WHERE record.campaign = %s AND record.device = {}.device"
        )
        name = sql.Identifier(stage.name)
        driver(con).execute(statement.format(sql.SQL(", ").join(assignments), name, name), (campaign,))
