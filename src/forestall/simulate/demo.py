"""The made-up company as one can watch it: the real server and store, with made-up machines around them.

Everything a person sees here went through the same passes, brakes, intents and ledger as in earnest; only the
machines, their people and the switches are made up, and the clock is turned by hand (`forestall demo +1d`).
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import msgspec

from forestall.domain.action import Action
from forestall.domain.campaign import Campaign, Kind, Phase, Step
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.intent import Intent
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY, HOUR, MINUTE
from forestall.domain.record import Outcome, Receipt, Record
from forestall.domain.remediation import RemediationId
from forestall.notify.letters import Contents, Letter, compose
from forestall.notify.mailbox import deliver
from forestall.server.effects import Effects, apply_open
from forestall.server.operators import move_campaign
from forestall.server.passes import run_pass
from forestall.server.wiring import Installation
from forestall.simulate.company import Company, Member, Temper, make_company
from forestall.store import campaigns, devices, evidence, lease, records
from forestall.store.devices import Contact
from forestall.store.evidence import Attempts, Observation

MACHINES = 20_000
SEED = 2004
BLASTER = CampaignId("ms03-026")
BEGINS = datetime(2026, 7, 16, 17, 0, tzinfo=UTC)
"""Made-up, on the weekday and hour at which MS03-026 was published in 2003."""
VOLUNTARY = 8 * DAY
FIRST_LOOK = BEGINS + 2 * DAY + 4 * DAY
"""Where a newcomer finds the company: in the middle of the voluntary period."""
_LINK = "https://patches.example/ms03-026"
_SENDER = "Patch Desk <patch@company.example>"


class Town(msgspec.Struct):
    """What is true out there, whatever the server believes; one entry a machine, in the company's order."""

    now: datetime
    status: list[Status]
    installs_at: list[datetime | None]
    """When its person means to install."""
    effective_at: list[datetime | None]
    """When the old process is gone by itself after an install."""
    checked_at: list[datetime | None]
    closed: set[int]
    """Ports that are closed, by machine."""


