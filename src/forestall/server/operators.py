"""What people order: ratings, campaigns, halts; each with its ledger entry in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forestall.domain.campaign import Campaign, Kind, Phase, Step, halted, resumed
from forestall.domain.device import SiteId
from forestall.domain.duration import format_duration
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.evidence import Status
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.pack import rolls_up
from forestall.domain.policy import DAY, Policy
from forestall.domain.remediation import RemediationId, by_recipe, parts_of
from forestall.domain.ring import RINGS
from forestall.domain.story import told
from forestall.server.steps import changed, locked, moved, not_restored, person, sentence
from forestall.server.triage import TriageRow, named
from forestall.server.wiring import Installation
from forestall.store import campaigns, devices, enrolment, inventories, ledger, ratings, records
from forestall.store.database import Connection, Database
from forestall.store.ratings import Rating, ThreeEs


def make_token(database: Database, site: str, uses: int, period: timedelta, by: str, now: datetime) -> str:
    """Make an enrolment token (shown once)."""
    with database.begin() as con:
        token = enrolment.make_token(con, SiteId(site), uses, now + period, by, now)
        ledger.append(con, [Event(EventKind.TOKEN_MADE, by, site, body={"uses": uses})], now)
    return token


def rate_update(
    database: Database, update: str, es: ThreeEs, level: Level | None, reason: str, by: str, now: datetime
) -> Rating:
    """Rate an update (P2.1): critical with one of the three E's, else warning, unless the rater says otherwise.

    Raises:
        InputError: nobody says who rates, or no such update is known.
    """
    by = person(by)
    row = find_update(database, update)
    given = level or (Level.CRITICAL if es.escalation or es.expansion or es.exposure else Level.WARNING)
    rating = Rating(row.remediation, given, row.level, es, by, now, (reason, *row.reasons))
    body: dict[str, JsonValue] = {
        "level": given, "proposed": row.level, "escalation": es.escalation, "expansion": es.expansion,
        "exposure": es.exposure, "reasons": list(rating.reasons),
    }  # fmt: skip
    with database.begin() as con:
        not_restored(con)
        ratings.save(con, rating)
        ledger.append(con, [Event(EventKind.RATED, by, row.remediation, paragraph="P2.1", body=body)], now)
    return rating


@dataclass(frozen=True, slots=True)
class _Guideline:
    """What Security sets for a campaign (P3.1, P3.3)."""

    kind: Kind
    period: timedelta
    testing: bool
    rings: bool = False
    """Tested by the rings, and distributed by itself once they have passed it (P4)."""


def start_campaign(
    installation: Installation,
    update: str,
    period: timedelta | None,
    by: str,
    now: datetime,
    *,
    testing: bool,
    rings: bool = False,
) -> Campaign:
    """Set the guideline and hand over (P3.1, P3.4); unless it is to be tested first, distribute at once.

    `rings` test it without anybody's doing and distribute it when they have passed it (P4).

    Raises:
        InputError: the update is not rated critical, has a campaign already, or the period is outside 0 to 14 days.
    """
    by = person(by)
    row = find_update(installation.database, update)
    policy = installation.policy
    period = policy.voluntary_period if period is None else period
    if not timedelta() <= period <= 14 * DAY:
        raise InputError("The voluntary period of a critical update lies within 0 and 14 days (P3.1)")
    with installation.database.begin() as con:
        return _start(con, row, _Guideline(Kind.PATCH, period, testing or rings, rings), policy, by, now)


def start_pack(
    installation: Installation,
    updates: Sequence[str],
    period: timedelta | None,
    by: str,
    now: datetime,
    *,
    testing: bool,
) -> list[Campaign]:
    """Drive a service pack: a campaign an update, all or none, each closing what it contains once distributed (P7.2).

    Raises:
        InputError: an update is not rated or has a campaign already, or the period is outside 0 to 21 days.
    """
    by = person(by)
    rows = [find_update(installation.database, update) for update in updates]
    policy = installation.policy
    period = policy.service_pack_period if period is None else period
    if not timedelta() <= period <= 21 * DAY:
        raise InputError("The voluntary period of a service pack lies within 0 and 21 days (P3.3)")
    guideline = _Guideline(Kind.SERVICE_PACK, period, testing)
    with installation.database.begin() as con:
        return [_start(con, row, guideline, policy, by, now) for row in rows]


def move_campaign(database: Database, name: str, step: Step, by: str, now: datetime) -> Campaign:
    """Move a campaign one step on.

    Raises:
        InputError: there is no such campaign, or the process has no such step from here.
    """
    by = person(by)
    with database.begin() as con:
        not_restored(con)
        return moved(con, locked(con, name), step, by, now)


def halt_campaign(database: Database, name: str, reason: str, by: str, now: datetime) -> Campaign:
    """Stop a campaign at once (A7); also on a restored database, where stopping is always right.

    Raises:
        InputError: there is no such campaign, or it has ended.
    """
    by, why = person(by), sentence(reason, "why it is halted")
    with database.begin() as con:
        campaign = locked(con, name)
        if not campaign.open:
            raise InputError(f"{name} is {campaign.phase}: there is nothing left to halt")
        event = Event(EventKind.HALTED, by, name, paragraph="A7", body={"why": why})
        return changed(con, campaign, halted(campaign, why, now), event, now)


def resume_campaign(database: Database, name: str, by: str, now: datetime) -> Campaign:
    """Let a halted campaign go on; what had failed by then halts it no more.

    Raises:
        InputError: there is no such campaign, or it is not halted.
    """
    by = person(by)
    with database.begin() as con:
        not_restored(con)
        campaign = locked(con, name)
        if campaign.halted_at is None:
            raise InputError(f"{name} is not halted")
        event = Event(EventKind.RESUMED, by, name, paragraph="A7")
        return changed(con, campaign, resumed(campaign, now), event, now)


def _start(
    con: Connection, row: TriageRow, guideline: _Guideline, policy: Policy, by: str, now: datetime
) -> Campaign:
    not_restored(con)
    rating = ratings.of(con, row.remediation)
    if rating is None:
        raise InputError(f"{row.remediation} is not rated yet. First: forestall rate {row.remediation}")
    not_driven_yet(con, row.remediation, guideline.kind)
    campaign = Campaign(
        id=new_id(con, row.remediation),
        revision=1,
        remediation=row.remediation,
        kind=guideline.kind,
        level=rating.level,
        phase=Phase.TESTING,
        voluntary_period=guideline.period,
        goal=policy.goal,
        published_at=row.published_at,
        rated_at=rating.at,
        handed_over_at=now,
        ring=RINGS[0] if guideline.rings else None,
        ring_opened_at=now if guideline.rings else None,
    )
    if not campaign.pushed:
        raise InputError(
            f"{row.remediation} is rated {rating.level}; only critical updates are pushed (P2.5). It arrives with "
            f"the next service pack (forestall campaign pack {row.remediation}), or rate it again."
        )
    campaigns.save(con, campaign)
    paragraph = "P3.3" if campaign.kind is Kind.SERVICE_PACK else "P3.4"
    started = Event(
        EventKind.CAMPAIGN_STARTED, by, row.remediation, campaign.id, paragraph=paragraph, body=told(campaign)
    )
    ledger.append(con, [started], now)
    if campaign.kind is Kind.SERVICE_PACK:
        _contain(con, campaign, by, now)
    _enlist(con, campaign, now)
    return campaign if guideline.testing else moved(con, campaign, Step.DISTRIBUTE, by, now)


def not_driven_yet(con: Connection, remediation: RemediationId, kind: Kind) -> None:
    """Refuse a second campaign for the same update (P5.5); a service pack takes over from a patch's campaign."""
    for campaign in campaigns.everything(con):
        takes_over = kind is Kind.SERVICE_PACK and campaign.kind is Kind.PATCH
        if campaign.open and campaign.remediation == remediation and not takes_over:
            raise InputError(
                f"{campaign.id} drives {remediation} already, with {format_duration(campaign.voluntary_period)} to "
                f"choose. See: forestall campaign show {campaign.id}"
            )


