"""Campaigns and records for the tests: plain ones, and every possible one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from forestall.domain.campaign import Campaign, Kind, Phase, Step, take
from forestall.domain.case import Case, case_of, moment_of
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.evidence import Evidence, Side, Status, Witness
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.record import Record
from forestall.domain.remediation import RemediationId
from forestall.domain.ring import LISTS, Ring

POLICY = Policy()
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""The patch is distributed."""
DEADLINE = START + timedelta(days=8)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

TESTING = Campaign(
    id=CampaignId("c1"),
    revision=1,
    remediation=RemediationId("bookworm/openssl/3.0.22-1~deb12u2"),
    kind=Kind.PATCH,
    level=Level.CRITICAL,
    phase=Phase.TESTING,
    voluntary_period=timedelta(days=8),
    goal=0.99,
    published_at=START - timedelta(hours=40),
    rated_at=START - timedelta(hours=36),
    handed_over_at=START - timedelta(hours=30),
)


def taken(campaign: Campaign, step: Step, at: datetime) -> Campaign:
    moved = take(campaign, step, at)
    assert moved is not None
    return moved


VOLUNTARY = taken(TESTING, Step.DISTRIBUTE, START)
ENFORCING = taken(VOLUNTARY, Step.DEADLINE, DEADLINE)

DEVICE, SITE = DeviceId("d1"), SiteId("tokyo")
TOLD = Record(DEVICE, SITE, managed=False, announced_at=START)
"""An unmanaged machine whose owner knows of the campaign."""


def vulnerable(record: Record, at: datetime) -> Record:
    return record._replace(probe_status=Status.AFFECTED, probe_at=at)


def case_at(record: Record, campaign: Campaign, now: datetime, policy: Policy = POLICY) -> Case:
    return case_of(record, moment_of(campaign, now, policy))


def seen(status: Status, at: datetime, witness: Witness = Witness.PROBE) -> Evidence:
    return Evidence(witness, status, at)


instants = st.integers(-60, 20 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
"""From an hour before distribution to 20 days after it, to the minute."""


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    """Every campaign that steps in some order can make, halted or not."""
    ring = draw(st.none() | st.sampled_from([Ring.TEAM, Ring.VOLUNTEERS, Ring.EARLY]))
    campaign, at = replace(TESTING, ring=ring, ring_opened_at=ring and TESTING.handed_over_at), START
    for step in draw(st.lists(st.sampled_from(Step), max_size=5)):
        at += timedelta(minutes=draw(st.integers(0, 10 * 24 * 60)))
        campaign = take(campaign, step, at) or campaign
    if campaign.ring is Ring.BROAD and draw(st.booleans()):
        campaign = replace(campaign, ring=Ring.CRITICAL_LAST)
    return replace(
        campaign,
        halted_at=draw(st.none() | st.just(at)),
        mail_waived=draw(st.booleans()),
        kind=draw(st.sampled_from(Kind)),
    )


def _field(name: str) -> st.SearchStrategy[Any]:
    if name.endswith("_status"):
        return st.none() | st.sampled_from(Status)
    if name.endswith(("_at", "_until", "_since")):
        return st.none() | instants
    if name == "believed":
        return st.none() | st.sampled_from(Side)
    if name == "ring":
        return st.none() | st.sampled_from(LISTS)
    if name in {"managed", "owned", "protected"}:
        return st.booleans()
    return st.integers(0, 4)


records = st.builds(
    Record,
    **{name: _field(name) for name in Record._fields if name not in {"device", "site"}},
    device=st.just(DEVICE),
    site=st.just(SITE),
)
"""Every record, also such as no history leaves behind."""
