"""P4.2, is the machine still stable: services that an installation broke, what people say that it broke."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.company import START, Company, order
from agent.rig import Rig
from forestall.agent import journal, person, services, show, state
from forestall.agent.conversation import LONGEST_COMPLAINT
from forestall.agent.loop import install_chosen, run_pass
from forestall.agent.memory import Agent
from forestall.domain.errors import InputError
from forestall.protocol import MAX_SERVICES


def said(name: str, active: str = "active", unit_file: str = "enabled", job: str = "") -> str:
    """Write a block as `systemctl show` does."""
    return f"Id={name}.service\nActiveState={active}\nUnitFileState={unit_file}\n" + (
        f"Job={job}\n" if job else ""
    )


WELL = "\n".join([said("web"), said("db"), said("user@0", unit_file="static")])


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(said("web"), [], id="a service that runs"),
        pytest.param(said("web", "failed"), ["web.service"], id="a service that failed"),
        pytest.param(said("web", "failed", "static"), ["web.service"], id="one that others start, failed"),
        pytest.param(said("web", "inactive"), ["web.service"], id="one that was stopped and not started again"),
        pytest.param(said("web", "inactive", "enabled-runtime"), ["web.service"], id="the same, of a generator"),
        pytest.param(said("web", "inactive", "static"), [], id="one that ends when nobody needs it"),
        pytest.param(said("web", "inactive", "disabled"), [], id="one that is no longer meant to run"),
        pytest.param(said("web", "inactive", "masked"), [], id="one that somebody shut away"),
        pytest.param(said("web", "inactive", job="41"), [], id="one that boot has yet to start"),
        pytest.param(said("web", "failed", job="41"), [], id="one that is being tried again"),
        pytest.param(said("web", "activating"), [], id="one on its way"),
        pytest.param(said("db", "failed"), [], id="another that did not run before"),
        pytest.param("", [], id="one that is gone"),
    ],
)  # fmt: skip
def test_a_service_is_down_where_it_failed_or_stopped_though_it_should_run(
    now: str, expected: list[str]
) -> None:
    assert services.down(["web.service"], services.read(now)) == expected


def test_the_list_is_sorted_and_bounded() -> None:
    names = [f"s{number}" for number in range(2 * MAX_SERVICES)]
    found = services.down(
        (f"{n}.service" for n in names), services.read("\n".join(said(n, "failed") for n in names))
    )
    assert found == sorted(f"{n}.service" for n in names)[:MAX_SERVICES]


_LINES = st.sampled_from(
    ["Id=", "ActiveState=", "UnitFileState=", "Job=", "", "=", "\x1b", "a.service", "failed"]
)


@given(st.lists(_LINES | st.text(max_size=300)))
def test_whatever_is_printed_names_are_short_and_printable(lines: list[str]) -> None:
    found = services.read("\n".join(lines))
    assert all(0 < len(name) <= 255 and name.isprintable() for name in found)
    assert set(services.down(found, found)) <= set(found)


# -- the agent ---------------------------------------------------------------------------------------------------


class Systemd:
    """What `systemctl show` would print, in a file that a package's script may replace."""

    def __init__(self, directory: Path) -> None:
        self.shown = directory / "services"
        self.says(WELL)

    def says(self, text: str) -> None:
        self.shown.write_text(text)

    def breaking(self, *blocks: str) -> dict[str, str]:
        """A maintainer script after which it says something else."""
        after = self.shown.with_name("services-after")
        after.write_text("\n".join(blocks))
        return {"postinst": f"cp {after} {self.shown}"}


@pytest.fixture
def systemd(tmp_path: Path) -> Systemd:
    return Systemd(tmp_path)


@pytest.fixture
def agent(rig: Rig, company: Company, systemd: Systemd) -> Agent:
    rig.offer("tool", "1.0")
    rig.have("tool")
    company.enrol(rig.directory)
    company.orders = [order(force_at=START + timedelta(days=3), expires_at=START + timedelta(hours=24))]
    command = (shutil.which("cat") or "", str(systemd.shown))
    return Agent(rig.directory, rig.debian, clock=company.clock, services=command)


def held(agent: Agent, campaign: str = "c-1") -> state.Held:
    return state.load(agent.directory)[0].held[campaign]


def events(agent: Agent) -> list[str]:
    return [entry.event for entry in journal.tail(agent.directory, 100)]


def test_services_that_an_installation_broke_are_reported_until_they_run_again(
    agent: Agent, rig: Rig, company: Company, systemd: Systemd
) -> None:
    rig.offer("tool", "1.1", scripts=systemd.breaking(said("web", "failed"), said("db", "inactive")))
    run_pass(agent)
    assert company.reports[-1].states[0].services == []
    install_chosen(agent, None)
    report = company.reports[-1].states[0]
    assert (report.status, report.services) == ("fixed", ["db.service", "web.service"])
    assert "services have failed since the installation" in events(agent)
    view = show.status_of(agent.directory, company.clock(), "ja")
    assert "インストール後に停止したサービス: db.service, web.service" in "\n".join(
        show.lines(view, company.clock(), "ja")
    )
    systemd.says(WELL)
    run_pass(agent)
    assert company.reports[-1].states[0].services == []
    assert "the services run again" in events(agent)


