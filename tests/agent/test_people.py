"""What people see and type: the commands, in both languages, and sentences instead of stack traces."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.company import START, TOKEN, Company, hint, order
from agent.rig import Rig
from forestall import protocol
from forestall.agent import show, state, texts
from forestall.agent.debian import printable
from forestall.agent.loop import run_pass
from forestall.agent.memory import Agent
from forestall.agent.service import serve, wake_at
from forestall.agent.state import Held, State
from forestall.domain import restart
from forestall.domain.order import RULES, Step
from forestall.trust.metadata import fingerprint

AGENT = Path(sys.executable).parent / "forestall-agent"


@pytest.fixture
def agent(rig: Rig, company: Company) -> Agent:
    rig.offer("tool", "1.0")
    rig.have("tool")
    rig.offer("tool", "1.1")
    company.enrol(rig.directory)
    return Agent(rig.directory, rig.debian, clock=company.clock)


def forestall_agent(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    everything = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "dumb", **environment}
    return subprocess.run([AGENT, *arguments], capture_output=True, text=True, check=False, env=everything)


def test_status_says_what_is_open_until_when_and_what_happens_next(agent: Agent, company: Company) -> None:
    company.orders = [order(force_at=START + timedelta(hours=4))]
    run_pass(agent)
    shown = forestall_agent("status", "--state", str(agent.directory), "--json")
    view = json.loads(shown.stdout)
    (one,) = view["orders"]
    assert (one["source"], one["status"], one["rule"], one["paragraph"]) == (
        "tool",
        "affected",
        "voluntary-period",
        "P5.2",
    )
    assert one["deadline_at"] == "2026-11-24T12:00:00Z"
    assert [entry["event"] for entry in view["done"]][-1] == "free to choose until the deadline"
    page = "\n".join(show.lines(show.status_of(agent.directory, START, "en"), START, "en"))
    assert "in 4 h" in page
    assert "sudo forestall-agent install c-1" in page


def test_status_speaks_japanese(agent: Agent, company: Company) -> None:
    company.orders = [order()]
    run_pass(agent)
    shown = forestall_agent("status", "--state", str(agent.directory), LC_ALL="ja_JP.UTF-8")
    assert "期限" in shown.stdout
    assert "更新が必要です。" in shown.stdout


def test_hostile_texts_of_an_order_do_nothing_to_a_terminal(agent: Agent, company: Company) -> None:
    """R34."""
    company.orders = [order(texts={"en": "red \x1b[31m \x9b2J \u202e and\nmore"}, level="\x07critical")]
    run_pass(agent)
    shown = forestall_agent("status", "--state", str(agent.directory))
    assert shown.returncode == 0
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(shown.stdout)


def test_enrolment_keeps_an_identity_once(company: Company, tmp_path: Path) -> None:
    arguments = (
        "enrol",
        "--server",
        company.url,
        "--token",
        TOKEN,
        "--name",
        "pc-1",
        "--state",
        str(tmp_path / "a"),
    )
    assert json.loads(forestall_agent(*arguments, "--json").stdout) == {
        "device": "d-1",
        "server": company.url,
        "root": fingerprint(company.office.root),
    }
    again = forestall_agent(*arguments)
    assert again.returncode == 1
    assert "enrolled already" in again.stderr


WRONG = [
    pytest.param(("check",), "not enrolled yet", id="checking before enrolment"),
    pytest.param(("install",), "not enrolled yet", id="installing before enrolment"),
    pytest.param(
        ("enrol", "--server", "nowhere", "--token", "t"),
        "no address of a server",
        id="an address that is none",
    ),
    pytest.param(
        ("enrol", "--server", "https://127.0.0.1:9", "--token", "t", "--name", "pc"),
        "cannot be reached",
        id="a server that is not there",
    ),
    pytest.param(
        ("enrol", "--server", "https://127.0.0.1:9", "--token", "t", "--name", "<b>\x1b"),
        "no usable host name",
        id="a name with markup",
    ),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_what_goes_wrong_is_said_in_a_sentence(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = forestall_agent(*arguments, "--state", str(tmp_path / "agent"))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = forestall_agent("check", "--state", str(tmp_path / "file/agent"))
    assert done.returncode == 1
    assert "cannot use" in done.stderr


def test_every_step_of_the_table_has_its_words_in_both_languages() -> None:
    assert {rule.then for rule in (*RULES, *restart.RULES)} == set(Step)
    for tongue in ("en", "ja"):
        assert set(texts.NEXT[tongue]) == set(Step)
        assert set(texts.WORDS[tongue]) == set(texts.WORDS["en"])


LOCALES = [
    pytest.param({"LANG": "ja_JP.UTF-8"}, "ja", id="Japanese"),
    pytest.param({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "en", id="LC_ALL goes before LANG"),
    pytest.param({"LC_ALL": "", "LANG": "ja_JP"}, "ja", id="an empty one says nothing"),
    pytest.param({"LANG": "de_DE.UTF-8"}, "en", id="a language we have not"),
    pytest.param({}, "en", id="none at all"),
]


@pytest.mark.parametrize(("environment", "tongue"), LOCALES)
def test_the_persons_language_comes_from_the_locale(environment: dict[str, str], tongue: str) -> None:
    assert texts.language(environment) == tongue


SPANS = [
    pytest.param(timedelta(hours=4), "in 4 h", "4時間後", id="hours ahead"),
    pytest.param(timedelta(days=-2, hours=-3), "2 d ago", "2日前", id="days back"),
    pytest.param(timedelta(seconds=59), "in 59 s", "59秒後", id="seconds"),
    pytest.param(timedelta(0), "in 0 s", "0秒後", id="now"),
]


@pytest.mark.parametrize(("length", "english", "japanese"), SPANS)
def test_lengths_are_said_in_their_largest_unit(length: timedelta, english: str, japanese: str) -> None:
    assert texts.span(length, "en") == english
    assert texts.span(length, "ja") == japanese


def test_text_from_outside_is_made_printable() -> None:
    assert printable("a\x00b\x1b[2Jc\u202ed\ne") == "a b [2Jc d\ne"
    assert len(printable("x" * 10_000)) == 2_000


def test_the_service_sleeps_until_the_next_instant_that_matters() -> None:
    soon = START + timedelta(minutes=2)
    held = Held(order=order(), hint=hint(), held_since=START, until=soon)
    assert wake_at(State(next_check_at=START + timedelta(hours=4), held={"c-1": held}), START) == soon
    assert wake_at(State(next_check_at=START + timedelta(minutes=1), held={"c-1": held}), START) < soon
    assert wake_at(State(), START) == START + timedelta(minutes=5)
    assert wake_at(State(next_check_at=START - timedelta(hours=1)), START) == START + timedelta(seconds=1)
    assert wake_at(None, START) == START + timedelta(minutes=1)


def test_the_service_ends_when_it_is_told_to(agent: Agent, company: Company) -> None:
    stop = threading.Event()
    stopping = threading.Thread(target=serve, args=(agent, stop, print))
    stopping.start()
    stop.set()
    stopping.join(timeout=30)
    assert not stopping.is_alive()


def test_the_service_checks_in_when_the_server_rings(agent: Agent, company: Company) -> None:
    """A7: the next check-in by the clock would be four hours away."""
    stop, company.rings = threading.Event(), protocol.LOOK_NOW

    class Two(list[protocol.CheckIn]):
        def append(self, report: protocol.CheckIn) -> None:
            super().append(report)
            if len(self) == 2:
                stop.set()

    company.reports = Two()
    serving = threading.Thread(target=serve, args=(replace(agent, spread=lambda: 0.0), stop, print))
    serving.start()
    stop.wait(60)
    rung = stop.is_set()
    stop.set()
    serving.join(timeout=60)
    assert rung
    assert not serving.is_alive()


@pytest.fixture
def broken(agent: Agent) -> Agent:
    (agent.system.admindir / "status").rename(agent.system.admindir / "status.gone")
    return agent


def test_a_pass_that_fails_is_told_and_does_not_end_the_service(broken: Agent) -> None:
    stop, told = threading.Event(), []

    def complain(text: str) -> None:
        told.append(text)
        stop.set()

    serve(broken, stop, complain)
    assert "not a Debian root" in told[0]
    assert state.load(broken.directory)[0].sequence == 0


def test_people_volunteer_and_complain_in_their_language(agent: Agent, company: Company) -> None:
    """P4.1, P4.2."""
    company.orders = [order()]
    run_pass(agent)
    place = ("--state", str(agent.directory), "--root", str(agent.system.path))
    joined = forestall_agent("volunteer", "join", *place)
    assert (joined.returncode, "before others do" in joined.stdout) == (0, True)
    left = forestall_agent("volunteer", "leave", *place, LC_ALL="ja_JP.UTF-8")
    assert "ほかと同時に" in left.stdout
    assert forestall_agent("volunteer", "perhaps", *place).returncode != 0
    broke = forestall_agent("broke", "c-1", "the printer", *place, "--json")
    assert json.loads(broke.stdout) == {"campaign": "c-1", "noted": True}
    shown = json.loads(forestall_agent("status", "--state", str(agent.directory), "--json").stdout)
    assert (shown["volunteers"], shown["orders"][0]["broke"]) == (False, "the printer")
    lost = forestall_agent("broke", "c-9", "the printer", *place)
    assert (lost.returncode, lost.stderr.count("\n")) == (1, 1)
    assert "forestall-agent status" in lost.stderr
