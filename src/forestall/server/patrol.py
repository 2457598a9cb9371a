"""Reads the enforcement points back and believes them, whatever is remembered (P6.5, A13).

A closed place nobody remembers is adopted, or freed where nothing would ever free it; one that others opened is
noticed; a removed machine that shows up at another port is followed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from forestall.domain.action import Action
from forestall.domain.case import case_of, moment_of
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.events import Event, EventKind
from forestall.domain.intent import Intent
from forestall.domain.order import CampaignId
from forestall.domain.plan import decide
from forestall.domain.policy import Policy
from forestall.domain.record import Record, after_reading
from forestall.network.enforcement import Removed, look_at, sent
from forestall.network.point import ELSEWHERE, Answer, Marked, Plan, Point, Refusal, Sight, Target, serves
from forestall.server.enforcement import Enforcement, receipt_of
from forestall.store import campaigns, devices, intents, ledger, records
from forestall.store.database import Connection, Database
from forestall.store.lease import Lease

Key = tuple[CampaignId, DeviceId]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the points say against what is remembered."""

    adopted: tuple[Key, ...] = ()
    """Closed, not remembered, but known: the rules will release it or keep it."""
    opened: tuple[Key, ...] = ()
    """Remembered as closed; every point that could have it says it is not."""
    orphans: tuple[Marked, ...] = ()
    """Closed for a machine or a campaign that does not exist: nothing would ever free it."""
    stale: tuple[Marked, ...] = ()
    """Marked and open: the mark is put away."""


@dataclass(frozen=True, slots=True)
class Patrolled:
    """What a patrol found and did."""

    reading: Reading = field(default_factory=Reading)
    followed: tuple[DeviceId, ...] = ()
    strayed: tuple[Refusal, ...] = ()
    """Removed machines seen where they cannot be closed: a person looks."""
    silent: tuple[Refusal, ...] = ()
    """Points that did not answer; nothing is concluded from that."""


def compare(
    marks: Sequence[Marked], off: Sequence[Key], known: Iterable[Key], vouched: Callable[[DeviceId], bool]
) -> Reading:
    """Compare what is marked with what is remembered.

    `known` are the records that exist for the marks; `vouched` says whether all points of a machine's site answered,
    so that a mark that is nowhere is really gone.
    """
    closed = {
        (CampaignId(campaign), DeviceId(mark.device)): mark
        for mark in marks
        if mark.closed
        for campaign in mark.campaigns
    }
    remembered, existing = set(off), set(known)
    return Reading(
        adopted=tuple(sorted(key for key in closed if key not in remembered and key in existing)),
        opened=tuple(key for key in off if key not in closed and vouched(key[1])),
        orphans=tuple(mark for key, mark in sorted(closed.items()) if key not in remembered | existing),
        stale=tuple(mark for mark in marks if not mark.closed),
    )


def patrol(
    database: Database,
    enforcement: Enforcement,
    lease: Lease,
    now: datetime,
    policy: Policy,
    *,
    observing: str = "",
) -> Patrolled:
    """Read everything back, correct the records, and act on what is left.

    `observing` names why nothing may be closed; freeing goes on (A12).
    """
    sights = enforcement.run(look_at(enforcement.points))
    seen = {name: sight for name, sight in sights.items() if not isinstance(sight, Refusal)}
    marks = [mark for sight in seen.values() for mark in sight.marks()]
    with database.begin() as con:
        off = records.off(con)
        known = [key for key in _keys(marks) if records.some(con, key[0], [key[1]])]
        machines = devices.some(con, {key[1] for key in off})
        reading = compare(marks, off, known, partial(_vouched, enforcement.points, seen, machines))
        _believe(con, reading, lease, now)
        stray = _strays(con, off, reading, marks, now, policy)
    _put_away(enforcement, seen, reading.stale)
    for mark in reading.orphans:
        _free_orphan(database, enforcement, seen, mark, lease, now)
    silent = tuple(sight for sight in sights.values() if isinstance(sight, Refusal))
    if observing or enforcement.simulate or enforcement.stopped:
        return Patrolled(reading, silent=silent)
    found = {key: _answers(database, enforcement, seen, key, machines) for key in stray}
    followed = [
        key[1] for key, answers in found.items() if _follow(database, enforcement, answers, key, lease, now)
    ]
    strayed = [each for answers in found.values() for each in answers if isinstance(each, Refusal)]
    return Patrolled(reading, tuple(followed), tuple(strayed), silent)


def _keys(marks: Iterable[Marked]) -> list[Key]:
    return [
        (CampaignId(each), DeviceId(mark.device)) for mark in marks if mark.closed for each in mark.campaigns
    ]


