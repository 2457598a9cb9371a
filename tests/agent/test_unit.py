"""The agent as a service of systemd, and how it starts itself anew; `./lab systemd` runs both on a booted machine."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from agent.company import Company
from agent.rig import Rig
from forestall.agent import anew, restarts
from forestall.agent.memory import Agent
from forestall.agent.service import Ending, serve
from forestall.agent.unit import unit_for, word
from forestall.clock import stopwatch

WORDS = [
    pytest.param("/opt/forestall/bin/forestall-agent", '"/opt/forestall/bin/forestall-agent"', id="a path"),
    pytest.param("/a b/c", '"/a b/c"', id="a space"),
    pytest.param('/a"b\\c', '"/a\\"b\\\\c"', id="a quote and a backslash"),
    pytest.param("/100%n/$HOME", '"/100%%n/$$HOME"', id="what systemd would fill in"),
]


@pytest.mark.parametrize(("text", "written"), WORDS)
def test_a_path_is_one_word_whatever_is_in_it(text: str, written: str) -> None:
    assert word(text) == written


def test_the_unit_starts_the_agent_that_wrote_it_and_always_again() -> None:
    agent = Path(sys.executable).with_name("forestall-agent")
    ran = subprocess.run([agent, "unit", "--json"], capture_output=True, text=True, check=True)
    text = msgspec.json.decode(ran.stdout)["unit"]
    assert text == unit_for(agent)
    lines = text.splitlines()
    for line in (f"ExecStart={word(str(agent))} run", "Restart=always", "KillMode=process"):
        assert line in lines
    plain = subprocess.run([agent, "unit"], capture_output=True, text=True, check=True)
    assert plain.stdout == text


MAPS = [
    pytest.param("7f0-7f1 r-xp 0 08:01 42 /usr/lib/libssl.so.3 (deleted)\n", True, id="a replaced library"),
    pytest.param(
        "7f0-7f1 r--p 0 08:01 42 /usr/share/data (deleted)\n", False, id="a removed file that is no code"
    ),
    pytest.param("7f0-7f1 r-xp 0 08:01 42 /usr/lib/libssl.so.3\n", False, id="a library"),
    pytest.param("7f0-7f1 r-xp 0 00:01 42 /memfd:code (deleted)\n", False, id="code that never was a file"),
    pytest.param("", False, id="nothing"),
]


@pytest.mark.parametrize(("maps", "outdated"), MAPS)
def test_a_process_knows_whether_its_own_code_was_replaced(tmp_path: Path, maps: str, outdated: bool) -> None:
    """A6."""
    (tmp_path / "maps").write_text(maps)
    assert restarts.outdated(tmp_path) is outdated


def test_it_starts_itself_anew_only_when_it_has_run_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everything looks replaced, that is no loop."""
    monkeypatch.setattr(restarts, "outdated", lambda: True)
    assert not anew.due(stopwatch())
    assert anew.due(stopwatch() - anew.SETTLED_SECONDS)


def test_the_service_ends_its_work_before_it_starts_itself_anew(
    rig: Rig, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.enrol(rig.directory)
    monkeypatch.setattr(anew, "due", lambda _: True)
    stop = threading.Event()
    agent = Agent(rig.directory, rig.debian, clock=company.clock)
    assert serve(agent, stop, print) is Ending.OWN_CODE
    assert len(company.reports) == 1


AGAIN = """
import os, sys
from forestall.agent import anew
print(os.getpid(), sys.argv[1:], flush=True)
if os.environ.pop("AGAIN", ""):
    anew.start()
"""


def test_it_stays_the_same_process_with_the_same_arguments() -> None:
    command = [sys.executable, "-c", AGAIN, "run", "--root", "/a b"]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "AGAIN": "1"}
    )
    first, second = ran.stdout.splitlines()
    assert first == second
    assert first.endswith("['run', '--root', '/a b']")
