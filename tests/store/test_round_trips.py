"""What is kept comes back as it was: machines, campaigns, ratings, approvals, sources and what they say."""

# ruff: noqa: E501 - a table reads best one row a line

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given

from domain.made import DAY, DEADLINE, ENFORCING, HOUR, MINUTE, START, TESTING, VOLUNTARY
from domain.made import campaigns as any_campaign
from forestall.domain.advisory import (
    Advisory,
    AdvisoryId,
    Catalogue,
    Exploitation,
    Product,
    ProductStatus,
    Vulnerability,
    VulnerabilityId,
)  # fmt: skip
from forestall.domain.approval import Matter, Request
from forestall.domain.campaign import Campaign, Phase
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Status
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.remediation import RemediationId
from forestall.feeds.bundle import load_bundle
from forestall.store import advisories, approvals, campaigns, devices, feeds, ratings, records
from forestall.store.database import Database
from forestall.store.devices import Contact
from forestall.store.feeds import FeedState
from forestall.store.ratings import Rating, ThreeEs
from store.made import in_database

C = ENFORCING.id


def machine(ident: str, **known: object) -> Device:
    return replace(Device(DeviceId(ident), "host", SiteId("tokyo"), managed=True), **known)


@in_database
@given(campaign=any_campaign())
def test_a_campaign_at_any_point_of_its_life(database: Database, campaign: Campaign):
    with database.begin() as con:
        point = con.begin_nested()
        campaigns.save(con, TESTING)
        campaigns.save(con, campaign)
        assert campaigns.get(con, campaign.id) == campaigns.locked(con, campaign.id) == campaign
        assert campaigns.everything(con) == [campaign]
        point.rollback()


def test_a_machine_with_everything_known_of_it(database: Database):
    full = machine(
        "d1", owner="a@b", language="ja", addresses=("10.0.0.1", "fe80::1"), protected=True, seen_at=START
    )
    bare = machine("d2")
    with database.begin() as con:
        devices.save(con, [full, bare])
        assert devices.everything(con) == [full, bare]
        assert devices.everything(con, limit=1) == [full]
        assert devices.get(con, full.id) == full
        assert devices.get(con, DeviceId("nobody")) is None


def test_names_need_not_be_unique(database: Database):
    twins = [machine("d1"), machine("d2")]
    with database.begin() as con:
        devices.save(con, twins)
        assert devices.find(con, "host") == twins
        assert devices.find(con, "d2") == twins[1:]


def test_a_sighting_never_goes_back(database: Database):
    with database.begin() as con:
        devices.save(con, [machine("d1", seen_at=START)])
        devices.save(con, [machine("d1", name="renamed", seen_at=START - DAY)])
        devices.seen(con, [DeviceId("d1")], START - HOUR)
        assert devices.get(con, DeviceId("d1")) == machine("d1", name="renamed", seen_at=START)


def test_of_several_check_ins_of_one_machine_the_newest_counts(database: Database):
    with database.begin() as con:
        devices.save(con, [machine("d1")])
        devices.heard(
            con,
            [
                Contact(DeviceId("d1"), START + MINUTE, "2", "boot2", 8),
                Contact(DeviceId("d1"), START, "1", "boot1", 7),
                Contact(DeviceId("nobody"), START, "1", "boot", 1),
            ],
        )
        campaigns.save(con, ENFORCING)
        records.enlist(con, C, {DeviceId("d1"): Status.AFFECTED}, START)
        (record,) = records.gather(con, C)
    assert (record.seen_at, record.heard_at) == (START + MINUTE, START + MINUTE)


def test_campaigns_with_nothing_left_to_decide_are_not_gathered(database: Database):
    """P7.2, A7: a withdrawn one until its orders are back, a closed one while it holds a machine."""
    withdrawn = replace(ENFORCING, id=CampaignId("w"), phase=Phase.WITHDRAWN)
    closed = replace(ENFORCING, id=CampaignId("x"), phase=Phase.CLOSED)
    d1 = DeviceId("d1")

    def active() -> set[str]:
        return {campaign.id for campaign in campaigns.active(con)}

    with database.begin() as con:
        devices.save(con, [machine("d1")])
        for campaign in (VOLUNTARY, withdrawn, closed):
            campaigns.save(con, campaign)
            records.enlist(con, campaign.id, {d1: Status.AFFECTED}, START)
            records.mark(con, campaign.id, "offered_at", [d1], START)
        assert active() == {"c1", "w"}
        records.mark(con, withdrawn.id, "recalled_at", [d1], START)
        assert active() == {"c1"}
        records.mark(con, closed.id, "quarantined_at", [d1], START)
        assert active() == {"c1", "x"}


