"""What the server asks the signer to sign for a campaign."""

from dataclasses import replace

import pytest

from domain.made import DAY, ENFORCING, HOUR, POLICY, START, TESTING, VOLUNTARY, taken
from forestall.domain.authority import Approval, forced_at, objections
from forestall.domain.brakes import force_at, pace_of, position_of
from forestall.domain.campaign import Campaign, Step
from forestall.domain.device import DeviceId
from forestall.domain.order import Restart
from forestall.domain.ring import Ring
from forestall.server.publishing import concerned, order_document, ordered, stage_of
from forestall.trust.documents import odd_names, signed_order_of

ORDERED = [
    pytest.param(TESTING, False, id="one that is tested"),
    pytest.param(VOLUNTARY, True, id="one that is offered"),
    pytest.param(ENFORCING, True, id="one that is forced"),
    pytest.param(replace(ENFORCING, halted_at=START), False, id="one that is halted, A7"),
    pytest.param(taken(ENFORCING, Step.CLOSE, START + DAY), False, id="one that is closed"),
    pytest.param(taken(ENFORCING, Step.WITHDRAW, START + DAY), False, id="one that is withdrawn, A7"),
]


@pytest.mark.parametrize(("campaign", "orders"), ORDERED)
def test_which_campaigns_order_anything(campaign: Campaign, orders: bool) -> None:
    assert ordered(campaign) is orders


def test_an_order_says_what_the_campaign_says_and_nothing_speaks_against_it() -> None:
    paper = order_document(VOLUNTARY, 1_000, START + HOUR, POLICY)
    assert not odd_names(paper)
    approval = Approval("debian", VOLUNTARY.remediation, START, START, pace_of(POLICY, 1_000, imminent=False))
    assert objections(signed_order_of(paper), approval, START + HOUR) == ()
    assert (paper.campaign, paper.deadline_at) == (VOLUNTARY.id, VOLUNTARY.deadline_at)
    assert set(paper.texts) == {"en", "ja"}


def test_who_restarts_a_machine_is_signed_and_by_default_people_do():
    """A6."""
    assert order_document(VOLUNTARY, 1_000, START, POLICY).restart is Restart.PERSON
    for who in Restart:
        policy = replace(POLICY, restart=who.value)
        assert order_document(VOLUNTARY, 1_000, START, policy).restart is who


@pytest.mark.parametrize("fleet", [0, 1, 50, 1_000, 300_000])
def test_the_signed_waves_are_those_that_the_server_hints_at(fleet: int) -> None:
    """A8: paper and hint never disagree, so nobody waits for the later of two."""
    resumed = replace(ENFORCING, resumed_at=START + 30 * DAY)
    for campaign in (ENFORCING, resumed, taken(VOLUNTARY, Step.IMMINENT, START + DAY)):
        order = signed_order_of(order_document(campaign, fleet, START, POLICY))
        for number in range(300):
            device = DeviceId(f"m-{number}")
            signed = forced_at(order, None, None, position_of(campaign.remediation, device))
            assert signed == force_at(campaign, device, fleet, POLICY)


MOVED = [
    pytest.param([], [VOLUNTARY], True, id="it begins"),
    pytest.param([VOLUNTARY], [VOLUNTARY], False, id="nothing is new"),
    pytest.param([VOLUNTARY], [ENFORCING], False, id="its deadline passes: every machine knows it"),
    pytest.param([VOLUNTARY], [], True, id="it is halted or withdrawn, A7"),
    pytest.param(
        [VOLUNTARY], [taken(VOLUNTARY, Step.IMMINENT, START + DAY)], True, id="the threat is imminent, P8.2"
    ),
    pytest.param([TESTING], [replace(TESTING, ring=Ring.EARLY)], True, id="another ring gets it, P4.1"),
]


@pytest.mark.parametrize(("before", "after", "wakes"), MOVED)
def test_which_changes_wake_the_machines_of_a_campaign(
    before: list[Campaign], after: list[Campaign], wakes: bool
) -> None:
    stages = [{each.id: stage_of(each) for each in found} for found in (before, after)]
    assert bool(concerned(*stages)) is wakes
