"""Why a machine stands as it does: the rules in order, what was seen, what was done, with times."""

from dataclasses import dataclass, replace
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.campaign import Campaign
from forestall.domain.case import Case, case_of, evidence_of, moment_of
from forestall.domain.device import Device, DeviceId
from forestall.domain.errors import InputError
from forestall.domain.events import Entry
from forestall.domain.evidence import Status
from forestall.domain.order import CampaignId
from forestall.domain.plan import RULES
from forestall.domain.policy import Policy
from forestall.domain.record import Record
from forestall.domain.rule import Rule
from forestall.store import attachments, campaigns, devices, ledger, records
from forestall.store.attachments import Attachment
from forestall.store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """One row of the table, in order up to the one that applies."""

    name: str
    paragraph: str
    meaning: str
    applies: bool
    missed: str
    """The first condition that does not hold; empty for the row that applies."""


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One entry of the ledger about this machine."""

    at: datetime
    kind: str
    rule: str
    paragraph: str
    detail: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Why one machine stands as it does in one campaign."""

    device: DeviceId
    name: str
    campaign: CampaignId
    status: Status
    rule: str
    evidence: tuple[str, ...]
    rules: tuple[RuleAnswer, ...]
    story: tuple[StoryLine, ...]
    where: tuple[str, ...] = ()
    """At which ports it was seen, the newest word first."""


def explain(database: Database, machine: str, now: datetime, policy: Policy) -> list[Answer]:
    """Answer for every campaign the machine is in.

    Raises:
        InputError: there is no such machine.
    """
    with database.begin() as con:
        found = devices.find(con, machine)
        if not found:
            raise InputError(f"There is no machine “{machine[:80]}”. List them: forestall devices")
        return [
            answer
            for device in found
            for name in records.campaigns_of(con, device.id)
            if (campaign := campaigns.get(con, name)) is not None
            for answer in _answers(con, device, campaign, now, policy)
        ]


def _answers(
    con: Connection, device: Device, campaign: Campaign, now: datetime, policy: Policy
) -> list[Answer]:
    moment = moment_of(campaign, now, policy)
    entries = ledger.about(con, campaign=campaign.id, subject=device.id)
    where = tuple(map(_place, attachments.of(con, device.id)))
    return [
        replace(_answer(device, record, campaign.id, case_of(record, moment), entries), where=where)
        for record in records.some(con, campaign.id, [device.id])
    ]


def _answer(device: Device, record: Record, campaign: CampaignId, case: Case, entries: list[Entry]) -> Answer:
    rules: list[RuleAnswer] = []
    for rule in RULES:
        missed = _missed(rule, case)
        rules.append(RuleAnswer(rule.name, rule.paragraph, rule.meaning, not missed, missed))
        if not missed:
            break
    return Answer(
        device=device.id,
        name=device.name,
        campaign=campaign,
        status=case.status,
        rule=rules[-1].name,
        evidence=tuple(
            f"{each.witness} said {each.status} at {each.observed_at:%Y-%m-%d %H:%M:%S} UTC"
            for each in evidence_of(record)
        ),
        rules=tuple(rules),
        story=tuple(
            StoryLine(entry.at, entry.event.kind, entry.event.rule, entry.event.paragraph, _detail(entry))
            for entry in entries
        ),
    )


def _place(at: Attachment) -> str:
    vlan = f" in VLAN {at.vlan}" if at.vlan else ""
    before = f", before that at {at.before}" if at.before else ""
    since, until = (f"{instant:%Y-%m-%d %H:%M}" for instant in (at.since, at.seen_at))
    return f"{at.port}{vlan}, by {at.source}, from {since} to {until} UTC{before}"


def _missed(rule: Rule[Action | None], case: Case) -> str:
    for fact, wanted in rule.when.items():
        value = getattr(case, fact)
        if isinstance(wanted, frozenset):
            if value not in wanted:
                return f"it is {value}, not {' or '.join(sorted(wanted))}"
        elif value is not wanted:
            return f"it is {'not ' if wanted else ''}{fact.replace('_', ' ')}"
    return ""


def _detail(entry: Entry) -> str:
    body = entry.event.body or {}
    return ", ".join(
        f"{key} {value}" for key, value in body.items() if value not in {"", None} and key != "site"
    )