def test_a_machine_is_given_the_orders_that_hold(database: Database):
    """P5.2, A7: offered, not recalled, of a campaign that is open."""
    d1 = DeviceId("d1")
    cases = {
        "open": VOLUNTARY.phase,
        "closed": Phase.CLOSED,
        "recalled": VOLUNTARY.phase,
        "not-offered": Phase.ENFORCING,
    }
    with database.begin() as con:
        devices.save(con, [machine("d1"), machine("d2")])
        for name, phase in cases.items():
            campaign = replace(VOLUNTARY, id=CampaignId(name), phase=phase)
            campaigns.save(con, campaign)
            records.enlist(con, campaign.id, {d1: Status.AFFECTED}, START)
            if name != "not-offered":
                records.mark(con, campaign.id, "offered_at", [d1], START + HOUR)
        records.mark(con, CampaignId("recalled"), "recalled_at", [d1], START)
        assert [(campaign.id, at) for campaign, at in campaigns.ordered(con, [d1], START + HOUR)[d1]] == [
            ("open", START + HOUR)
        ]
        assert campaigns.ordered(con, [DeviceId("d2")], START + HOUR) == {}


def test_every_rating_is_kept_and_the_newest_counts(database: Database):
    """P2.1: a rating can be revised; the record keeps both."""
    update = RemediationId("bookworm/openssl/1")
    first = Rating(
        update, Level.CRITICAL, Level.WARNING, ThreeEs(expansion=True), "aiko", START, ("a worm", "more")
    )
    second = replace(
        first, level=Level.CAUTION, es=ThreeEs(), by="ben", at=START + HOUR, reasons=("was wrong",)
    )
    other = replace(first, remediation=RemediationId("bookworm/curl/1"))
    with database.begin() as con:
        for rating in (first, other, second):
            ratings.save(con, rating)
        assert ratings.of(con, update) == second
        assert ratings.of(con, RemediationId("x/y/z")) is None
        assert list(ratings.newest(con)) == [other, second]


def test_what_two_people_allowed_is_used_up_oldest_first(database: Database):
    """A9."""
    asked = Request(Matter.RAISE_BRAKE, C, "aiko", START, DEADLINE, "set", 3)
    with database.begin() as con:
        one, two = approvals.ask(con, asked), approvals.ask(con, replace(asked, count=5))
        assert approvals.asked(con, one) == asked
        assert approvals.raised(con, C) == 0, "one person allows nothing"
        for number in (one, two):
            approvals.approve(con, number, "ben", START)
        assert approvals.asked(con, one) is None
        assert approvals.raised(con, C) == 8
        approvals.spend(con, C, 4)
        approvals.spend(con, C, 0)
        assert approvals.raised(con, C) == 4
        approvals.spend(con, C, 99)
        assert approvals.raised(con, C) == 0
        assert approvals.raised(con, CampaignId("other")) == 0


FULL = Vulnerability(
    VulnerabilityId("CVE-2026-0001"), "title", "description", Exploitation.ACTIVE, date(2026, 1, 2), True, 0.5,
    9.8, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", ("CWE-79",), True, False, False,
)  # fmt: skip
SAID = Catalogue(
    (
        Advisory(AdvisoryId("DSA-1"), "t", START, (FULL.id,), (
            Product("bookworm", "openssl", ProductStatus.FIXED, "1.0"), Product("trixie", "openssl", list(ProductStatus)[-1], None),
        ), "debian"),
        Advisory(AdvisoryId("DSA-2"), "t", START, (), (), "debian"),
    ),
    {FULL.id: FULL, VulnerabilityId("CVE-2026-0002"): Vulnerability(VulnerabilityId("CVE-2026-0002"))},
)  # fmt: skip


def test_what_a_source_says_takes_the_place_of_what_it_said(database: Database):
    with database.begin() as con:
        advisories.save(con, "a", SAID)
        advisories.save(con, "b", Catalogue(SAID.advisories[:1]))
        assert advisories.load(con) == {"a": SAID, "b": Catalogue(SAID.advisories[:1])}
        advisories.save(con, "a", Catalogue(SAID.advisories[1:]))
        assert advisories.load(con)["a"] == Catalogue(SAID.advisories[1:])


def test_the_whole_bundle(database: Database):
    bundle = load_bundle()
    with database.begin() as con:
        advisories.save(con, "bundle", bundle)
        found = advisories.load(con)["bundle"]
    assert {each.id: each for each in found.advisories} == {each.id: each for each in bundle.advisories}
    assert found.facts == bundle.facts


def test_a_source_remembers_its_last_good_copy_and_its_trouble(database: Database):
    """P1.1."""
    with database.begin() as con:
        feeds.loaded(con, "a", START, "abc", 7)
        feeds.failed(con, "a", START + HOUR, "line 3: no")
        assert feeds.states(con) == {"a": FeedState("a", START, "abc", 7, "line 3: no", START + HOUR)}
        feeds.hold(con, "a", START + 2 * HOUR, "shrank")
        assert feeds.states(con)["a"].tried_at == START + 2 * HOUR
        feeds.loaded(con, "a", START + DAY, "def", 8)
        assert feeds.states(con)["a"] == FeedState("a", START + DAY, "def", 8, "", START + 2 * HOUR)
    assert FeedState("new").tried_at is None


@pytest.mark.parametrize("period", [timedelta(), timedelta(days=14), timedelta(seconds=20, microseconds=1)])
def test_a_period_keeps_its_length(database: Database, period: timedelta):
    with database.begin() as con:
        campaigns.save(con, replace(TESTING, voluntary_period=period))
        kept = campaigns.get(con, TESTING.id)
    assert kept is not None
    assert kept.voluntary_period == period
