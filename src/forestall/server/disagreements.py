"""Agent says fixed and probe says affected, or the reverse (A18): the queue, and what a person can do about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from forestall.domain.approval import BELIEFS, Request
from forestall.domain.campaign import Campaign
from forestall.domain.case import Case, believed_of, case_of, moment_of
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.duration import format_duration
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.evidence import OUTSIDE, Side, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.record import Record, after_asking, after_belief, after_help, evidence_of
from forestall.domain.remediation import RemediationId
from forestall.probes.probe import PROBES
from forestall.server.approvals import Waiting, put
from forestall.server.machines import the_machine
from forestall.server.steps import locked, person, sentence
from forestall.server.wiring import Installation
from forestall.store import approvals, campaigns, devices, ledger, records
from forestall.store.approvals import Asked
from forestall.store.database import Connection, Database

_OWN_QUALITY = {Witness.INVENTORY: "package versions"}


@dataclass(frozen=True, slots=True)
class Said:
    """The last word of one witness."""

    side: Side
    witness: Witness
    status: Status
    at: datetime
    since: datetime
    """It has said the same since then."""
    proof: str
    quality: str
    """What its word is worth: a probe's behaviour, version or posture; else whose own word it is."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Whom two people believe meanwhile."""

    side: Side
    until: datetime
    reason: str
    by: str
    approved_by: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One machine in one campaign whose sides contradict each other."""

    device: DeviceId
    name: str
    site: SiteId
    owner: str
    managed: bool
    campaign: CampaignId
    update: RemediationId
    since: datetime
    words: tuple[Said, ...]
    looking: bool
    """A check was asked for, and none has answered since."""
    told: bool
    """It has lasted so long that a person was told."""
    helped: bool
    """The help desk has a case."""
    belief: Belief | None


class Terms(NamedTuple):
    """On what terms one side is believed."""

    side: Side
    period: timedelta
    reason: str


def disagreements(
    database: Database, now: datetime, policy: Policy, campaign: str = ""
) -> list[Disagreement]:
    """List who disagrees with whom in the campaigns under way, those open longest first; what is believed comes last.

    Raises:
        InputError: there is no such campaign.
    """
    with database.begin() as con:
        if campaign:
            one = campaigns.get(con, CampaignId(campaign))
            if one is None:
                raise InputError(f"There is no campaign “{campaign[:80]}”. List them: forestall campaign ls")
            wanted = [one]
        else:
            wanted = campaigns.active(con)
        found = [row for each in wanted for row in _of(con, each, now, policy)]
    return sorted(found, key=lambda row: (row.belief is not None, row.since, row.campaign, row.device))


def undecided(database: Database, now: datetime, policy: Policy) -> int:
    """Count those of the campaigns under way of whom neither side is believed."""
    with database.begin() as con:
        return sum(
            believed_of(record, now) is None
            for each in campaigns.active(con)
            for record, _ in _open(con, each, now, policy)
        )


def look_again(installation: Installation, machine: str, campaign: str, by: str, now: datetime) -> bool:
    """Have a machine checked before all that is not in a hurry; false where one was asked for within the minute.

    Raises:
        InputError: agent and probe do not disagree there.
    """
    by = person(by)
    with installation.database.begin() as con:
        device = _disputed(con, machine, campaign)
        changed = records.revise(
            con, CampaignId(campaign), {device.id: lambda record: after_asking(record, now)}
        )
    return bool(changed)


def ask_belief(
    installation: Installation, machine: str, campaign: str, terms: Terms, by: str, now: datetime
) -> Waiting:
    """Ask to believe one side about a machine for a while; somebody else approves, and it ends by itself (A9, A18).

    Raises:
        InputError: the period is none or too long, nobody disagrees there, or something is not said.
    """
    policy = installation.policy
    if not timedelta() < terms.period <= policy.belief_at_most:
        most = format_duration(policy.belief_at_most)
        raise InputError(f"One side is believed for {most} at most, counted from now (A18); ask again then")
    by, reason = person(by), sentence(terms.reason, "why this side is believed")
    with installation.database.begin() as con:
        device = the_machine(con, machine)
        request = Request(
            BELIEFS[terms.side], CampaignId(campaign), by, now, now + policy.request_valid_for, subject=device.id,
            reason=reason, until=now + terms.period,
        )  # fmt: skip
        return put(con, request, now, policy)


def end_belief(
    installation: Installation, machine: str, campaign: str, reason: str, by: str, now: datetime
) -> Device:
    """Believe neither side any more; one person may, because nothing is taken for known by it.

    Raises:
        InputError: nobody is believed about that machine now.
    """
    by, reason = person(by), sentence(reason, "why neither is believed any more")
    with installation.database.begin() as con:
        device = the_machine(con, machine)
        name = locked(con, campaign).id
        found = records.some(con, name, [device.id])
        side = believed_of(found[0], now) if found else None
        if side is None:
            raise InputError(
                f"Nobody is believed about {device.name} in {name}. The queue: forestall disagree"
            )
        records.revise(con, name, {device.id: lambda record: after_belief(record, side, now)})
        body: dict[str, JsonValue] = {"side": side.value, "until": now.isoformat(), "reason": reason}
        ledger.append(con, [Event(EventKind.BELIEVED, by, device.id, name, paragraph="A18", body=body)], now)
    return device


def open_case(
    installation: Installation, machine: str, campaign: str, reason: str, by: str, now: datetime
) -> Device:
    """Open a help-desk case about a machine whose sides disagree.

    Raises:
        InputError: agent and probe do not disagree there, or the help desk has a case already.
    """
    by, reason = person(by), sentence(reason, "what the help desk should look at")
    with installation.database.begin() as con:
        device = _disputed(con, machine, campaign)
        name = CampaignId(campaign)
        if records.some(con, name, [device.id])[0].helped_at is not None:
            raise InputError(f"The help desk has a case about {device.name} in {name} already")
        records.revise(con, name, {device.id: lambda record: after_help(record, now)})
        body: dict[str, JsonValue] = {"reason": reason}
        ledger.append(con, [Event(EventKind.HELPED, by, device.id, name, paragraph="A18", body=body)], now)
    return device


def _disputed(con: Connection, machine: str, campaign: str) -> Device:
    """Find a machine whose sides disagree in a campaign."""
    device = the_machine(con, machine)
    name = locked(con, campaign).id
    found = records.some(con, name, [device.id])
    if not found or found[0].disputed_at is None:
        raise InputError(f"Agent and probe do not disagree on {device.name} in {name}: forestall disagree")
    return device


def _of(con: Connection, campaign: Campaign, now: datetime, policy: Policy) -> list[Disagreement]:
    found = _open(con, campaign, now, policy)
    names = [record.device for record, _ in found]
    machines = devices.some(con, names)
    words = records.last_words(con, campaign.id, names)
    beliefs = approvals.decided(con, tuple(BELIEFS.values()), campaign.id, names)
    return [
        _row(machines[record.device], campaign, record, case, words, beliefs.get(record.device), now)
        for record, case in found
    ]


def _open(con: Connection, campaign: Campaign, now: datetime, policy: Policy) -> list[tuple[Record, Case]]:
    """Find those whose words are both fresh: either it is a conflict now, or one side is believed."""
    moment = moment_of(campaign, now, policy)
    cases = ((record, case_of(record, moment)) for record in records.disputed(con, campaign.id))
    return [(record, case) for record, case in cases if case.conflict or believed_of(record, now) is not None]


def _row(
    device: Device,
    campaign: Campaign,
    record: Record,
    case: Case,
    words: dict[tuple[DeviceId, str], tuple[datetime, str]],
    asked: Asked | None,
    now: datetime,
) -> Disagreement:
    side = believed_of(record, now)
    said = []
    for witness, status, at, _ in evidence_of(record):
        since, proof = words.get((device.id, witness), (at, ""))
        outside = Side.PROBE if witness in OUTSIDE else Side.AGENT
        said.append(Said(outside, witness, status, at, since, proof, _quality(witness, proof)))
    belief = None
    if side is not None and record.believed_until is not None:
        belief = Belief(
            side, record.believed_until, asked.request.reason if asked else "", asked.request.by if asked else "",
            asked.approved_by if asked else "",
        )  # fmt: skip
    return Disagreement(
        device=device.id, name=device.name, site=device.site, owner=device.owner, managed=device.managed,
        campaign=campaign.id, update=campaign.remediation, since=record.disputed_at or now, words=tuple(said),
        looking=case.wished, told=case.told, helped=case.helped, belief=belief,
    )  # fmt: skip


def _quality(witness: Witness, proof: str) -> str:
    """Say what a word is worth; a probe's sentence begins with the probe's name."""
    if witness is not Witness.PROBE:
        return _OWN_QUALITY.get(witness, "its own word")
    name = proof.partition(" at ")[0]
    return next((str(probe.quality) for probe in PROBES if probe.name == name), "")
