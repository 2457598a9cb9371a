"""What operators do with rings: put machines on their lists, see who is on them, and how a campaign's test stands."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from forestall.domain.brakes import position_of
from forestall.domain.campaign import Campaign
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.proof import proof
from forestall.domain.remediation import RemediationId
from forestall.domain.ring import LISTS, RINGS, Ring, up_to, volunteered
from forestall.domain.testing import Hours, Judgement, hours_of, judge
from forestall.domain.trial import Tally, Verdict, span_of, together, verdict
from forestall.server.steps import person
from forestall.store import campaigns, devices, ledger, rings, trials
from forestall.store.database import Connection, Database
from forestall.store.rings import Member

ITS_PERSON = "its person"


class Selection(NamedTuple):
    """Which machines an operator means; what is given narrows it, and nothing given is nobody."""

    machines: tuple[str, ...] = ()
    """Ids or names."""
    site: str = ""
    share: float | None = None
    """A share of those, 0 to 1, always the same machines for the same ring."""


def ring_named(text: str, *, listed: bool = False) -> Ring:
    """Read the name of a ring.

    Raises:
        InputError: there is none of that name, or none with a list.
    """
    known = LISTS if listed else RINGS
    if text not in known:
        raise InputError(f"There is no ring “{text[:40]}” here; take one of: {', '.join(known)}")
    return Ring(text)


def put_into(
    database: Database, ring: Ring | None, selection: Selection, by: str, now: datetime
) -> list[DeviceId]:
    """Put machines on a ring's list, or off all lists (None); returns those for which that is new.

    Raises:
        InputError: the selection is nobody, or names a machine that is not known or not the only one of its name.
    """
    by = person(by)
    with database.begin() as con:
        chosen = _chosen(con, selection, ring)
        if not chosen:
            raise InputError("That selects no machine: nothing was changed. Name machines, --site or --share")
        return change(con, dict.fromkeys(chosen, ring), by, now)


def take_part(con: Connection, wishes: Mapping[DeviceId, bool], now: datetime) -> list[DeviceId]:
    """Let machines whose people wish it join the volunteers or leave them; operators' lists stay theirs (P4.1)."""
    if not wishes:
        return []
    listed = rings.of(con, wishes)
    wanted = {device: volunteered(listed.get(device), joins=joins) for device, joins in wishes.items()}
    return change(con, {d: r for d, r in wanted.items() if r is not listed.get(d)}, ITS_PERSON, now)


def change(con: Connection, wanted: Mapping[DeviceId, Ring | None], by: str, now: datetime) -> list[DeviceId]:
    """Put each machine on its list or off all of them, and say so in the ledger; returns those for which it is new."""
    changed: dict[DeviceId, Ring | None] = {}
    for ring in (*LISTS, None):
        machines = sorted(device for device, want in wanted.items() if want is ring)
        if machines:
            done = rings.put(con, ring, machines, by, now) if ring else rings.take_off(con, machines)
            changed |= dict.fromkeys(done, ring)
    events = (
        Event(EventKind.RING_CHANGED, by, device, paragraph="P4.1", body={"ring": ring or Ring.BROAD})
        for device, ring in sorted(changed.items())
    )
    ledger.append(con, events, now)
    return sorted(changed)


def _chosen(con: Connection, selection: Selection, ring: Ring | None) -> list[DeviceId]:
    if selection.machines:
        found = [_named(con, text) for text in selection.machines]
    elif selection.site or selection.share is not None:
        found = rings.managed(con, SiteId(selection.site) if selection.site else None)
    else:
        return []
    place = RemediationId(f"ring/{ring or Ring.BROAD}")
    return [each for each in found if selection.share is None or position_of(place, each) < selection.share]


def _named(con: Connection, text: str) -> DeviceId:
    found = devices.find(con, text)
    if len(found) != 1:
        raise InputError(
            f"“{text[:80]}” names {len(found)} machines; nothing was changed. List them: forestall devices"
        )
    return found[0].id


@dataclass(frozen=True, slots=True)
class RingRow:
    """One ring of a campaign."""

    ring: Ring
    open: bool
    """It has the patch."""
    machines: int
    verdicts: Mapping[Verdict, int]
    """Empty while it does not have it: its machines are held."""
    proven: int

    def count(self, *verdicts: str) -> int:
        """Count the machines with one of these verdicts."""
        return sum(self.verdicts.get(Verdict(each), 0) for each in verdicts)