def _contain(con: Connection, pack: Campaign, by: str, now: datetime) -> None:
    """Mark the campaigns that a pack contains; they run on until it is distributed (P7.2)."""
    for other in campaigns.everything(con):
        if rolls_up(pack.remediation, other):
            campaign = locked(con, other.id)
            event = Event(EventKind.PHASE_CHANGED, by, "", paragraph="P7.2")
            changed(con, campaign, replace(campaign, rolled_up_by=pack.id), event, now)


def _enlist(con: Connection, campaign: Campaign, now: datetime) -> None:
    """Take in every machine that lacks the update, and every unmanaged one of which nothing is known.

    An update by a recipe concerns every machine: only its agent can tell whether it has it (P1.4).
    """
    standing = inventories.standing_of(con, campaign.remediation)
    found = {
        device: status for device, status in standing.items() if status in {Status.AFFECTED, Status.UNKNOWN}
    }
    everybody = by_recipe(campaign.remediation)
    for device in devices.everything(con):
        if everybody or (not device.managed and device.id not in standing):
            found[device.id] = Status.UNKNOWN
    records.enlist(con, campaign.id, found, now)


def find_update(database: Database, name: str) -> TriageRow:
    """Find the one update that a person names.

    Raises:
        InputError: none is meant, or several could be.
    """
    rows = [row for row in named(database, name) if row.remediation == name] or named(database, name)
    if len(rows) != 1:
        hint = "; name one of " + ", ".join(row.remediation for row in rows[:5]) if rows else ""
        raise InputError(f"“{name[:80]}” names {len(rows)} updates{hint}. List them: forestall advisory ls")
    return rows[0]


def new_id(con: Connection, remediation: RemediationId) -> CampaignId:
    """Name a campaign after its source package and a number, so that people can say it."""
    _, source, _ = parts_of(remediation)
    taken = {campaign.id for campaign in campaigns.everything(con)}
    return next(name for n in range(1, len(taken) + 2) if (name := CampaignId(f"{source}-{n}")) not in taken)
