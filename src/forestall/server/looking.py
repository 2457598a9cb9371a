"""The effect LOOK (P6.2, P6.4): probes the addresses of machines and stores what was seen as evidence."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from forestall.domain.address import read_address
from forestall.domain.brakes import alarm_reason
from forestall.domain.campaign import Campaign
from forestall.domain.device import Device, DeviceId
from forestall.domain.events import Event, EventKind
from forestall.domain.evidence import CLEAN, Evidence, Status, Witness
from forestall.domain.intent import Intent
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.record import Outcome, Receipt
from forestall.domain.remediation import RemediationId, parts_of
from forestall.domain.scope import Scope
from forestall.probes.probe import Finding, Flaw, Quality, probe_named, probes_for, run
from forestall.server.effects import Effect
from forestall.store import advisories, campaigns, devices, evidence, ledger
from forestall.store.database import Connection, Database
from forestall.store.evidence import Observation

ALARM = "mass-positive"


class Seen(NamedTuple):
    """What probes saw of one machine; None where nobody answered."""

    status: Status | None
    detail: str


def make_look(database: Database, scope: Scope, policy: Policy) -> Effect:
    """Connect probes to a scope."""

    def look(intents: Sequence[Intent], now: datetime) -> Sequence[Receipt]:
        by_campaign = defaultdict[CampaignId, list[Intent]](list)
        for intent in intents:
            by_campaign[intent.campaign].append(intent)
        receipts: dict[tuple[CampaignId, DeviceId], Receipt] = {}
        for name, wanted in by_campaign.items():
            machines = [intent.device for intent in wanted]
            for device, receipt in _look(database, scope, policy, name, machines, now).items():
                receipts[name, device] = receipt
        return [receipts[intent.campaign, intent.device] for intent in intents]

    return look


def flaw_of(con: Connection, remediation: RemediationId) -> Flaw:
    """Say what is looked for in an update: the version that mends, and what exactly it mends."""
    release, source, fixed = parts_of(remediation)
    return Flaw(advisories.mended_by(con, release, source, fixed), source, fixed)


def weigh(findings: Sequence[Finding]) -> Seen:
    """Make one word of what several probes at several addresses said of one machine.

    Behaviour outweighs a version that is told; of two of a kind the worse counts.
    """
    reached = [finding for finding in findings if finding.reached]
    if not reached:
        return Seen(None, "nobody answered")
    for quality in (Quality.BEHAVIOUR, Quality.VERSION):
        told = [
            each
            for each in reached
            if each.answer.status is not Status.UNKNOWN and probe_named(each.probe).quality is quality
        ]
        if told:
            worst = min(told, key=lambda each: (each.answer.status in CLEAN, each.probe, each.address))
            return Seen(worst.answer.status, _sentence(worst))
    return Seen(Status.UNKNOWN, _sentence(reached[0]))


def accept_alarm(database: Database, name: CampaignId, by: str, now: datetime) -> None:
    """Note that a person looked and believes what the probes say in a campaign."""
    with database.begin() as con:
        event = Event(EventKind.APPROVED, by, name, name, ALARM, "A8")
        ledger.append(con, [event], now)


def alarms(con: Connection, name: CampaignId) -> tuple[str, bool]:
    """Read a campaign's alarm from the ledger: why (empty without one), and whether a person has answered it."""
    entries = [
        each.event for each in ledger.about(con, campaign=name, subject=name) if each.event.rule == ALARM
    ]
    raised = [event for event in entries if event.kind is EventKind.HELD]
    why = str((raised[-1].body or {}).get("why", "")) if raised else ""
    return why, any(event.kind is EventKind.APPROVED for event in entries)


def _look(
    database: Database,
    scope: Scope,
    policy: Policy,
    name: CampaignId,
    wanted: Sequence[DeviceId],
    now: datetime,
) -> Mapping[DeviceId, Receipt]:
    with database.begin() as con:
        campaign = campaigns.get(con, name)
        found = devices.some(con, wanted)
        flaw = flaw_of(con, campaign.remediation) if campaign else Flaw(frozenset())
    probes = probes_for(flaw)
    if campaign is None or not probes:
        return dict.fromkeys(wanted, Receipt(Outcome.REFUSED, now, "no probe tells this flaw"))
    places = {device: _addresses(found.get(device), scope) for device in wanted}
    pairs = [(address, probe) for each in places.values() for address in each for probe in probes]
    by_address = defaultdict[str, list[Finding]](list)
    for finding in run(pairs, scope, flaw):
        by_address[finding.address].append(finding)
    seen = {
        device: weigh([finding for address in each for finding in by_address[address]])
        for device, each in places.items()
        if each
    }
    with database.begin() as con:
        why = _alarm(con, campaign, seen, policy, now)
        _keep(
            con,
            name,
            {device: each for device, each in seen.items() if not (why and each.status is Status.AFFECTED)},
            now,
        )
    return {device: _receipt(seen.get(device), why, now) for device in wanted}


def _addresses(device: Device | None, scope: Scope) -> list[str]:
    """List a machine's IP addresses within the scope; hardware addresses are among its addresses, too."""
    found = [read_address(text) for text in device.addresses] if device else []
    return [str(address) for address in found if address is not None and scope.area_of(address)]


def _alarm(
    con: Connection, campaign: Campaign, seen: Mapping[DeviceId, Seen], policy: Policy, now: datetime
) -> str:
    """Say why positive answers wait for a person; the first time it is put on record."""
    if campaign.deadline_at is None or campaign.deadline_at > now:
        return ""
    lately = evidence.probed(con, campaign.id, now - policy.sweep_every, seen)
    told = [each.status for each in seen.values() if each.status not in {None, Status.UNKNOWN}]
    affected = lately.get(Status.AFFECTED, 0) + told.count(Status.AFFECTED)
    why = alarm_reason(sum(lately.values()) + len(told), affected, policy)
    before, accepted = alarms(con, campaign.id)
    if not why or accepted:
        return ""
    if not before:
        ledger.append(
            con, [Event(EventKind.HELD, "probes", campaign.id, campaign.id, ALARM, "A8", {"why": why})], now
        )
    return why


def _keep(con: Connection, name: CampaignId, seen: Mapping[DeviceId, Seen], now: datetime) -> None:
    answered = {device: each for device, each in seen.items() if each.status is not None}
    observations = [
        Observation(device, Evidence(Witness.PROBE, each.status, now, each.detail))
        for device, each in answered.items()
        if each.status is not None
    ]
    devices.seen(con, list(answered), now)
    evidence.take(con, name, observations, now)


def _receipt(seen: Seen | None, alarm: str, now: datetime) -> Receipt:
    if seen is None:
        return Receipt(Outcome.REFUSED, now, "no address of it is in a scope: nothing was sent")
    if alarm and seen.status is Status.AFFECTED:
        return Receipt(Outcome.REFUSED, now, f"not believed before a person looked: {alarm}")
    return Receipt(Outcome.DONE, now, seen.detail)


def _sentence(finding: Finding) -> str:
    proof = f" ({finding.answer.proof})" if finding.answer.proof else ""
    return f"{finding.probe} at {finding.address}: {finding.answer.detail}{proof}"
