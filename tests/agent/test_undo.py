"""A withdrawn update is taken back by a signed order, on a real dpkg root and by real recipes (A7)."""

from datetime import timedelta
from pathlib import Path

import pytest
from laboratory.office import approval_for, paper_of

from agent.company import START, Company, order
from agent.rig import Rig
from agent.small_agent import write_small
from agent.test_recipe_orders import CONTENT, RECIPE, put
from agent.test_recipe_orders import agent as recipe_agent  # noqa: F401 - a fixture
from agent.test_recipe_orders import ordered as recipe_ordered
from forestall.agent import archive, journal, slots, state
from forestall.agent.loop import install_chosen, run_pass
from forestall.agent.memory import Agent
from forestall.domain.slot import Slots
from forestall.trust.recipe import PayloadMessage, UpdateAgentMessage

DEADLINE = START + timedelta(hours=2)


@pytest.fixture
def agent(rig: Rig, company: Company) -> Agent:
    """A machine that has tool 1.1, which was withdrawn; the archive still has 1.0."""
    for version in ("1.0", "1.1"):
        rig.offer("tool", version)
        rig.have("tool")
    company.enrol(rig.directory)
    return Agent(rig.directory, rig.debian, clock=company.clock)


def undo(**changed: object) -> object:
    """The order to take tool 1.1 back to 1.0."""
    return order(**{"campaign": "u-1", "verb": "undo", "back_to": "1.0", **changed})


def held(agent: Agent, campaign: str = "u-1") -> state.Held:
    return state.load(agent.directory)[0].held[campaign]


def told(agent: Agent) -> str:
    return " ".join(f"{entry.event}: {entry.detail}" for entry in journal.tail(agent.directory, 100))


def pass_deadline(agent: Agent, company: Company) -> None:
    company.clock.now = DEADLINE - timedelta(minutes=5)
    run_pass(agent)
    company.clock.now = DEADLINE + timedelta(minutes=1)
    run_pass(agent)


