"""After a restore: the tables are told again what the ledger says has happened since the backup (A12, R17)."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from forestall.domain.action import Action
from forestall.domain.approval import OF_MACHINE, Matter, Request
from forestall.domain.device import DeviceId
from forestall.domain.errors import InputError
from forestall.domain.events import Entry, Event, EventKind, JsonValue
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.remediation import RemediationId
from forestall.domain.replay import Retold, replayed, retell
from forestall.domain.ring import Ring
from forestall.store import (
    approvals,
    campaigns,
    devices,
    identities,
    intents,
    ledger,
    ratings,
    records,
    rings,
)
from forestall.store.database import Connection
from forestall.store.ledger import Restored
from forestall.store.ratings import Rating, ThreeEs


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay brought back."""

    entries: int
    intents: int
    """That the backup did not know."""
    machines: int
    """Enrolled since the backup: known again, by whatever certificate they have of ours."""


def restored_backup(con: Connection) -> Restored:
    """Find the restore that waits for its replay.

    Raises:
        InputError: the database was not restored, or was replayed since.
    """
    restored = ledger.unreplayed(con)
    if restored is None:
        raise InputError("There is nothing to replay: the database is not a restored backup")
    return restored


def free_number(con: Connection) -> int:
    """Number a request on a restored database behind all that the ledger knows: theirs are coming back."""
    coming = (
        int(str((entry.event.body or {})["number"]))
        for entry in ledger.read_all(con, restored_backup(con).reflects)
        if entry.event.kind is EventKind.ASKED
    )
    return max(approvals.last_number(con), max(coming, default=0)) + 1


def replay(con: Connection, by: str, now: datetime) -> Replay:
    """Bring back what the ledger says: campaigns, machines, decisions, intents, receipts and their marks.

    Raises:
        InputError: there is nothing to replay.
    """
    restored = restored_backup(con)
    entries = list(ledger.read_all(con, restored.reflects))
    story = retell(entries, campaigns.everything(con))
    known = ledger.read(con, restored.reflects - 1, 1) if restored.reflects else []
    new = _bring_back(con, story, known[0].at if known else datetime.min.replace(tzinfo=now.tzinfo))
    body: dict[str, JsonValue] = {"after": restored.reflects, "entries": len(entries)}
    ledger.append(con, [Event(EventKind.REPLAYED, by, ledger.SUBJECT, paragraph="A12", body=body)], now)
    return Replay(len(entries), new, len(story.devices))


def _bring_back(con: Connection, story: Retold, since: datetime) -> int:
    _bring_back_devices(con, story)
    for campaign in story.campaigns.values():
        campaigns.save(con, campaign)
    for entry in story.decisions:
        _bring_back_decision(con, entry)
    for name in story.campaigns:
        machines, told = story.enlisted[name], story.changes[name]
        records.bring_back(con, name, [(device, *word) for device, word in machines.items()])
        changes = {d: partial(replayed, changes=history, since=since) for d, history in told.items()}
        records.revise(con, name, changes)
    for campaign_id, count in _removals(con, story).items():
        approvals.spend(con, campaign_id, count)
    return intents.bring_back(con, story.ordered, story.answered)


def _bring_back_devices(con: Connection, story: Retold) -> None:
    known = devices.sites_of(con, story.devices)
    devices.save(con, (device for name, device in story.devices.items() if name not in known))
    identities.add(con, dict.fromkeys(story.devices, 0))
    for device, protected in story.protected.items():
        devices.protect(con, device, protected)
    for device, owner in story.owners.items():
        devices.own(con, device, *owner)
    for device, (void, at) in story.voided.items():
        identities.avoid(con, [device], void, at)
    for device, (ring, by, since) in story.rings.items():
        if ring is Ring.BROAD:
            rings.take_off(con, [device])
        else:
            rings.put(con, ring, [device], by, since)


def _removals(con: Connection, story: Retold) -> dict[CampaignId, int]:
    """Count the removals that the tables do not know: what was raised counts as used by them (A9)."""
    removals = [intent for intent, _ in story.ordered if intent.action is Action.QUARANTINE]
    counted: dict[CampaignId, int] = {}
    for intent in intents.unordered(con, removals):
        counted[intent.campaign] = counted.get(intent.campaign, 0) + 1
    return counted


def _bring_back_decision(con: Connection, entry: Entry) -> None:
    event, body = entry.event, entry.event.body or {}
    match event.kind:
        case EventKind.RATED:
            _bring_back_rating(con, entry)
        case EventKind.ASKED:
            subject = event.subject if body["matter"] in OF_MACHINE else ""
            until = body.get("until")
            request = Request(
                Matter(str(body["matter"])), CampaignId(event.campaign), event.actor, entry.at,
                datetime.fromisoformat(str(body["expires_at"])), str(body["machines"]), int(str(body["count"])),
                subject, str(body["reason"]), str(body["control"]),
                datetime.fromisoformat(str(until)) if until else None,
            )  # fmt: skip
            approvals.ask(
                con,
                request,
                [DeviceId(each) for each in _texts(body.get("devices"))],
                int(str(body["number"])),
            )
        case _:
            approvals.approve(con, int(str(body["number"])), event.actor, entry.at)


def _bring_back_rating(con: Connection, entry: Entry) -> None:
    event, body = entry.event, entry.event.body or {}
    known = ratings.of(con, RemediationId(event.subject))
    if known is not None and known.at >= entry.at:
        return
    es = ThreeEs(bool(body["escalation"]), bool(body["expansion"]), bool(body["exposure"]))
    ratings.save(
        con,
        Rating(
            RemediationId(event.subject), Level(str(body["level"])), Level(str(body["proposed"])), es, event.actor,
            entry.at, tuple(_texts(body["reasons"])),
        ),
    )  # fmt: skip


def _texts(value: JsonValue) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []
