"""What people order: ratings, campaigns, halts; each with its ledger entry in the same transaction."""

from dataclasses import replace
from datetime import datetime, timedelta

from forestall.domain.campaign import Campaign, Kind, Phase, Step, take
from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.evidence import Status
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY
from forestall.domain.remediation import RemediationId, parts_of
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
    _known_person(by)
    row = find_update(database, update)
    given = level or (Level.CRITICAL if es.escalation or es.expansion or es.exposure else Level.WARNING)
    rating = Rating(row.remediation, given, row.level, es, by, now, (reason, *row.reasons))
    body: dict[str, JsonValue] = {"level": given, "proposed": row.level, "reasons": list(rating.reasons)}
    with database.begin() as con:
        ratings.save(con, rating)
        ledger.append(con, [Event(EventKind.RATED, by, row.remediation, paragraph="P2.1", body=body)], now)
    return rating


def start_campaign(
    installation: Installation,
    update: str,
    period: timedelta | None,
    by: str,
    now: datetime,
    *,
    testing: bool,
) -> Campaign:
    """Set the guideline and hand over (P3.1, P3.4); unless it is to be tested first, distribute at once.

    Raises:
        InputError: the update is not rated critical, or the period is outside 0 to 14 days.
    """
    _known_person(by)
    row = find_update(installation.database, update)
    policy = installation.policy
    period = policy.voluntary_period if period is None else period
    if not timedelta() <= period <= 14 * DAY:
        raise InputError("The voluntary period of a critical update lies within 0 and 14 days (P3.1)")
    with installation.database.begin() as con:
        rating = ratings.of(con, row.remediation)
        if rating is None:
            raise InputError(f"{row.remediation} is not rated yet. First: forestall rate {row.remediation}")
        campaign = Campaign(
            id=_new_id(con, row.remediation),
            revision=1,
            remediation=row.remediation,
            kind=Kind.PATCH,
            level=rating.level,
            phase=Phase.TESTING,
            voluntary_period=period,
            goal=policy.goal,
            published_at=row.published_at,
            rated_at=rating.at,
            handed_over_at=now,
        )
        if not campaign.pushed:
            raise InputError(
                f"{row.remediation} is rated {rating.level}; only critical updates are pushed (P2.5). "
                "It arrives with the next service pack, or rate it again."
            )
        started = Event(EventKind.CAMPAIGN_STARTED, by, row.remediation, campaign.id, paragraph="P3.4")
        campaigns.save(con, campaign)
        ledger.append(con, [started], now)
        _enlist(con, campaign, now)
        return campaign if testing else _move(con, campaign, Step.DISTRIBUTE, by, now)


def move_campaign(database: Database, name: str, step: Step, by: str, now: datetime) -> Campaign:
    """Move a campaign one step on.

    Raises:
        InputError: there is no such campaign, or the process has no such step from here.
    """
    _known_person(by)
    with database.begin() as con:
        return _move(con, _locked(con, name), step, by, now)


def halt_campaign(database: Database, name: str, reason: str, by: str, now: datetime) -> Campaign:
    """Stop a campaign at once (A7)."""
    _known_person(by)
    with database.begin() as con:
        campaign = _locked(con, name)
        halted = replace(campaign, halted_at=campaign.halted_at or now, halted_because=reason)
        campaigns.save(con, halted)
        ledger.append(
            con,
            [Event(EventKind.HALTED, by, campaign.id, campaign.id, paragraph="A7", body={"why": reason})],
            now,
        )
        return halted


def resume_campaign(database: Database, name: str, by: str, now: datetime) -> Campaign:
    """Let a halted campaign go on."""
    _known_person(by)
    with database.begin() as con:
        campaign = _locked(con, name)
        if campaign.halted_at is None:
            raise InputError(f"{name} is not halted")
        resumed = replace(campaign, halted_at=None, halted_because="")
        campaigns.save(con, resumed)
        ledger.append(con, [Event(EventKind.RESUMED, by, campaign.id, campaign.id, paragraph="A7")], now)
        return resumed


def _move(con: Connection, campaign: Campaign, step: Step, by: str, now: datetime) -> Campaign:
    moved = take(campaign, step, now)
    if moved is None:
        raise InputError(f"{campaign.id} is {campaign.phase}: there is no step “{step}” from there")
    campaigns.save(con, moved)
    body: dict[str, JsonValue] = {"from": campaign.phase, "to": moved.phase}
    if moved.deadline_at is not None:
        body["deadline_at"] = moved.deadline_at.isoformat()
    ledger.append(
        con, [Event(EventKind.PHASE_CHANGED, by, campaign.id, campaign.id, rule=step, body=body)], now
    )
    return moved


def _enlist(con: Connection, campaign: Campaign, now: datetime) -> None:
    """Take in every machine that lacks the update, and every unmanaged one of which nothing is known."""
    standing = inventories.standing_of(con, campaign.remediation)
    found = {
        device: status for device, status in standing.items() if status in {Status.AFFECTED, Status.UNKNOWN}
    }
    for device in devices.everything(con):
        if not device.managed and device.id not in standing:
            found[device.id] = Status.UNKNOWN
    records.enlist(con, campaign.id, found, now)


def _locked(con: Connection, name: str) -> Campaign:
    campaign = campaigns.locked(con, name)
    if campaign is None:
        raise InputError(f"There is no campaign “{name[:80]}”. List them: forestall campaign ls")
    return campaign


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


def _new_id(con: Connection, remediation: RemediationId) -> CampaignId:
    """Name a campaign after its source package and a number, so that people can say it."""
    _, source, _ = parts_of(remediation)
    taken = {campaign.id for campaign in campaigns.everything(con)}
    return next(name for n in range(1, len(taken) + 2) if (name := CampaignId(f"{source}-{n}")) not in taken)


def _known_person(by: str) -> None:
    if not by.strip():
        raise InputError("Say who does this: --by NAME (it is recorded)")
