"""What the machines of a test have said: changed by the rules of `domain.trial`, judged and counted set by set."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg import sql
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import DeviceId, SiteId
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.order import CampaignId
from forestall.domain.ring import Ring
from forestall.domain.trial import Signs, Span, Tally, Trial, Word, after_word, tally_of
from forestall.store.bulk import driver, staged
from forestall.store.tables import trial as table

_KEY = ("campaign", "revision", "device")
_OWN = Trial._fields
_AFFECTED, _PENDING = Status.AFFECTED.value, Status.PENDING_RESTART.value

# A machine without a trial is read with what its record says of it before (P4.3); the record is locked already.
_KNOWN = sql.SQL(
    "SELECT r.device, t.device IS NOT NULL, r.inventory_status = {affected} OR r.probe_status = {affected}, {own} "
    "FROM record AS r LEFT JOIN trial AS t ON t.campaign = r.campaign AND t.revision = %s AND t.device = r.device "
    "WHERE r.campaign = %s AND r.device = ANY(%s) ORDER BY r.device"
).format(affected=sql.Literal(_AFFECTED), own=sql.SQL(", ").join(sql.Identifier("t", name) for name in _OWN))

# fmt: off
_OF_INSTALL: Mapping[str, str] = {
    "installed": "true",
    "pending":   f"r.agent_status = '{_PENDING}'",
    "healthy":   "t.restarted_at IS NOT NULL OR d.heard_at >= t.installed_at + %(healthy_after)s",
    "down":      "t.services_at >= %(since)s",
    "relapsed":  "t.relapsed_at >= %(since)s",
    "refuted":   f"r.inventory_status = '{_AFFECTED}' AND r.inventory_at > t.effective_at "
                 f"OR r.probe_status = '{_AFFECTED}' AND r.probe_at > t.effective_at",
    "proven":    "t.was_affected AND (r.inventory_status = ANY(%(clean)s) AND r.inventory_at >= t.installed_at "
                 "OR r.probe_status = ANY(%(clean)s) AND r.probe_at >= t.installed_at)",
    "quiet":     "greatest(t.installed_at, %(since)s) <= %(quiet_before)s",
    "silent":    "greatest(t.installed_at, %(since)s) <= %(silent_before)s",
}
_SIGNS: Mapping[str, str] = {
    "broke":     "t.broke_at >= %(since)s",
    "failed":    "t.failed_at >= %(since)s",
} | {name: f"t.installed_at IS NOT NULL AND ({said})" for name, said in _OF_INSTALL.items()}
# fmt: on
"""`domain.trial.signs_of` in SQL, over a record, its trial and its machine; a NULL is no sign."""

_RING = sql.SQL("coalesce(m.ring, {})").format(sql.Literal(Ring.BROAD.value))
_SAID = sql.SQL(", ").join(sql.SQL(f"coalesce({_SIGNS[name]}, false)") for name in Signs._fields)
_TRIED = sql.SQL(
    "FROM record AS r JOIN device AS d ON d.id = r.device LEFT JOIN ring_member AS m ON m.device = r.device "
    "LEFT JOIN trial AS t ON t.campaign = r.campaign AND t.revision = %(revision)s AND t.device = r.device "
    "WHERE r.campaign = %(campaign)s AND d.managed AND (r.exempt_until IS NULL OR r.exempt_until <= %(now)s)"
)
_IN_RINGS = sql.SQL(" AND {} = ANY(%(rings)s)").format(_RING)
_ON_LISTS = sql.SQL(" AND m.ring = ANY(%(rings)s)")
"""Short lists are found by themselves, without reading everybody."""
_COUNTED = sql.SQL("SELECT {}, {}, count(*) {}{} GROUP BY {}")
_GROUPED = sql.SQL(", ").join(map(sql.Literal, range(1, len(Signs._fields) + 2)))
_LISTED = sql.SQL(
    "SELECT r.device, d.name, d.site, {}, t.installed_at, coalesce(t.services, '{{}}'), coalesce(t.broke, ''), {} {}{}"
    " ORDER BY d.name, r.device"
).format(_RING, _SAID, _TRIED, _IN_RINGS)


class Tester(NamedTuple):
    """One machine of a test, with its signs."""

    device: DeviceId
    name: str
    site: SiteId
    ring: Ring
    installed_at: datetime | None
    services: tuple[str, ...]
    broke: str
    """What its person says; hostile text."""
    signs: Signs


def hear(
    con: Connection, campaign: CampaignId, revision: int, words: Mapping[DeviceId, Word], now: datetime
) -> list[tuple[DeviceId, Trial]]:
    """Take in what agents say of one campaign, whose records the caller has locked; returns what has changed.

    A machine that is not in the campaign, or has nothing to tell of an install yet, leaves no trace.
    """
    changed: list[tuple[DeviceId, Trial]] = []
    found = driver(con).execute(_KNOWN, (revision, campaign, list(words)))
    for device, known, was_affected, *own in found:
        before = _trial(own) if known else Trial(was_affected=bool(was_affected))
        after = after_word(before, words[DeviceId(device)], now)
        if after != before:
            changed.append((DeviceId(device), after))
    if changed:
        _write(con, campaign, revision, changed)
    return changed


def tally(
    con: Connection, campaign: CampaignId, revision: int, rings: Sequence[Ring], span: Span
) -> dict[Ring, Tally]:
    """Count the machines of these rings by their verdicts; those that are exempt are left out."""
    within = _IN_RINGS if Ring.BROAD in rings else _ON_LISTS
    statement = _COUNTED.format(_RING, _SAID, _TRIED, within, _GROUPED)
    groups: dict[Ring, list[tuple[Signs, int]]] = {ring: [] for ring in rings}
    for ring, *said, count in driver(con).execute(statement, _values(campaign, revision, rings, span)):
        groups[Ring(ring)].append((Signs._make(said), count))
    return {ring: tally_of(found) for ring, found in groups.items()}


def testers(
    con: Connection, campaign: CampaignId, revision: int, rings: Sequence[Ring], span: Span
) -> Iterator[Tester]:
    """Read the machines of these rings with their signs, by name; those that are exempt are left out."""
    with driver(con).cursor() as cursor:
        for row in cursor.stream(_LISTED, _values(campaign, revision, rings, span)):
            device, name, site, ring, installed_at, services, broke, *said = row
            yield Tester(
                DeviceId(device), name, SiteId(site), Ring(ring), installed_at, tuple(services), broke,
                Signs._make(said),
            )  # fmt: skip


def _values(campaign: CampaignId, revision: int, rings: Sequence[Ring], span: Span) -> dict[str, object]:
    known = {"campaign": campaign, "revision": revision, "rings": list(rings), "clean": sorted(CLEAN)}
    return known | span._asdict()


def _trial(own: Sequence[object]) -> Trial:
    trial = Trial._make(own)
    return trial._replace(services=tuple(trial.services))


def _write(
    con: Connection, campaign: CampaignId, revision: int, changed: Sequence[tuple[DeviceId, Trial]]
) -> None:
    columns = [table.c[name] for name in (*_KEY, *_OWN)]
    rows = (
        (campaign, revision, device, *trial._replace(services=list(trial.services)))  # type: ignore[arg-type]  # an array on the wire
        for device, trial in changed
    )
    with staged(con, columns, rows) as stage:
        names = [column.name for column in columns]
        statement = insert(table).from_select(names, select(stage).order_by(stage.c.device))
        new = {name: statement.excluded[name] for name in _OWN}
        con.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=new))