class Demo:
    """The company, its town and its server."""

    def __init__(self, installation: Installation, town: Town, company: Company) -> None:
        self._installation = installation
        self._database = installation.database
        self._policy = installation.policy
        self._town = town
        self._members = company.members
        self._index = {member.device.id: place for place, member in enumerate(company.members)}
        self._effects: Effects = {
            Action.ANNOUNCE: partial(self._mail, Letter.ANNOUNCEMENT),
            Action.WARN: partial(self._mail, Letter.FINAL_WARNING),
            Action.ASK: partial(self._mail, Letter.SELF_CHECK),
            Action.LOOK: self._probe,
            Action.QUARANTINE: partial(self._switch, close=True),
            Action.RELEASE: partial(self._switch, close=False),
        }

    @property
    def now(self) -> datetime:
        """The company's own time."""
        return self._town.now

    def advance(self, period: timedelta) -> Iterator[datetime]:
        """Let time pass, step by step; gives the time after each step."""
        until = self._town.now + period
        while self._town.now < until:
            self._town.now = min(until, self._town.now + self._stride())
            self._step()
            _save(self._installation.settings.directory, self._town)
            yield self._town.now

    def _stride(self) -> timedelta:
        """Long steps while people choose, short ones around the deadline."""
        deadline_at = self._campaign().deadline_at
        if deadline_at is None or self._town.now < deadline_at:
            left = deadline_at - self._town.now if deadline_at else DAY
            return min(8 * HOUR if left > DAY else 2 * HOUR, max(left, 5 * MINUTE))
        return 5 * MINUTE if self._town.now - deadline_at < HOUR else HOUR

    def _campaign(self) -> Campaign:
        with self._database.begin() as con:
            found = campaigns.get(con, BLASTER)
        if found is None:
            raise LookupError(BLASTER)
        return found

    def _step(self) -> None:
        """One step: machines live, agents and sweep report, the server decides and acts, twice."""
        now = self._town.now
        with self._database.begin() as con:
            known = {record.device: record for record in records.gather(con, BLASTER)}
            said = [*self._live(known)]
            devices.heard(
                con, [Contact(each.device, now, "made-up", "", 0) for each in said if each.attempts]
            )
            evidence.take(con, BLASTER, said, now)
            held = lease.acquire(con, "decide", "demo", now, DAY)
        if held is None:
            raise LookupError("the demo's lease is held by somebody else")
        for _ in range(2):
            passed = run_pass(self._database, held, now, self._policy)
            while apply_open(self._database, self._effects, "demo", now, self._policy):
                pass
            if not any(each.ordered for each in passed):
                break

    # -- the machines and their people --------------------------------------------------------------------------

    def _live(self, known: dict[DeviceId, Record]) -> Iterator[Observation]:
        """Let every machine live up to now; gives what its agent, or the sweep, then sees."""
        now = self._town.now
        for place, member in enumerate(self._members):
            record = known.get(member.device.id)
            if record is None or not _on(member, now):
                continue
            before = self._town.status[place]
            self._install_if_meant(place, member, record)
            every = self._policy.check_every if member.device.managed else self._policy.sweep_every
            checked_at = self._town.checked_at[place]
            if self._town.status[place] is before and checked_at is not None and now - checked_at < every:
                continue
            if member.device.managed or place not in self._town.closed:
                self._town.checked_at[place] = now
                yield self._seen(place, member)

    def _install_if_meant(self, place: int, member: Member, record: Record) -> None:
        town, now = self._town, self._town.now
        if town.status[place] is Status.PENDING_RESTART:
            effective_at = town.effective_at[place]
            if record.restart_ordered_at is not None or (effective_at is not None and effective_at <= now):
                town.status[place] = Status.FIXED
            return
        meant_at = town.installs_at[place]
        forced = member.device.managed and record.forced_at is not None
        if town.status[place] is Status.AFFECTED and (forced or (meant_at is not None and meant_at <= now)):
            town.status[place] = Status.FIXED if member.habit.restarts_itself else Status.PENDING_RESTART
            town.effective_at[place] = now + 10 * HOUR

    def _seen(self, place: int, member: Member) -> Observation:
        now, status = self._town.now, self._town.status[place]
        if member.device.managed:
            word = Evidence(Witness.AGENT, status, now)
            return Observation(member.device.id, word, Attempts(0, forced=False))
        return self._probed(place)

    def _mean(self, place: int, at: datetime) -> None:
        meant_at = self._town.installs_at[place]
        self._town.installs_at[place] = at if meant_at is None else min(meant_at, at)

    # -- what the server does to them ----------------------------------------------------------------------------

    def _mail(self, letter: Letter, intents: Sequence[Intent], now: datetime) -> Sequence[Receipt]:
        """Hand mails to the local mailbox: one a person, broadcasts one a site; people react as their habit is."""
        places = [self._index[intent.device] for intent in intents]
        by_recipient = defaultdict[str, list[int]](list)
        for place in places:
            device = self._members[place].device
            everybody = f"everybody@{device.site}.example"
            by_recipient[everybody if letter is Letter.ANNOUNCEMENT else device.owner].append(place)
        campaign = self._campaign()
        letters = (self._letter(letter, to, theirs, campaign) for to, theirs in by_recipient.items())
        deliver(self._installation.settings.directory / "mail.mbox", letters, now)
        for place in places:
            self._react(letter, place, campaign)
        return [Receipt(Outcome.DONE, now, "delivered to the local mailbox") for _ in intents]

    def _letter(self, letter: Letter, recipient: str, places: list[int], campaign: Campaign) -> EmailMessage:
        owned = [self._members[place].device for place in places]
        contents = Contents(
            letter=letter,
            update=BLASTER,
            machines=tuple(device.name for device in owned[:10]),
            deadline_at=campaign.deadline_at,
            minutes=int(self._policy.removal_after_warning / MINUTE),
            link=_LINK,
        )
        return compose(contents, recipient, _SENDER, owned[0].language, self._town.now)

    def _react(self, letter: Letter, place: int, campaign: Campaign) -> None:
        habit, now = self._members[place].habit, self._town.now
        if letter is Letter.ANNOUNCEMENT and habit.temper is Temper.RESPONDS:
            self._mean(place, now + habit.answers_after)
        elif letter is Letter.ANNOUNCEMENT and habit.temper is Temper.WAITS and campaign.deadline_at:
            self._mean(place, campaign.deadline_at - 2 * habit.answers_after)
        elif letter is Letter.FINAL_WARNING and habit.temper is not Temper.IGNORES:
            self._mean(place, now + habit.answers_after)

    def _probe(self, intents: Sequence[Intent], now: datetime) -> Sequence[Receipt]:
        """Probe machines now; what is off says nothing."""
        said = defaultdict[CampaignId, list[Observation]](list)
        for intent in intents:
            place = self._index[intent.device]
            if _on(self._members[place], now):
                said[intent.campaign].append(self._probed(place))
        with self._database.begin() as con:
            for campaign, observations in said.items():
                evidence.take(con, campaign, observations, now)
        return [Receipt(Outcome.DONE, now, "probed") for _ in intents]

    def _probed(self, place: int) -> Observation:
        """See from outside what a probe can tell: a pending restart is still vulnerable."""
        member = self._members[place]
        seen = Status.UNKNOWN
        if member.habit.readable:
            seen = Status.FIXED if self._town.status[place] is Status.FIXED else Status.AFFECTED
        return Observation(member.device.id, Evidence(Witness.PROBE, seen, self._town.now))

    def _switch(self, intents: Sequence[Intent], now: datetime, *, close: bool) -> Sequence[Receipt]:
        """Close or open ports of the made-up switches, and read them back."""
        for intent in intents:
            place = self._index[intent.device]
            if close:
                self._town.closed.add(place)
                self._mean(place, now + self._members[place].habit.answers_after)
            else:
                self._town.closed.discard(place)
        detail = "port closed, read back" if close else "port open, read back"
        return [Receipt(Outcome.DONE, now, detail) for _ in intents]


