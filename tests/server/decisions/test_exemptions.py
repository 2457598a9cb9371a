"""A machine is left alone in one campaign for a while: asked for, approved by another, ends by itself (A1)."""

from datetime import timedelta

import pytest

from domain.made import DAY, HOUR, MINUTE, POLICY, START
from forestall.domain.action import Action
from forestall.domain.campaign import Step
from forestall.domain.device import Device, DeviceId
from forestall.domain.errors import InputError
from forestall.domain.metrics import standing
from forestall.server.approvals import approve
from forestall.server.machines import Terms, ask_exemption, end_exemption, exemptions
from forestall.server.operators import halt_campaign, move_campaign, resume_campaign
from forestall.server.wiring import Installation
from forestall.store import devices, records
from server.decisions.company import (
    DEADLINE,
    MANAGED,
    UNMANAGED,
    World,
    campaign,
    live,
    orders,
    record_of,
    removed_after_the_deadline,
    turn,
)

WEEK = Terms(7 * DAY, "the lathe's driver breaks", "its network is separated")
NOW = START + DAY


def exempted(installation: Installation, machine: str, name: str, terms: Terms = WEEK, at=NOW) -> None:
    asked = ask_exemption(installation, machine, name, terms, "aiko", at)
    approve(installation, asked.number, "ben", at)


def test_an_exemption_is_asked_by_one_and_approved_by_another(installation: Installation):
    """A1: reason, compensating control, an approver who is not the requester, an expiry."""
    name = campaign(installation).id
    asked = ask_exemption(installation, "m00.example", name, WEEK, "aiko", NOW)
    assert exemptions(installation, NOW) == []
    with pytest.raises(InputError, match="a second person must"):
        approve(installation, asked.number, "Aiko", NOW)
    approve(installation, asked.number, "ben", NOW)
    (found,) = exemptions(installation, NOW, name)
    assert (found.device, found.until, found.by, found.approved_by) == (
        MANAGED[0],
        NOW + 7 * DAY,
        "aiko",
        "ben",
    )
    assert (found.reason, found.control) == (WEEK.reason, WEEK.control)


def test_it_stands_beside_the_percentage_and_never_inside(installation: Installation):
    """A1, A3."""
    made = campaign(installation)
    exempted(installation, "m00", made.id)
    with installation.database.begin() as con:
        found = standing(records.gather(con, made.id), made, NOW, POLICY)
    assert (found.exempt, found.concerned) == (1, 19)


def test_an_exempted_machine_is_left_alone_until_its_exemption_ends_by_itself(installation: Installation):
    """A1: neither warned nor removed; a week later it is like all others."""
    name = campaign(installation).id
    world = World(installation.database)
    turn(installation, world, START)
    exempted(installation, "u00", name, at=DEADLINE - HOUR)
    removed_after_the_deadline(installation, world, name, UNMANAGED[:2])
    assert world.closed == {UNMANAGED[1]}
    end = DEADLINE - HOUR + 7 * DAY
    world.see(name, UNMANAGED[:1], end)
    live(installation, world, end, end + 15 * MINUTE, MINUTE)
    assert exemptions(installation, end) == []
    assert world.closed == set(UNMANAGED[:2])


def test_an_exemption_lets_a_removed_machine_back(installation: Installation):
    """A1, P6.5."""
    name = campaign(installation).id
    world = World(installation.database)
    turn(installation, world, START)
    at = removed_after_the_deadline(installation, world, name, UNMANAGED[:1])
    exempted(installation, "u00", name, at=at)
    turn(installation, world, at + MINUTE)
    assert world.closed == set()
    assert world.of(Action.RELEASE) == UNMANAGED[:1]


def test_one_person_ends_an_exemption_early(installation: Installation):
    """A1: taking a privilege away needs no second person."""
    name = campaign(installation).id
    exempted(installation, "m00", name)
    end_exemption(installation, "m00", name, "the driver is mended", "chiyo", NOW + HOUR)
    assert exemptions(installation, NOW + HOUR) == []
    assert record_of(installation, name, MANAGED[0]).exempt_until == NOW + HOUR
    with pytest.raises(InputError, match="is not exempt"):
        end_exemption(installation, "m00", name, "again", "chiyo", NOW + 2 * HOUR)


@pytest.mark.parametrize(
    ("machine", "terms", "why"),
    [
        pytest.param("m00", Terms(31 * DAY, "a", "b"), "30d at most", id="A1: 30 days at most"),
        pytest.param("m00", Terms(timedelta(), "a", "b"), "30d at most", id="no time at all"),
        pytest.param("m00", Terms(-DAY, "a", "b"), "30d at most", id="until yesterday"),
        pytest.param("m00", Terms(DAY, "", "b"), "why it is exempted", id="without a reason"),
        pytest.param("m00", Terms(DAY, "a", " "), "what protects it instead", id="A1: without a control"),
        pytest.param("m99", Terms(DAY, "a", "b"), "There is no machine", id="an unknown machine"),
        pytest.param("stranger", Terms(DAY, "a", "b"), "is not in openssl-1", id="one that is not concerned"),
    ],
)
def test_an_exemption_is_refused(installation: Installation, machine: str, terms: Terms, why: str):
    name = campaign(installation).id
    with installation.database.begin() as con:
        known = devices.get(con, MANAGED[0])
        devices.save(con, [Device(DeviceId("stranger"), "stranger", known.site, managed=True)])
    with pytest.raises(InputError, match=why):
        ask_exemption(installation, machine, name, terms, "aiko", NOW)


def test_two_machines_of_one_name_are_told_apart(installation: Installation):
    name = campaign(installation).id
    with installation.database.begin() as con:
        known = devices.get(con, MANAGED[0])
        devices.save(con, [Device(DeviceId("m98"), known.name, known.site, managed=True)])
    with pytest.raises(InputError, match=r"2 machines are called .* m00, m98"):
        ask_exemption(installation, "m00.example", name, WEEK, "aiko", NOW)


def test_a_machine_that_is_exempt_or_whose_campaign_is_halted_has_no_order(installation: Installation):
    """A1, A7: an agent drops an order that is missing from the answer, so nothing new starts."""
    name = campaign(installation).id
    world = World(installation.database)
    world.hear(name, MANAGED, START)
    turn(installation, world, START)
    turn(installation, world, START + MINUTE)
    assert orders(installation, NOW) == [name]
    halt_campaign(installation.database, name, "printers stop", "aiko", NOW)
    assert orders(installation, NOW) == []
    resume_campaign(installation.database, name, "aiko", NOW)
    assert orders(installation, NOW) == [name]
    exempted(installation, "m00", name)
    assert orders(installation, NOW) == []
    assert orders(installation, NOW + 7 * DAY) == [name]


def test_a_campaign_that_has_ended_exempts_nobody(installation: Installation):
    name = campaign(installation).id
    move_campaign(installation.database, name, Step.CLOSE, "aiko", NOW)
    with pytest.raises(InputError, match="asks nothing of"):
        ask_exemption(installation, "m00", name, WEEK, "aiko", NOW)
