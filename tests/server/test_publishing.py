"""What the server asks the signer to sign for a campaign."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.made import DAY, ENFORCING, HOUR, POLICY, START, TESTING, VOLUNTARY, taken
from forestall.domain.authority import Approval, objections
from forestall.domain.brakes import force_at, pace_of, position_of, wait_of
from forestall.domain.campaign import Campaign, Step
from forestall.domain.device import DeviceId
from forestall.server.publishing import order_document, ordered
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


@pytest.mark.parametrize("fleet", [0, 1, 50, 1_000, 300_000])
def test_the_signed_waves_are_those_that_the_server_hints_at(fleet: int) -> None:
    """A8: paper and hint never disagree, so nobody waits for the later of two."""
    for campaign in (ENFORCING, taken(VOLUNTARY, Step.IMMINENT, START + DAY)):
        rings = signed_order_of(order_document(campaign, fleet, START, POLICY)).rings
        for number in range(300):
            device = DeviceId(f"m-{number}")
            wait = wait_of(rings, position_of(campaign.remediation, device))
            assert campaign.deadline_at is not None
            assert force_at(campaign, device, fleet, POLICY) == campaign.deadline_at + wait
    assert wait >= timedelta()