def _on(member: Member, now: datetime) -> bool:
    """Say whether a machine is on and in the network: portable ones in office hours, away ones not."""
    habit = member.habit
    if any(begins <= now - BEGINS < until for begins, until in habit.away):
        return False
    return not habit.portable or (now.weekday() < 5 and 8 <= now.hour < 18)


def open_demo(installation: Installation, machines: int = MACHINES) -> Demo:
    """Open the company of an installation; a new one stands at the day its campaign begins."""
    company = make_company(machines, SEED)
    town = _load(installation.settings.directory)
    if town is None or len(town.status) != machines:
        town = _found(installation, company)
    return Demo(installation, town, company)


def clock_of(directory: Path) -> datetime | None:
    """Read the company's own time; None where nobody has opened it yet."""
    town = _load(directory)
    return town.now if town else None


def _found(installation: Installation, company: Company) -> Town:
    """Make the company known to the server, and start its campaign (P1.3, P3.1, P4.4)."""
    database, count = installation.database, len(company.members)
    distributed_at = BEGINS + 2 * DAY
    campaign = Campaign(
        id=BLASTER,
        revision=1,
        remediation=RemediationId("made-up/rpcss/5.1.2600.109"),
        kind=Kind.PATCH,
        level=Level.CRITICAL,
        phase=Phase.TESTING,
        voluntary_period=VOLUNTARY,
        goal=installation.policy.goal,
        published_at=BEGINS,
        rated_at=BEGINS + 5 * HOUR,
        handed_over_at=BEGINS + 6 * HOUR,
    )
    with database.begin() as con:
        if campaigns.get(con, BLASTER) is not None:
            raise LookupError("the company is there but its town is lost")
        devices.save(con, company.devices)
        campaigns.save(con, campaign)
        unknown = dict.fromkeys((device.id for device in company.devices), Status.UNKNOWN)
        records.enlist(con, BLASTER, unknown, campaign.handed_over_at)
    move_campaign(database, BLASTER, Step.DISTRIBUTE, "kim (made up)", distributed_at)
    town = Town(
        now=distributed_at,
        status=[Status.AFFECTED] * count,
        installs_at=[None] * count,
        effective_at=[None] * count,
        checked_at=[None] * count,
        closed=set(),
    )
    _save(installation.settings.directory, town)
    return town


def _load(directory: Path) -> Town | None:
    path = directory / "town.json"
    return msgspec.json.decode(path.read_bytes(), type=Town) if path.exists() else None


def _save(directory: Path, town: Town) -> None:
    path = directory / "town.json"
    beside = path.with_suffix(".new")
    beside.write_bytes(msgspec.json.encode(town))
    os.replace(beside, path)  # noqa: PTH105 - the atomic one