@dataclass(frozen=True, slots=True)
class RingStanding:
    """How a campaign's test stands."""

    campaign: CampaignId
    hours: Hours
    rings: tuple[RingRow, ...]
    judgement: Judgement | None
    """What is decided about the next ring; None where people test by hand, or every ring has it."""
    proof: Mapping[str, str]
    """What the installs prove, one sentence a language."""


def ring_standing(database: Database, name: str, now: datetime, policy: Policy) -> RingStanding:
    """Say how a campaign's test stands.

    Raises:
        InputError: there is no such campaign.
    """
    with database.begin() as con:
        return standing_of(con, _campaign(con, name), now, policy)


def standing_of(con: Connection, campaign: Campaign, now: datetime, policy: Policy) -> RingStanding:
    """Say how a campaign's test stands; writes nothing."""
    hours, having = hours_of(campaign, now, policy), up_to(campaign.ring)
    if not having:
        return RingStanding(campaign.id, hours, rings=(), judgement=None, proof=proof(0, 0))
    tallies = trials.tally(con, campaign.id, campaign.revision, having, span_of(campaign, now, policy))
    waiting = rings.counts_in(con, campaign.id, now)
    total = together(tallies.values())
    return RingStanding(
        campaign=campaign.id,
        hours=hours,
        rings=tuple(_row(ring, tallies.get(ring), waiting) for ring in RINGS),
        judgement=judge(campaign, tallies, waiting[Ring.CRITICAL_LAST], now, policy),
        proof=proof(total.harmed, total.clean + total.harmed),
    )


def _row(ring: Ring, tally: Tally | None, waiting: Counter[Ring]) -> RingRow:
    if tally is None:
        return RingRow(ring, open=False, machines=waiting[ring], verdicts={}, proven=0)
    return RingRow(
        ring, open=True, machines=tally.machines, verdicts=dict(tally.verdicts), proven=tally.proven
    )


class TrialRow(NamedTuple):
    """One machine of a test and what its trial comes to."""

    device: DeviceId
    name: str
    site: SiteId
    ring: Ring
    verdict: Verdict | None
    """None while its ring does not have the patch."""
    rule: str
    paragraph: str
    meaning: str
    installed_at: datetime | None
    services: tuple[str, ...]
    broke: str


def trial_rows(
    database: Database,
    name: str,
    now: datetime,
    policy: Policy,
    wanted: Sequence[Ring] = (),
    only: Verdict | None = None,
) -> list[TrialRow]:
    """List the machines of a campaign's rings, with what each verdict rests on; those of later rings as held.

    Raises:
        InputError: there is no such campaign.
    """
    with database.begin() as con:
        campaign = _campaign(con, name)
        having, span = up_to(campaign.ring), span_of(campaign, now, policy)
        found = trials.testers(con, campaign.id, campaign.revision, list(wanted or having), span)
        rows = [_trial_row(each, held=each.ring not in having) for each in found]
    return [row for row in rows if only is None or row.verdict is only]


def _trial_row(tester: trials.Tester, *, held: bool) -> TrialRow:
    row = verdict(tester.signs)
    return TrialRow(
        device=tester.device,
        name=tester.name,
        site=tester.site,
        ring=tester.ring,
        verdict=None if held else row.then,
        rule="held" if held else row.name,
        paragraph="P4.2" if held else row.paragraph,
        meaning="its ring has not got it yet" if held else row.meaning,
        installed_at=tester.installed_at,
        services=tester.services,
        broke=tester.broke,
    )


def ring_counts(database: Database) -> Mapping[Ring, int]:
    """Count the machines of every ring."""
    with database.begin() as con:
        found = rings.counts(con)
    return {ring: found[ring] for ring in RINGS}


def ring_members(database: Database, ring: Ring) -> list[Member]:
    """List who is on a ring's list."""
    with database.begin() as con:
        return rings.members(con, ring)


def _campaign(con: Connection, name: str) -> Campaign:
    campaign = campaigns.get(con, name)
    if campaign is None:
        raise InputError(f"There is no campaign “{name[:80]}”. List them: forestall campaign ls")
    return campaign
