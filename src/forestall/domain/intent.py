"""What was decided to be done: unique, recorded before it happens, answered by a receipt (A12)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from forestall.domain.action import Action
from forestall.domain.campaign import Campaign
from forestall.domain.case import case_of, moment_of
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.order import CampaignId
from forestall.domain.plan import decide
from forestall.domain.policy import Policy
from forestall.domain.record import Outcome, Receipt, Record
from forestall.domain.rule import Rule


class Intent(NamedTuple):
    """One action on one machine in one campaign. The first five fields are its key: twice is once."""

    campaign: CampaignId
    revision: int
    device: DeviceId
    action: Action
    round: int
    site: SiteId
    rule: str
    paragraph: str


def round_of(action: Action, record: Record) -> int:
    """Number the occasions on which the same action on the same machine is a new one.

    Installs and checks follow each other, so each is named by the minute of the one before (tens of millions since
    1970, never an episode's number); the first of an episode, and all else, by the episode. A check that somebody
    asked for is named by the second of asking (thousands of millions), what a person is told of a disagreement by the
    minute in which it began and the episode (tens of thousands of millions).
    """
    match action:
        case Action.INSTALL:
            before = record.forced_at
        case Action.LOOK:
            before, asked = record.looked_at, record.check_asked_at
            if before is not None and asked is not None and asked > before:
                return int(asked.timestamp())
        case Action.REVIEW | Action.TELL if record.disputed_at is not None:
            return int(record.disputed_at.timestamp()) // 60 * 1_000 + record.episode
        case _:
            before = None
    return record.episode if before is None else int(before.timestamp()) // 60


def intend(record: Record, rule: Rule[Action | None], campaign: CampaignId, revision: int) -> Intent | None:
    """Turn the row that applies into an intent; None for a row that leaves the machine alone."""
    if rule.then is None:
        return None
    return Intent(
        campaign=campaign,
        revision=revision,
        device=record.device,
        action=rule.then,
        round=round_of(rule.then, record),
        site=record.site,
        rule=rule.name,
        paragraph=rule.paragraph,
    )


def propose(records: Iterable[Record], campaign: Campaign, now: datetime, policy: Policy) -> list[Intent]:
    """Decide for every machine of a campaign; the brakes come after."""
    moment = moment_of(campaign, now, policy)
    proposed = (
        intend(record, decide(case_of(record, moment)), campaign.id, campaign.revision) for record in records
    )
    return [intent for intent in proposed if intent is not None]


def intended(intent: Intent, actor: str) -> Event:
    """Say in the ledger what will be done and why."""
    return _event(EventKind.INTENDED, intent, actor, {})


def concluded(intent: Intent, receipt: Receipt, actor: str) -> Event:
    """Say in the ledger what became of an intent (A12)."""
    kind = EventKind.DONE if receipt.outcome is Outcome.DONE else EventKind.REFUSED
    return _event(kind, intent, actor, {"outcome": receipt.outcome, "detail": receipt.detail})


def intent_of(event: Event) -> Intent | None:
    """Read an intent back from its ledger entry; None for an entry about something else."""
    body = event.body or {}
    if event.kind not in {EventKind.INTENDED, EventKind.DONE, EventKind.REFUSED} or "action" not in body:
        return None
    return Intent(
        CampaignId(event.campaign),
        int(str(body["revision"])),
        DeviceId(event.subject),
        Action(str(body["action"])),
        int(str(body["round"])),
        SiteId(str(body["site"])),
        event.rule,
        event.paragraph,
    )


def _event(kind: EventKind, intent: Intent, actor: str, more: Mapping[str, JsonValue]) -> Event:
    body: dict[str, JsonValue] = {
        "action": intent.action,
        "round": intent.round,
        "revision": intent.revision,
        "site": intent.site,
        **more,
    }
    return Event(kind, actor, intent.device, intent.campaign, intent.rule, intent.paragraph, body)
