"""Whom a decision of two people concerns, and why it cannot be asked for: pure, so that preview and execution agree."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.approval import Matter
from forestall.domain.brakes import Held, set_hash
from forestall.domain.campaign import Campaign, Phase, Step, take
from forestall.domain.case import Case, case_of, moment_of
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.evidence import CLEAN
from forestall.domain.policy import Policy
from forestall.domain.record import Record


@dataclass(frozen=True, slots=True)
class Preview:
    """A set of machines as people are shown it before anything happens (A8)."""

    count: int
    sites: Mapping[SiteId, int]
    machines: str
    """`brakes.set_hash` of the set."""


def preview_of(machines: Mapping[DeviceId, SiteId]) -> Preview:
    """Count a set of machines by site and name it."""
    return Preview(len(machines), dict(sorted(Counter(machines.values()).items())), set_hash(machines))


def concerned(
    matter: Matter,
    records: Iterable[Record],
    waiting: Sequence[Held],
    campaign: Campaign,
    now: datetime,
    policy: Policy,
) -> dict[DeviceId, SiteId]:
    """Select the machines of a campaign that a matter concerns.

    Raising a brake concerns the removals that a cap holds now; everything else the machines that are not seen fixed.
    """
    if matter is Matter.RAISE_BRAKE:
        return {
            held.intent.device: held.intent.site
            for held in waiting
            if held.intent.action is Action.QUARANTINE and held.brake.startswith("removals")
        }
    moment = moment_of(campaign, now, policy)
    open_ = ((record, case_of(record, moment)) for record in records)
    return {
        record.device: record.site
        for record, case in open_
        if case.status not in CLEAN
        and not case.exempt
        and (matter is not Matter.WAIVE_MAIL or _unmailed(case))
    }


def _unmailed(case: Case) -> bool:
    """Say whether a machine could be removed, but for the warning that no mail server has accepted (A14)."""
    return not case.protected and not case.warned and (case.lost or not case.managed)


def objection(matter: Matter, campaign: Campaign, count: int, now: datetime) -> str:
    """Say why a matter makes no sense for a campaign as it stands; empty where it does."""
    match matter:
        case Matter.IMMINENT:
            return _imminent(campaign, now) or _halted(campaign)
        case Matter.FORCE_EARLY if campaign.phase is not Phase.VOLUNTARY:
            return f"{campaign.id} is {campaign.phase}; only a voluntary period that runs can be cut short"
        case Matter.FORCE_EARLY:
            return _halted(campaign)
        case Matter.WAIVE_MAIL:
            return _waived(campaign)
        case Matter.RAISE_BRAKE if not count:
            return f"{campaign.id}: no removal is held by a cap now. See: forestall campaign preview {campaign.id}"
        case _:
            return ""


def _imminent(campaign: Campaign, now: datetime) -> str:
    if take(campaign, Step.IMMINENT, now) is None:
        phase = campaign.phase
        return (
            f"{campaign.id} is {phase}; a threat is declared imminent while the patch is distributed (P8.1)"
        )
    if campaign.imminent_at is not None:
        return f"{campaign.id} is imminent since {campaign.imminent_at:%Y-%m-%d %H:%M} UTC"
    return ""


def _halted(campaign: Campaign) -> str:
    if campaign.halted_at is None:
        return ""
    return f"{campaign.id} is halted, so nothing would start. First: forestall campaign resume {campaign.id}"


def _waived(campaign: Campaign) -> str:
    if campaign.imminent_at is None or not campaign.open:
        return (
            f"{campaign.id} is under no imminent threat: without an accepted warning nobody is removed (A14)"
        )
    return f"{campaign.id} removes without accepted warnings already" if campaign.mail_waived else ""
