"""Takes in who was seen on the network: sightings become machines, and machines new to us join what is under way."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from forestall.domain.address import canonical
from forestall.domain.device import Device, DeviceId, OwnerSource
from forestall.domain.errors import InputError
from forestall.domain.estimate import Estimate, estimates
from forestall.domain.events import Event, EventKind
from forestall.domain.evidence import Status
from forestall.domain.notice import Person
from forestall.domain.sighting import Joined, Machine, Sighting, Source, Way, merge, way_of
from forestall.domain.vouching import borne_out, standing
from forestall.store import attachments, campaigns, devices, ledger, records, sightings
from forestall.store.attachments import Attachment, Moved
from forestall.store.database import Connection, Database

KEPT_FOR = timedelta(days=30)
"""Older sightings are let go of: what was not seen for a month is not here."""
_IS = "is "
"""So begins the name of a machine that turned out to be another."""


class Taken(NamedTuple):
    """What came of some sightings."""

    machines: int
    new: list[DeviceId]
    joined: list[Joined]
    moved: list[Moved]
    """Who was seen at another port than before."""


def take_in(
    database: Database,
    seen: Iterable[Sighting],
    actor: str,
    now: datetime,
    accounts: Mapping[str, Person] | None = None,
) -> Taken:
    """Keep sightings and make machines of all that are known, in one transaction.

    `accounts` says who uses which account: whoever logged on last owns the machine.
    """
    old = now - KEPT_FOR
    with database.begin() as con:
        sightings.forget(con, old)
    with database.begin() as con:
        # Rows are locked sightings first, then machines, then records, then the ledger, as everywhere.
        sightings.alone(con)
        sightings.put(con, (each for each in seen if each.seen_at >= old))
        stored, known = _everything(con, old)
        before = {device.id: device for device in devices.everything(con)}
        merged = merge(stored, known, (device.id for device in before.values() if device.managed))
        sightings.assign(
            con, {each: name for each, name in merged.taken.items() if known.get(way_of(each)) != name}
        )
        found = [_device(machine, before.get(machine.id), accounts or {}) for machine in merged.machines]
        off = {device for _, device in records.off(con)}
        devices.save(con, [*found, *_others(found, merged.log, before, off)])
        moved = attachments.note(con, merged.machines)
        attachments.forget(con, old, [joined.absorbed for joined in merged.log])
        new = [device.id for device in found if device.id not in before]
        _enlist(con, new, now)
        fled = [_fled(each, actor) for each in moved if each.device in off]
        ledger.append(con, [*(_event(joined, actor) for joined in merged.log), *fled], now)
    return Taken(len(found), new, merged.log, moved)


def _everything(con: Connection, since: datetime) -> tuple[list[Sighting], dict[Way, DeviceId]]:
    """Read what counts: sightings, and what managed machines said since that nothing contradicts, which is kept."""
    stored, known = sightings.everything(con)
    kept = set(stored)
    said = [each for each in borne_out(devices.words(con, since), stored) if each not in kept]
    if said:
        sightings.put(con, said)
        stored, known = sightings.everything(con)
    return standing(stored), known


def _others(
    found: Iterable[Device], log: Iterable[Joined], before: Mapping[DeviceId, Device], off: set[DeviceId]
) -> list[Device]:
    """Find the machines that turned out to be another, just now or earlier."""
    named = [
        replace(before[joined.absorbed], name=f"{_IS}{joined.kept}")
        for joined in log
        if joined.absorbed in before
    ]
    others = {device.id for device in (*found, *named)}
    waiting = [each for each in before.values() if each.name.startswith(_IS) and each.id not in others]
    return _without_addresses([*named, *waiting], off)


def machines(database: Database) -> list[Machine]:
    """List the machines that the sightings of the last month amount to."""
    with database.begin() as con:
        stored, known = sightings.everything(con)
        stored = standing(stored)
        managed = [device.id for device in devices.everything(con) if device.managed]
    return merge(stored, known, managed).machines


def whereabouts(database: Database, machine: str) -> list[Attachment]:
    """Find at which ports a machine is, by its id, its name or one of its addresses; the newest word first.

    Raises:
        InputError: there is no such machine.
    """
    with database.begin() as con:
        found = devices.find(con, machine) or devices.at(
            con, [canonical(machine)] if canonical(machine) else []
        )
        if not found:
            raise InputError(f"There is no machine “{machine[:80]}”. List them: forestall find ls")
        return [each for device in found for each in attachments.of(con, device.id)]


def estimate(database: Database) -> list[Estimate]:
    """Estimate how many machines nobody sees, by every pair of independent sources."""
    seen_by = defaultdict[Source, set[DeviceId]](set)
    for machine in machines(database):
        for source in machine.sources:
            seen_by[source].add(machine.id)
    return estimates({source: frozenset(ids) for source, ids in seen_by.items()})


def _device(machine: Machine, before: Device | None, accounts: Mapping[str, Person]) -> Device:
    """Say what is known now; what a person set (protected) and what nobody newly said stays.

    Whose it is stays by saying nothing of it: a person may say so between reading and saving.
    """
    named = (accounts[each] for each in (*machine.hardware, *machine.addresses) if each in accounts)
    owner = next(named, None) or accounts.get(machine.user)
    addresses = (*machine.addresses, *machine.hardware)
    if before is None:
        name = machine.name or (addresses[0] if addresses else machine.id)
        before = Device(machine.id, name, machine.site, managed=False)
    return replace(
        before,
        name=before.name if before.managed else machine.name or before.name,
        addresses=addresses,
        owner=owner.address if owner else "",
        owner_source=OwnerSource.DIRECTORY if owner else None,
        language=owner.language if owner else before.language,
        seen_at=machine.last_seen_at,
    )


def _without_addresses(absorbed: Iterable[Device], off: set[DeviceId]) -> list[Device]:
    """Leave machines that turned out to be another without addresses: nothing is done to them any more.

    One that is off the network keeps them until it was seen fixed and freed (P6.5). Nothing is said of whose they are.
    """
    return [
        replace(each, addresses=each.addresses if each.id in off else (), owner="", owner_source=None)
        for each in absorbed
    ]


def _enlist(con: Connection, new: Iterable[DeviceId], now: datetime) -> None:
    """Take machines that were just found into the campaigns under way; nothing is known of them (A2)."""
    found = dict.fromkeys(new, Status.UNKNOWN)
    if found:
        for campaign in campaigns.active(con):
            records.enlist(con, campaign.id, found, now)


def _event(joined: Joined, actor: str) -> Event:
    return Event(
        EventKind.JOINED,
        actor,
        joined.kept,
        paragraph="A13",
        body={"absorbed": joined.absorbed, "why": joined.because},
    )


def _fled(moved: Moved, actor: str) -> Event:
    """Put on record that a removed machine turned up elsewhere; the patrol closes that port, where it can (A13)."""
    body = {"source": moved.source.value, "was": moved.before, "now": moved.port}
    return Event(EventKind.MOVED, actor, moved.device, paragraph="A13", body={**body})
