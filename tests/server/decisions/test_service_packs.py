"""A service pack is driven like a patch, longer, and closes the campaigns it contains (P3.3, P7.2)."""

from datetime import timedelta

import pytest

from domain.made import DAY, START
from forestall.domain.campaign import Kind, Phase, Step
from forestall.domain.errors import InputError
from forestall.domain.pack import contains
from forestall.domain.remediation import RemediationId
from forestall.server.operators import move_campaign, start_campaign, start_pack
from forestall.server.wiring import Installation
from forestall.store import campaigns
from server.decisions.company import (
    CURL,
    OPENSSL,
    OPENSSL_LATER,
    UNMANAGED,
    World,
    campaign,
    rate,
    removed_after_the_deadline,
    turn,
)

NOW = START + 20 * DAY


def state(installation: Installation, name: str):
    with installation.database.begin() as con:
        return campaigns.get(con, name)


@pytest.mark.parametrize(
    ("pack", "earlier", "answer"),
    [
        pytest.param("b/openssl/3.0.9", "b/openssl/3.0.2", True, id="an earlier update of the same package"),
        pytest.param("b/openssl/3.0.9", "b/openssl/3.0.9", True, id="the same update"),
        pytest.param("b/openssl/3.0.9", "b/openssl/3.0.10", False, id="a later one, as dpkg sorts"),
        pytest.param("b/openssl/3.0.9", "b/curl/3.0.2", False, id="another package"),
        pytest.param("b/openssl/3.0.9", "t/openssl/3.0.2", False, id="another release"),
        pytest.param("b/openssl/3.0.9", "b/openssl/?", False, id="a version that cannot be read"),
    ],
)
def test_versions_decide_what_a_pack_contains(pack: str, earlier: str, answer: bool):
    """P7.2."""
    assert contains(RemediationId(pack), RemediationId(earlier)) is answer


def test_a_service_pack_brings_what_is_not_critical_and_takes_longer(installation: Installation):
    """P2.5, P3.3: 21 days, and a warning is pushed with it."""
    rate(installation, CURL, critical=False)
    with pytest.raises(InputError, match="forestall campaign pack bookworm/curl"):
        start_campaign(installation, CURL, None, "aiko", NOW, testing=False)
    (made,) = start_pack(installation, [CURL], None, "aiko", NOW, testing=False)
    assert (made.kind, made.phase, made.deadline_at) == (
        Kind.SERVICE_PACK,
        Phase.VOLUNTARY,
        NOW + timedelta(days=21),
    )


def test_its_distribution_closes_the_campaigns_it_contains(installation: Installation):
    """P7.2: tested, it closes nothing yet; distributed, the earlier campaign is over and names it."""
    old = campaign(installation).id
    other = campaign(installation, CURL).id
    rate(installation, OPENSSL_LATER)
    (pack,) = start_pack(installation, [OPENSSL_LATER], None, "aiko", NOW, testing=True)
    assert (state(installation, old).rolled_up_by, state(installation, old).open) == (pack.id, True)
    move_campaign(installation.database, pack.id, Step.DISTRIBUTE, "aiko", NOW + DAY)
    closed = state(installation, old)
    assert (closed.phase, closed.ended_at, closed.rolled_up_by) == (Phase.CLOSED, NOW + DAY, pack.id)
    assert state(installation, other).phase is Phase.VOLUNTARY


def test_a_pack_that_is_never_distributed_lets_its_campaigns_go_on(installation: Installation):
    """P7.1."""
    old = campaign(installation).id
    rate(installation, OPENSSL_LATER)
    (pack,) = start_pack(installation, [OPENSSL_LATER], None, "aiko", NOW, testing=True)
    move_campaign(installation.database, pack.id, Step.WITHDRAW, "aiko", NOW + DAY)
    assert (state(installation, old).rolled_up_by, state(installation, old).phase) == (None, Phase.VOLUNTARY)


def test_what_a_rolled_up_campaign_had_removed_is_let_back(installation: Installation):
    """P7.2, A13."""
    old = campaign(installation).id
    world = World(installation.database)
    turn(installation, world, START)
    removed_after_the_deadline(installation, world, old, UNMANAGED[:1])
    assert world.closed == set(UNMANAGED[:1])
    rate(installation, OPENSSL_LATER)
    start_pack(installation, [OPENSSL_LATER], None, "aiko", NOW, testing=False)
    turn(installation, world, NOW)
    assert world.closed == set()


def test_a_pack_of_several_updates_is_all_or_nothing(installation: Installation):
    """P7.2."""
    rate(installation, CURL, critical=False)
    with pytest.raises(InputError, match="is not rated yet"):
        start_pack(installation, [CURL, OPENSSL_LATER], None, "aiko", NOW, testing=False)
    rate(installation, OPENSSL_LATER, critical=False)
    made = start_pack(installation, [CURL, OPENSSL_LATER], 14 * DAY, "aiko", NOW, testing=False)
    assert [each.id for each in made] == ["curl-1", "openssl-1"]


@pytest.mark.parametrize("period", [22 * DAY, -DAY])
def test_a_pack_has_21_days_at_most(installation: Installation, period: timedelta):
    """P3.3."""
    rate(installation, CURL)
    with pytest.raises(InputError, match="within 0 and 21 days"):
        start_pack(installation, [CURL], period, "aiko", NOW, testing=False)


def test_a_pack_takes_over_from_the_campaign_of_the_same_update_but_not_from_a_pack(
    installation: Installation,
):
    """P5.5, P7.2."""
    old = campaign(installation).id
    start_pack(installation, [OPENSSL], None, "aiko", NOW, testing=False)
    assert state(installation, old).phase is Phase.CLOSED
    with pytest.raises(InputError, match="openssl-2 drives"):
        start_pack(installation, [OPENSSL], None, "aiko", NOW, testing=False)
