"""Two people (A9): one asks and sees whom it concerns, another approves exactly that, and then it is done."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from forestall.domain.approval import OF_CAMPAIGN, OF_MACHINE, Matter, Request, refusal
from forestall.domain.brakes import drifted, set_hash
from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.server.matters import Scope, carry_out, scope
from forestall.server.replay import Replay, free_number
from forestall.server.steps import not_restored, person, sentence
from forestall.server.wiring import Installation
from forestall.store import approvals, devices, ledger
from forestall.store.approvals import Asked
from forestall.store.database import Connection

PARAGRAPHS = {
    Matter.IMMINENT: "P8.1",
    Matter.RAISE_BRAKE: "A8",
    Matter.FORCE_EARLY: "A9",
    Matter.WAIVE_MAIL: "A14",
    Matter.PROTECT: "A8",
    Matter.REPLAY: "A12",
    Matter.EXEMPT: "A1",
    Matter.BELIEVE_AGENT: "A18",
    Matter.BELIEVE_PROBE: "A18",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request as people see it."""

    number: int
    matter: Matter
    campaign: CampaignId
    machine: str
    reason: str
    control: str
    until: datetime | None
    by: str
    at: datetime
    expires_at: datetime
    count: int
    """Machines that were previewed; ledger entries of a replay."""
    sites: Mapping[SiteId, int]
    machines: str
    """The hash of exactly that set."""


@dataclass(frozen=True, slots=True)
class Approved:
    """What was agreed on and carried out."""

    request: Waiting
    by: str
    alone: bool
    """The policy waived the second person."""
    replay: Replay | None = None


def ask(
    installation: Installation, matter: Matter, reason: str, by: str, now: datetime, *, campaign: str = ""
) -> Waiting:
    """Ask for what one person alone must not do to a campaign, or for the replay of a restored database.

    Raises:
        InputError: nobody or no reason is named, there is no such campaign, or it makes no sense as things stand.
    """
    by, reason = person(by), sentence(reason, "why")
    if matter in OF_MACHINE or (matter in OF_CAMPAIGN) is not bool(campaign):
        raise InputError(f"“{matter}” is not asked for like this; see forestall ask --help")
    request = Request(
        matter, CampaignId(campaign), by, now, now + installation.policy.request_valid_for, reason=reason
    )
    with installation.database.begin() as con:
        return put(con, request, now, installation.policy)


def put(con: Connection, request: Request, now: datetime, policy: Policy) -> Waiting:
    """Keep a request with the preview of today and its ledger entry."""
    if request.matter is not Matter.REPLAY:
        not_restored(con)
    found = scope(con, request, now, policy)
    request = replace(request, machines=found.preview.machines, count=found.preview.count)
    number = free_number(con) if request.matter is Matter.REPLAY else None
    number = approvals.ask(con, request, list(found.machines), number)
    body = _body(number, request)
    if request.matter in OF_MACHINE or request.matter is Matter.RAISE_BRAKE:
        body["devices"] = [*sorted(found.machines)]  # few, and what the approval is good for
    event = Event(
        EventKind.ASKED, request.by, request.subject or request.campaign or ledger.SUBJECT, request.campaign,
        paragraph=PARAGRAPHS[request.matter], body=body,
    )  # fmt: skip
    ledger.append(con, [event], now)
    return _shown(con, Asked(number, request, tuple(found.machines), "", None))


def waiting(installation: Installation, now: datetime) -> list[Waiting]:
    """List what waits for a second person, oldest first."""
    with installation.database.begin() as con:
        return [_shown(con, each) for each in approvals.waiting(con, now)]


def approve(installation: Installation, number: int, by: str, now: datetime) -> Approved:
    """Approve a request as the second person and carry it out, in one transaction.

    Raises:
        InputError: there is no such request, or this approval does not count; the message says why.
    """
    by, policy = person(by), installation.policy
    with installation.database.begin() as con:
        found = approvals.get(con, number, to_change=True)
        if found is None:
            raise InputError(f"There is no request {number}. What waits: forestall approvals")
        if found.approved_at is not None:
            raise InputError(f"{found.approved_by} approved request {number} already")
        request = found.request
        if request.matter is not Matter.REPLAY:
            not_restored(con)
        why = refusal(request, by, _as_seen(found, scope(con, request, now, policy), policy), now, policy)
        if why:
            raise InputError(
                f"Request {number} ({request.matter} {request.campaign or request.subject}): {why}"
            )
        alone = by.casefold() == request.by.casefold()
        approvals.approve(con, number, by, now)
        ledger.append(con, [_approved(found, by, alone=alone)], now)
        replay = carry_out(con, number, request, by, now)
        return Approved(_shown(con, found), by, alone, replay)


def _as_seen(asked: Asked, now_found: Scope, policy: Policy) -> str:
    """Name the set that is approved: the previewed one, unless what would be touched now is another (A8)."""
    if asked.request.matter is Matter.REPLAY:
        return now_found.preview.machines
    selected = frozenset(now_found.machines)
    if drifted(frozenset(asked.devices), selected, policy):
        return set_hash(selected)
    return asked.request.machines


def _approved(asked: Asked, by: str, *, alone: bool) -> Event:
    request = asked.request
    body = _body(asked.number, request) | {"asked_by": request.by}
    if alone:
        body["second_person"] = "waived by policy"
    return Event(
        EventKind.APPROVED, by, request.subject or request.campaign or ledger.SUBJECT, request.campaign,
        paragraph="A9", body=body,
    )  # fmt: skip


def _body(number: int, request: Request) -> dict[str, JsonValue]:
    return {
        "number": number, "matter": request.matter.value, "count": request.count, "machines": request.machines,
        "reason": request.reason, "control": request.control, "expires_at": request.expires_at.isoformat(),
        "until": request.until.isoformat() if request.until else None,
    }  # fmt: skip


def _shown(con: Connection, asked: Asked) -> Waiting:
    request = asked.request
    sites = Counter(devices.sites_of(con, asked.devices).values())
    return Waiting(
        number=asked.number, matter=request.matter, campaign=request.campaign, machine=request.subject,
        reason=request.reason, control=request.control, until=request.until, by=request.by, at=request.at,
        expires_at=request.expires_at, count=request.count, sites=dict(sorted(sites.items())),
        machines=request.machines,
    )  # fmt: skip
