"""A signed recipe all the way: from the papers through the one door to the machine, and every way it is stopped."""

import hashlib
import io
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from laboratory.office import approval_for, paper_of

from agent.company import START, Company, order
from agent.rig import Rig
from forestall.agent import channel, journal, state
from forestall.agent.loop import install_chosen, run_pass
from forestall.agent.memory import Agent
from forestall.domain.recipe import Payload
from forestall.trust.recipe import PayloadMessage, PutFileMessage, RecipeMessage, SetKernelMessage

CONTENT = b"definitions of today"
PAYLOAD = Payload(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
RECIPE = {"product": "recipe", "release": "any", "source": "definitions", "version": "27455"}
DEADLINE = START + timedelta(hours=2)


def named(table: str, number: int) -> str:
    lines = (line.split(":") for line in Path("/etc", table).read_text().splitlines())
    return next(fields[0] for fields in lines if int(fields[2]) == number)


def put(**changed: object) -> PutFileMessage:
    """A recipe that puts the definitions into their place."""
    message = PutFileMessage(
        PayloadMessage(PAYLOAD.sha256, PAYLOAD.length),
        "/opt/definitions",
        named("passwd", os.geteuid()),
        named("group", os.getegid()),
        0o644,
    )
    return msgspec.structs.replace(message, **changed)


@pytest.fixture
def agent(rig: Rig, company: Company) -> Agent:
    """A Debian machine with a place for definitions; its agent's own folder lies in its root."""
    directory = rig.root / "var/lib/forestall-agent"
    directory.mkdir(mode=0o700, parents=True)
    (rig.root / "opt").mkdir()
    for table in ("passwd", "group"):
        (rig.root / "etc" / table).write_bytes(Path("/etc", table).read_bytes())
    rig.offer("tool", "1.0")
    rig.have("tool")
    company.trusted_by(directory)
    return Agent(directory, rig.debian, Identity(company.url, "d-1", "s3cret"), clock=company.clock)


def ordered(company: Company, recipe: RecipeMessage | None, **changed: object) -> None:
    """Have a recipe approved, its payload published, and ordered."""
    company.orders = [order(**{**RECIPE, **changed})]
    (paper,) = map(paper_of, company.orders)
    company.office.sign([paper], [approval_for(paper, recipe=recipe)], company.clock())
    company.office.repository.put_payload(PAYLOAD, io.BytesIO(CONTENT))
    company.publish = lambda: None


def pass_deadline(agent: Agent, company: Company) -> None:
    company.clock.now = DEADLINE - timedelta(minutes=5)
    run_pass(agent)
    company.clock.now = DEADLINE + timedelta(minutes=1)
    run_pass(agent)


def held(agent: Agent) -> Mapping[str, state.Held]:
    return state.load(agent.directory)[0].held


def told(agent: Agent) -> str:
    return " ".join(f"{entry.event}: {entry.detail}" for entry in journal.tail(agent.directory, 100))


def stored(agent: Agent) -> list[str]:
    return [path.name for path in agent.directory.glob("payloads/*")]


def test_a_signed_recipe_is_downloaded_ahead_and_carried_out_at_its_deadline(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """P1.4, P5.3, P5.4, A10: affected before, fixed after."""
    ordered(company, put())
    run_pass(agent)
    assert (held(agent)["c-1"].downloaded, stored(agent)) == (True, [PAYLOAD.sha256])
    assert not (rig.root / "opt/definitions").exists()
    assert company.reports[-1].states[0].status == "affected"
    pass_deadline(agent, company)
    assert (rig.root / "opt/definitions").read_bytes() == CONTENT
    said = company.reports[-1].states[0]
    assert (said.status, said.forced, said.attempts) == ("fixed", True, 1)


def test_the_person_picks_the_moment_for_a_recipe_too(agent: Agent, rig: Rig, company: Company) -> None:
    """P5.2."""
    ordered(company, put())
    run_pass(agent)
    assert [outcome.done for _, outcome in install_chosen(agent, "c-1")] == [True]
    assert (rig.root / "opt/definitions").read_bytes() == CONTENT
    assert company.reports[-1].states[0].chosen


def test_a_machine_that_lost_its_network_carries_out_what_it_downloaded(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A11: the last valid order binds, recipe and all."""
    ordered(company, put())
    run_pass(agent)
    company.refuse = (503, {}, b"")
    pass_deadline(agent, company)
    assert (rig.root / "opt/definitions").read_bytes() == CONTENT


def test_a_payload_that_was_altered_is_refused_recorded_and_not_put(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A10: on the server's disk or on the way, it makes no difference."""
    ordered(company, put())
    (published,) = company.office.repository.directory.glob("targets/payloads/*")
    published.write_bytes(CONTENT.replace(b"today", b"other"))
    pass_deadline(agent, company)
    assert not (rig.root / "opt/definitions").exists()
    assert "payload refused: altered" in told(agent)
    assert stored(agent) == []
    said = company.reports[-1].states[0]
    assert (said.status, said.failures, "altered" in said.detail) == ("affected", 1, True)


def test_a_payload_that_was_altered_in_the_agents_store_is_fetched_again(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """R38: the open file is verified, then it is installed from."""
    ordered(company, put())
    run_pass(agent)
    place = agent.directory / "payloads" / PAYLOAD.sha256
    place.chmod(0o700)
    place.write_bytes(CONTENT.replace(b"today", b"other"))
    pass_deadline(agent, company)
    assert (rig.root / "opt/definitions").read_bytes() == CONTENT


REFUSED = [
    pytest.param(put(mode=0o666), {}, "odd-recipe: mode 0666", id="a recipe that lets others write"),
    pytest.param(None, {}, "odd-recipe", id="a recipe's update without its recipe"),
    pytest.param(
        put(), {"product": "debian", "release": "bookworm"}, "odd-recipe", id="a recipe for a package"
    ),
    pytest.param(
        None,
        {"product": "rpm", "release": "rhel-9", "source": "tool", "version": "1.1-1.el9"},
        "other-product: rpm; this machine takes debian, recipe",
        id="packages of another kind of system",
    ),
    pytest.param(put(), {"release": "bookworm"}, "odd-name", id="a recipe for a release"),
]


@pytest.mark.parametrize(("recipe", "changed", "reason"), REFUSED)
def test_an_order_that_does_not_fit_is_refused_with_a_reason_and_recorded(
    agent: Agent,
    rig: Rig,
    company: Company,
    recipe: RecipeMessage | None,
    changed: dict[str, object],
    reason: str,
) -> None:
    """A10."""
    ordered(company, recipe, **changed)
    pass_deadline(agent, company)
    assert (held(agent), list((rig.root / "opt").iterdir())) == ({}, [])
    assert f"'c-1' refused: {reason}" in told(agent)


def test_a_recipe_that_changes_is_another_remediation_for_the_machine(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """People replaced what they had approved: nothing of the old one counts."""
    ordered(company, put())
    run_pass(agent)
    ordered(company, put(path="/opt/elsewhere"), revision=2)
    company.clock.advance(hours=1)
    run_pass(agent, ask=True)
    pass_deadline(agent, company)
    assert [path.name for path in (rig.root / "opt").iterdir()] == ["elsewhere"]


def test_a_recipe_whose_approval_was_taken_back_is_dropped_with_its_payload(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A7."""
    ordered(company, put())
    run_pass(agent)
    company.office.sign(map(paper_of, company.orders), [], START + timedelta(hours=1))
    pass_deadline(agent, company)
    assert (held(agent), stored(agent), list((rig.root / "opt").iterdir())) == ({}, [], [])


def test_a_setting_needs_no_payload(agent: Agent, rig: Rig, company: Company) -> None:
    """P1.4."""
    live = rig.root / "proc/sys/net/ipv4/tcp_syncookies"
    live.parent.mkdir(parents=True)
    live.write_text("0\n")
    (rig.root / "etc/sysctl.d").mkdir()
    ordered(company, SetKernelMessage("net.ipv4.tcp_syncookies", "1"))
    pass_deadline(agent, company)
    assert live.read_text() == "1\n"
    assert company.reports[-1].states[0].status == "fixed"


# -- one channel ----------------------------------------------------------------------------------------------


def test_the_native_updater_leaves_alone_what_orders_cover_and_gets_it_back(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """P5.5."""
    silenced = rig.root / channel.COVERED
    run_pass(agent)
    assert not silenced.exists()
    company.orders = [order(), order(campaign="c-2", source="other")]
    run_pass(agent, ask=True)
    assert '"tool$";' in silenced.read_text()
    assert "other" not in silenced.read_text(), "nothing of it is installed here"
    company.orders = []
    company.clock.advance(hours=1)
    run_pass(agent, ask=True)
    assert not silenced.exists()


def test_an_order_that_was_taken_back_covers_nothing(agent: Agent, rig: Rig, company: Company) -> None:
    company.orders = [order(verb="recall")]
    run_pass(agent)
    assert not (rig.root / channel.COVERED).exists()


def test_a_native_updater_that_cannot_be_silenced_is_told_once(
    agent: Agent, rig: Rig, company: Company
) -> None:
    (rig.root / "etc/systemd").write_text("no folder")
    company.orders = [order(force_at=START + timedelta(hours=12))]
    for _ in range(3):
        run_pass(agent)
        company.clock.advance(minutes=5)
    assert told(agent).count("native updater not silenced") == 1