def test_it_is_offered_downloaded_ahead_and_taken_back_at_the_deadline(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A7, P5.2-P5.4: an order like any other, and fixed is who has it no more."""
    company.orders = [undo()]
    run_pass(agent)
    assert (held(agent).downloaded, held(agent).status, rig.status_of("tool")) == (
        True,
        "affected",
        "ii  1.1",
    )
    assert held(agent).detail == "tool 1.1 is of 1.1, which was withdrawn"
    pass_deadline(agent, company)
    said = company.reports[-1].states[0]
    assert (rig.status_of("tool"), said.status, said.forced) == ("ii  1.0", "fixed", True)
    assert "taken back by force: brought back tool 1.0" in told(agent)


def test_its_person_picks_the_moment(agent: Agent, rig: Rig, company: Company) -> None:
    """P5.2."""
    company.orders = [undo()]
    run_pass(agent)
    assert [outcome.done for _, outcome in install_chosen(agent, "u-1")] == [True]
    assert (rig.status_of("tool"), company.reports[-1].states[0].chosen) == ("ii  1.0", True)


def test_what_another_campaign_requires_is_not_taken_back(agent: Agent, rig: Rig, company: Company) -> None:
    """A7: never below a version another campaign requires."""
    company.orders = [undo(), order(campaign="c-2", version="1.0+security")]
    run_pass(agent)
    pass_deadline(agent, company)
    assert (rig.status_of("tool"), held(agent).rule) == ("ii  1.1", "required")
    company.orders = [undo(), order(campaign="c-2", version="1.0")]
    company.clock.advance(hours=4)
    run_pass(agent)
    company.clock.advance(minutes=31)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.0"


def test_whoever_has_a_later_version_has_nothing_to_take_back(
    agent: Agent, rig: Rig, company: Company
) -> None:
    rig.offer("tool", "1.2")
    rig.have("tool")
    company.orders = [undo()]
    run_pass(agent)
    pass_deadline(agent, company)
    assert (rig.status_of("tool"), held(agent).status) == ("ii  1.2", "fixed")


def test_without_the_old_version_in_the_archive_it_fails_and_says_so(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A4: a person looks."""
    company.orders = [undo(back_to="0.9")]
    run_pass(agent)
    pass_deadline(agent, company)
    said = company.reports[-1].states[0]
    assert (rig.status_of("tool"), said.status, said.failures) == ("ii  1.1", "affected", 1)
    assert "the archive has the version to go back to no more" in said.detail


def test_an_approval_to_install_allows_no_way_back_nor_the_other_way_round(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A10: one verb an approval; whoever owns the server cannot turn it round."""
    company.publish = lambda: None
    for wanted, approved in (
        (undo(), approval_for(paper_of(order()))),
        (order(campaign="u-1", version="1.2"), approval_for(paper_of(undo(version="1.2")), back_to="1.1")),
    ):
        company.orders = [wanted]
        company.office.sign([paper_of(wanted)], [approved], company.clock())
        company.clock.advance(hours=4)
        run_pass(agent)
        assert "u-1" not in state.load(agent.directory)[0].held
    assert rig.status_of("tool") == "ii  1.1"
    assert told(agent).count("not-approved") == 2


ODD = [
    pytest.param({"back_to": "1.2"}, id="up instead of down"),
    pytest.param({"back_to": "1.1"}, id="to itself"),
    pytest.param({"back_to": None}, id="nowhere"),
    pytest.param({"back_to": "1.0;reboot"}, id="no version"),
]


@pytest.mark.parametrize("changed", ODD)
def test_an_odd_way_back_is_refused(
    agent: Agent, rig: Rig, company: Company, changed: dict[str, object]
) -> None:
    company.orders = [undo()]
    company.publish = lambda: None
    paper = paper_of(undo())
    company.office.sign([paper], [approval_for(paper, **changed)], company.clock())
    run_pass(agent)
    pass_deadline(agent, company)
    assert (rig.status_of("tool"), state.load(agent.directory)[0].held) == ("ii  1.1", {})
    assert "odd-way-back" in told(agent)


WAYS_OF_AGENTS = [
    pytest.param("1.5", "restart-pending", id="to a version that is required"),
    pytest.param("1.0", "required", id="below a version that another campaign requires"),
    pytest.param("2.0", None, id="to itself"),
    pytest.param("2.1", None, id="up instead of down"),
    pytest.param(None, None, id="to whatever was there before"),
]


@pytest.mark.parametrize(("back_to", "rule"), WAYS_OF_AGENTS)
def test_an_agent_is_taken_back_to_the_signed_version_alone(
    recipe_agent: Agent,  # noqa: F811 - the fixture
    company: Company,
    back_to: str | None,
    rule: str | None,
) -> None:
    """A7: its way back is as bound as that of packages."""
    made = [archive_recipe(recipe_agent.directory.parent, company, version) for version in ("1.5", "2.0")]
    early, late = (each.payload.sha256 for each in made)
    slots.change(recipe_agent.directory, lambda _: Slots(late, early))
    company.orders = [
        order(**OF_AGENTS, campaign="u-1", verb="undo", version="2.0"),
        order(**OF_AGENTS, campaign="c-2", version="1.5", force_at=DEADLINE + timedelta(hours=5)),
    ]
    undo_paper, other_paper = papers = [*map(paper_of, company.orders)]
    approvals = [
        approval_for(undo_paper, recipe=made[1], back_to=back_to),
        approval_for(other_paper, recipe=made[0]),
    ]
    company.office.sign(papers, approvals, company.clock())
    company.publish = lambda: None
    run_pass(recipe_agent)
    pass_deadline(recipe_agent, company)
    found = state.load(recipe_agent.directory)[0].held
    assert (found["u-1"].rule if "u-1" in found else None) == rule
    assert (slots.load(recipe_agent.directory).trial == early) is (rule == "restart-pending")
    assert ("odd-way-back" in told(recipe_agent)) is (rule is None)


OF_AGENTS = {"product": "recipe", "release": "any", "source": "forestall-agent"}


def archive_recipe(folder: Path, company: Company, version: str) -> UpdateAgentMessage:
    """Publish a small agent's archive, and unpack it into its slot."""
    payload = write_small(folder / version, version, "", version=version)
    with (folder / version).open("rb") as file:
        company.office.repository.put_payload(payload, file)
    place = slots.place_of(folder / "forestall-agent", payload.sha256)
    place.parent.mkdir(mode=0o755, exist_ok=True)
    archive.unpack(folder / version, place)
    return UpdateAgentMessage(PayloadMessage(payload.sha256, payload.length), slots.platform())


def test_a_recipe_is_taken_back_as_it_says(
    recipe_agent: Agent,  # noqa: F811 - the fixture
    rig: Rig,
    company: Company,
) -> None:
    """P1.4, A7: the file from before comes back, and the order is fixed then."""
    place: Path = rig.root / "opt/definitions"
    place.write_bytes(b"of yesterday")
    recipe_ordered(company, put())
    run_pass(recipe_agent)
    install_chosen(recipe_agent, "c-1")
    assert place.read_bytes() == CONTENT
    recipe_ordered(company, put(), campaign="u-1", verb="undo")
    company.clock.advance(hours=1)
    run_pass(recipe_agent, ask=True)
    assert (place.read_bytes(), held(recipe_agent).status) == (CONTENT, "affected")
    pass_deadline(recipe_agent, company)
    assert (place.read_bytes(), held(recipe_agent).status) == (b"of yesterday", "fixed")
    assert RECIPE["source"] == held(recipe_agent).order.source