def _vouched(
    points: Sequence[Point], seen: Mapping[str, Sight], machines: Mapping[DeviceId, Device], device: DeviceId
) -> bool:
    site = machines[device].site if device in machines else ""
    serving = [point.name for point in points if serves(point, site)]
    return bool(serving) and all(name in seen and seen[name].readable for name in serving)


def _believe(con: Connection, reading: Reading, lease: Lease, now: datetime) -> None:
    for keys, closed in ((reading.adopted, True), (reading.opened, False)):
        for campaign, device in keys:
            change: Callable[[Record], Record] = partial(after_reading, closed=closed, at=now)
            records.revise(con, campaign, {device: change})
        word = "closed" if closed else "open"
        events = [
            Event(EventKind.PORT_READ, lease.holder, device, campaign, paragraph="P6.5", body={"reads": word})
            for campaign, device in keys
        ]
        ledger.append(con, events, now)


def _strays(
    con: Connection,
    off: Sequence[Key],
    reading: Reading,
    marks: Sequence[Marked],
    now: datetime,
    policy: Policy,
) -> list[Key]:
    """Find who is off, closed at some port, and not about to be let back."""
    closed = set(_keys(marks)).difference(reading.adopted)
    return [
        (campaign.id, device)
        for key, device in off
        if (key, device) in closed and (campaign := campaigns.get(con, key)) is not None
        for record in records.some(con, campaign.id, [device])
        if decide(case_of(record, moment_of(campaign, now, policy))).then is not Action.RELEASE
    ]


def _put_away(enforcement: Enforcement, seen: Mapping[str, Sight], stale: Sequence[Marked]) -> None:
    """Take marks off open ports: nothing is closed or opened by it."""
    plans = [plan for mark in stale for plan in seen[mark.point].free({mark.place})]
    if plans:
        enforcement.run(sent(enforcement.points, plans))


def _free_orphan(
    database: Database,
    enforcement: Enforcement,
    seen: Mapping[str, Sight],
    mark: Marked,
    lease: Lease,
    now: datetime,
) -> None:
    plans = seen[mark.point].free({mark.place})
    target = Target(mark.device, mark.campaigns[0])
    intent = _intent(target, 0, Action.RELEASE, "release-closed", "P7.2", now)
    _acted(database, enforcement, plans, intent, lease, now)


def _answers(
    database: Database,
    enforcement: Enforcement,
    seen: Mapping[str, Sight],
    key: Key,
    machines: Mapping[DeviceId, Device],
) -> list[Answer]:
    """Ask all points where a removed machine is now, as if it were to be removed."""
    machine = machines.get(key[1])
    if machine is None or not any(sight.shows(machine.addresses) for sight in seen.values()):
        return []
    target = Target(machine.id, key[0], machine.site, machine.addresses, machine.protected)
    protected = enforcement.gather(database, [])[1]
    answers = [
        answer for sight in seen.values() if sight.readable for answer in sight.close(target, protected)
    ]
    new: list[Answer] = [each for each in answers if isinstance(each, Plan) and each.steps]
    return new or [each for each in answers if isinstance(each, Refusal) and each.reason not in ELSEWHERE]


def _follow(
    database: Database,
    enforcement: Enforcement,
    answers: Sequence[Answer],
    key: Key,
    lease: Lease,
    now: datetime,
) -> bool:
    """Close the port to which a removed machine has moved (A13)."""
    plans = [each for each in answers if isinstance(each, Plan)]
    if not plans or not enforcement.pace.take():
        return False
    with database.begin() as con:
        campaign = campaigns.get(con, key[0])
    if campaign is None:
        return False
    intent = _intent(Target(key[1], key[0]), campaign.revision, Action.QUARANTINE, "held", "A13", now)
    return _acted(database, enforcement, plans, intent, lease, now)


def _intent(
    target: Target, revision: int, action: Action, rule: str, paragraph: str, now: datetime
) -> Intent:
    """Write an intent of the patrol's own; its occasion is named by the second, as no other's is."""
    return Intent(
        CampaignId(target.campaign), revision, DeviceId(target.device), action, int(now.timestamp()),
        SiteId(target.site), rule, paragraph,
    )  # fmt: skip


def _acted(
    database: Database,
    enforcement: Enforcement,
    plans: Sequence[Plan],
    intent: Intent,
    lease: Lease,
    now: datetime,
) -> bool:
    """Put it on record, do it, and keep the receipt, in this order (A12)."""
    with database.begin() as con:
        intents.order(con, lease, [intent], now)
    result = enforcement.run(sent(enforcement.points, plans))
    receipt = receipt_of(result, now, "closed" if intent.action is Action.QUARANTINE else "opened")
    with database.begin() as con:
        intents.conclude(con, [(intent, receipt)], lease.holder, now)
    return isinstance(result, Removed)
