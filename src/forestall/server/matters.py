"""What each decision of two people concerns, and what carrying it out changes (A1, A8, A9)."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from forestall.domain.approval import BELIEFS, OF_MACHINE, Matter, Request
from forestall.domain.campaign import Campaign, Step, forced_early
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.record import after_belief
from forestall.domain.selection import Preview, concerned, objection, preview_of
from forestall.server.replay import Replay, replay, restored_backup
from forestall.server.steps import changed, locked, moved
from forestall.store import devices, intents, ledger, records
from forestall.store.database import Connection


class Scope(NamedTuple):
    """The set that a matter concerns now."""

    machines: dict[DeviceId, SiteId]
    preview: Preview


def scope(con: Connection, request: Request, now: datetime, policy: Policy) -> Scope:
    """Find whom a matter concerns now.

    Raises:
        InputError: it makes no sense as things stand; the message says why.
    """
    if request.matter is Matter.REPLAY:
        return Scope({}, _lost(con))
    if request.matter in OF_MACHINE:
        machines = devices.sites_of(con, [DeviceId(request.subject)])
        _check_machine(con, request)
        return Scope(machines, preview_of(machines))
    campaign = locked(con, request.campaign)
    waiting = [held for held, _ in intents.held(con, campaign.id)]
    found = records.gather(con, campaign.id)
    machines = concerned(request.matter, found, waiting, campaign, now, policy)
    why = objection(request.matter, campaign, len(machines), now)
    if why:
        raise InputError(why)
    return Scope(machines, preview_of(machines))


def carry_out(con: Connection, number: int, request: Request, by: str, now: datetime) -> Replay | None:
    """Do what two people agreed on; every change goes with its ledger entry."""
    because: dict[str, JsonValue] = {"request": number}
    match request.matter:
        case Matter.IMMINENT:
            moved(con, locked(con, request.campaign), Step.IMMINENT, by, now)
        case Matter.FORCE_EARLY:
            _force_early(con, locked(con, request.campaign), by, now)
        case Matter.WAIVE_MAIL:
            campaign = locked(con, request.campaign)
            waived = Event(EventKind.DEADLINE_MOVED, by, "", rule="no-mail", paragraph="A14", body=because)
            changed(con, campaign, replace(campaign, mail_waived=True), waived, now)
        case Matter.PROTECT:
            devices.protect(con, DeviceId(request.subject), False)
            body = because | {"protected": False}
            event = Event(EventKind.PROTECTED, by, request.subject, paragraph="A8", body=body)
            ledger.append(con, [event], now)
        case Matter.EXEMPT:
            _exempt(con, number, request, by, now)
        case Matter.BELIEVE_AGENT | Matter.BELIEVE_PROBE:
            _believe(con, number, request, by, now)
        case Matter.REPLAY:
            return replay(con, by, now)
        case Matter.RAISE_BRAKE:
            pass  # the approval is the allowance: passes spend it
    return None


def _exempt(con: Connection, number: int, request: Request, by: str, now: datetime) -> None:
    """Exempt a machine until the request's end (A1)."""
    until = request.until or now
    records.exempt(con, request.campaign, DeviceId(request.subject), until)
    body: dict[str, JsonValue] = {
        "until": until.isoformat(), "reason": request.reason, "control": request.control, "asked_by": request.by,
        "request": number,
    }  # fmt: skip
    event = Event(EventKind.EXEMPTED, by, request.subject, request.campaign, paragraph="A1", body=body)
    ledger.append(con, [event], now)


def _believe(con: Connection, number: int, request: Request, by: str, now: datetime) -> None:
    """Believe one side of a disagreement until the request's end (A18)."""
    side = next(side for side, matter in BELIEFS.items() if matter is request.matter)
    device, until = DeviceId(request.subject), request.until or now
    records.revise(con, request.campaign, {device: lambda record: after_belief(record, side, until)})
    body: dict[str, JsonValue] = {
        "side": side.value, "until": until.isoformat(), "reason": request.reason, "asked_by": request.by,
        "request": number,
    }  # fmt: skip
    ledger.append(
        con, [Event(EventKind.BELIEVED, by, device, request.campaign, paragraph="A18", body=body)], now
    )


def _force_early(con: Connection, campaign: Campaign, by: str, now: datetime) -> None:
    early = forced_early(campaign, now)
    if early is None:
        raise InputError(f"{campaign.id} is {campaign.phase}: its announced deadline has passed")
    event = Event(EventKind.DEADLINE_MOVED, by, "", rule="force_early", paragraph="A9")
    changed(con, campaign, early, event, now)


def _check_machine(con: Connection, request: Request) -> None:
    device = devices.get(con, DeviceId(request.subject))
    name = device.name if device else request.subject
    if request.matter is Matter.PROTECT and (device is None or not device.protected):
        raise InputError(f"{name} is not protected: nothing to take away")
    if request.matter is not Matter.PROTECT:
        campaign = locked(con, request.campaign)
        if not campaign.open:
            raise InputError(f"{campaign.id} is {campaign.phase}: it asks nothing of {name} any more")
        found = records.some(con, CampaignId(request.campaign), [DeviceId(request.subject)])
        if not found:
            raise InputError(f"{name} is not in {campaign.id}. What it is in: forestall why {name}")
        if request.matter is not Matter.EXEMPT and found[0].disputed_at is None:
            raise InputError(
                f"Agent and probe agree on {name} in {campaign.id}. Who disagrees: forestall disagree"
            )


def _lost(con: Connection) -> Preview:
    """Show what a replay would bring back: entries, not machines; the set is the restore itself."""
    restored = restored_backup(con)
    return Preview(ledger.head(con).sequence - restored.reflects, {}, restored.entry.hash)