def test_what_fails_hours_after_an_installation_is_reported_and_days_after_it_is_not(
    agent: Agent, rig: Rig, company: Company, systemd: Systemd
) -> None:
    rig.offer("tool", "1.1")
    install_chosen(agent, None)
    company.clock.advance(hours=20)
    company.orders = [order(force_at=START + timedelta(days=3), expires_at=START + timedelta(hours=44))]
    systemd.says(said("web", "failed"))
    run_pass(agent)
    assert company.reports[-1].states[0].services == ["web.service"]
    systemd.says(WELL)
    run_pass(agent)
    company.clock.advance(hours=5)
    systemd.says(said("web", "failed"))
    run_pass(agent)
    assert company.reports[-1].states[0].services == []


def test_an_installation_answers_for_what_it_broke_and_for_nothing_before_it(
    agent: Agent, rig: Rig, company: Company, systemd: Systemd
) -> None:
    rig.offer("kit", "1.0")
    rig.have("kit")
    rig.offer("tool", "1.1")
    rig.offer("kit", "1.1", scripts=systemd.breaking(said("web", "failed"), said("db")))
    company.orders = [
        *company.orders,
        order(campaign="c-2", source="kit", force_at=START + timedelta(days=3)),
    ]
    run_pass(agent)
    install_chosen(agent, "c-1")
    install_chosen(agent, "c-2")
    run_pass(agent)
    assert {each.campaign: each.services for each in company.reports[-1].states} == {
        "c-1": [],
        "c-2": ["web.service"],
    }


@pytest.mark.parametrize("command", [("/nowhere/systemctl",), ("/bin/false",), ()])
def test_without_systemd_nothing_is_said(
    agent: Agent, rig: Rig, company: Company, command: tuple[str, ...]
) -> None:
    agent.services = command
    rig.offer("tool", "1.1")
    install_chosen(agent, None)
    report = company.reports[-1].states[0]
    assert (report.status, report.services) == ("fixed", [])


def test_a_systemd_that_no_longer_answers_takes_nothing_back(
    agent: Agent, rig: Rig, company: Company, systemd: Systemd
) -> None:
    rig.offer("tool", "1.1", scripts=systemd.breaking(said("web", "failed")))
    install_chosen(agent, None)
    systemd.shown.unlink()
    run_pass(agent, ask=True)
    assert company.reports[-1].states[0].services == ["web.service"]


# -- the person --------------------------------------------------------------------------------------------------


def test_a_complaint_is_kept_until_an_answered_check_in_has_told_it(agent: Agent, company: Company) -> None:
    run_pass(agent)
    assert company.reports[-1].states[0].broke == ""
    person.complain(agent, "c-1", "the printer\n\x1b[31m  prints   blanks")
    company.refuse = (503, {"Retry-After": "60"}, b"")
    run_pass(agent)
    assert held(agent).broke == "the printer [31m prints blanks"
    company.refuse = None
    company.clock.advance(minutes=2)
    run_pass(agent)
    assert company.reports[-1].states[0].broke == "the printer [31m prints blanks"
    told = len(company.reports)
    run_pass(agent)
    assert len(company.reports) == told
    run_pass(agent, ask=True)
    assert company.reports[-1].states[0].broke == ""
    assert "the person says that it broke something" in events(agent)


def test_a_long_complaint_is_cut(agent: Agent, company: Company) -> None:
    run_pass(agent)
    person.complain(agent, "c-1", "も" * 10_000)
    assert len(held(agent).broke) == LONGEST_COMPLAINT


@pytest.mark.parametrize(("campaign", "text"), [("c-1", " \n\x00"), ("c-9", "the printer"), ("\x1b[2J", "x")])
def test_a_complaint_about_nothing_is_refused(agent: Agent, campaign: str, text: str) -> None:
    run_pass(agent)
    with pytest.raises(InputError) as refused:
        person.complain(agent, campaign, text)
    assert str(refused.value).isprintable()
    assert held(agent).broke == ""


def test_who_joins_or_leaves_the_volunteers_is_reported_at_once_and_each_time(
    agent: Agent, company: Company
) -> None:
    """P4.1."""
    run_pass(agent)
    assert company.reports[-1].volunteers is None
    for joins in (True, False):
        person.volunteer(agent, joins=joins)
        run_pass(agent)
        assert company.reports[-1].volunteers is joins
        run_pass(agent, ask=True)
        assert company.reports[-1].volunteers is joins
        view = show.status_of(agent.directory, company.clock(), "en")
        assert ("before others do" in "\n".join(show.lines(view, company.clock(), "en"))) is joins
