"""Installing with the real apt and dpkg in a home-made root: plans, refusals, and being killed in the middle."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from agent.rig import Rig
from forestall.agent.debian import PACKAGE
from forestall.agent.installers import apt
from forestall.agent.installers.apt import Change, Outcome, Plan

PLANS = [
    pytest.param(
        "Inst libssl3 [3.0.20-1] (3.0.22-1 Lab:stable [amd64])\nConf libssl3 (3.0.22-1 Lab [amd64])\n",
        Plan((Change("libssl3", "3.0.20-1", "3.0.22-1"),), ()),
        id="an upgrade names the old and the new version",
    ),
    pytest.param(
        "Inst new-dep (1.0 Lab [all])\nRemv old-thing [2.0]\n",
        Plan((Change("new-dep", "", "1.0"),), ("old-thing",)),
        id="a removal is seen, and what is new has no old version",
    ),
    pytest.param(
        "Inst libc6 [1] (2 Lab [amd64]) [libc6:i386 on libc6:amd64] []\n",
        Plan((Change("libc6", "1", "2"),), ()),
        id="remarks behind a line are left out",
    ),
    pytest.param("NOTE: This is only a simulation!\n", Plan((), ()), id="talk is no plan"),
]


@pytest.mark.parametrize(("output", "plan"), PLANS)
def test_a_plan_is_read_from_what_apt_prints(output: str, plan: Plan) -> None:
    assert apt.read_plan(output) == plan


def test_an_installed_package_is_upgraded_and_downloads_change_nothing(rig: Rig, tmp_path: Path) -> None:
    """P5.3: what is found is downloaded, never installed by itself."""
    rig.offer("tool", "1.0")
    rig.have("tool")
    rig.offer("tool", "1.1")
    assert apt.download(rig.debian, ["tool"]).done
    assert rig.status_of("tool") == "ii  1.0"
    assert apt.install(rig.debian, ["tool"], tmp_path / "log") == Outcome(True, "installed tool 1.1")
    assert rig.status_of("tool") == "ii  1.1"


def test_what_is_not_installed_is_not_brought(rig: Rig, tmp_path: Path) -> None:
    rig.offer("tool", "1.0")
    assert not apt.install(rig.debian, ["tool"], tmp_path / "log").done
    assert rig.status_of("tool") == ""


def test_a_plan_that_removes_packages_is_refused(rig: Rig, tmp_path: Path) -> None:
    rig.offer("tool", "1.0")
    rig.offer("friend", "1.0")
    rig.have("tool", "friend")
    rig.offer("tool", "1.1", fields={"Conflicts": "friend"})
    outcome = apt.install(rig.debian, ["tool"], tmp_path / "log")
    assert not outcome.done
    assert "friend" in outcome.detail
    assert rig.status_of("tool") == "ii  1.0"
    assert rig.status_of("friend") == "ii  1.0"


def test_an_installation_without_space_is_not_begun(rig: Rig, tmp_path: Path) -> None:
    """R32: three times the size must be free."""
    rig.offer("tool", "1.0")
    rig.have("tool")
    half_of_what_is_free = shutil.disk_usage(tmp_path).free // 2048
    rig.offer("tool", "1.1", fields={"Installed-Size": str(half_of_what_is_free)})
    outcome = apt.install(rig.debian, ["tool"], tmp_path / "log")
    assert not outcome.done
    assert "space" in outcome.detail
    assert rig.status_of("tool") == "ii  1.0"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("-o=Dpkg::Pre-Invoke::=touch", id="an option"),
        pytest.param("tool;reboot", id="a shell command"),
        pytest.param("../evil", id="a path"),
        pytest.param("Tool", id="a capital"),
        pytest.param("tool=1.0", id="a version"),
        pytest.param("tool\n", id="a line feed at the end"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_package_name_never_reaches_apt(rig: Rig, tmp_path: Path, name: str) -> None:
    """R38, T15."""
    assert not PACKAGE.fullmatch(name)
    assert "not names of packages" in apt.install(rig.debian, [name], tmp_path / "log").detail


def test_a_held_package_is_left_alone_and_said(rig: Rig, tmp_path: Path) -> None:
    rig.offer("tool", "1.0")
    rig.have("tool")
    rig.offer("tool", "1.1")
    status = rig.debian.admindir / "status"
    status.write_text(status.read_text().replace("install ok installed", "hold ok installed"))
    outcome = apt.install(rig.debian, ["tool"], tmp_path / "log")
    assert not outcome.done
    assert "held" in outcome.detail.lower()


def test_a_failing_package_script_is_told_not_raised(rig: Rig, tmp_path: Path) -> None:
    rig.offer("tool", "1.0")
    rig.have("tool")
    rig.offer("tool", "1.1", scripts={"postinst": "echo no way; exit 1"})
    outcome = apt.install(rig.debian, ["tool"], tmp_path / "log")
    assert not outcome.done
    assert rig.status_of("tool") == "iF  1.1"
    assert "cannot repair tool" in apt.repair(rig.debian, tmp_path / "log").detail


def test_nothing_of_the_callers_environment_reaches_apt(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R38: no proxy, no PATH, no umask of whoever started the agent."""
    hostile = {"http_proxy": "http://192.0.2.1:1", "PATH": "/nowhere", "LD_PRELOAD": "/evil.so", "IFS": "x"}
    rig.offer("tool", "1.0")
    rig.have("tool")
    seen = tmp_path / "seen"
    rig.offer("tool", "1.1", scripts={"postinst": f"umask > {seen}; env >> {seen}"})
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    assert apt.install(rig.debian, ["tool"], tmp_path / "log").done
    umask, *environment = seen.read_text().splitlines()
    assert umask == "0022"
    assert not [
        line for line in environment if line.startswith(("http_proxy=", "LD_PRELOAD=")) or "/nowhere" in line
    ]


STAGES = [
    pytest.param(
        "postinst", "iF  1.1", id="killed while configuring: the new version shows, and is not trusted"
    ),
    pytest.param(
        "preinst", "iHR 1.0", id="killed while unpacking: dpkg --configure -a alone would repair nothing"
    ),
]


@pytest.mark.parametrize(("stage", "left"), STAGES)
def test_an_installation_killed_in_the_middle_is_repaired(
    rig: Rig, tmp_path: Path, stage: str, left: str
) -> None:
    """R23: `kill -9` of dpkg, then the next start."""
    rig.offer("tool", "1.0")
    rig.have("tool")
    gate, killed = tmp_path / "gate", tmp_path / "killed"
    os.mkfifo(gate)
    # The first time the script says who its dpkg is and waits to be released; the second time it just works.
    wait = f"[ -e {killed} ] || {{ echo $PPID > {killed}; read line < {gate} || true; }}"
    rig.offer("tool", "1.1", scripts={stage: wait})
    outcomes: list[Outcome] = []
    work = threading.Thread(
        target=lambda: outcomes.append(apt.install(rig.debian, ["tool"], tmp_path / "log"))
    )
    work.start()
    with gate.open("w"):  # opens only when the script reads
        os.kill(int(killed.read_text()), signal.SIGKILL)
        work.join()
    assert [outcome.done for outcome in outcomes] == [False]
    assert rig.status_of("tool") == left
    assert apt.repair(rig.debian, tmp_path / "log").done
    assert rig.status_of("tool") == "ii  1.1"
    assert apt.repair(rig.debian, tmp_path / "log").detail == "nothing to repair"


def test_an_update_is_taken_back_where_the_archive_has_the_old_one(rig: Rig, tmp_path: Path) -> None:
    """A7: exactly to the version named, both packages of the source together."""
    for version in ("1.0", "1.1"):
        rig.offer("tool", version, source="suite")
        rig.offer("tool-data", f"{version}+b2", source=f"suite ({version})")
        rig.have("tool", "tool-data")
    pins = apt.way_back(rig.debian, "suite", "1.0")
    assert pins == ["tool=1.0", "tool-data=1.0+b2"]
    assert apt.undo(rig.debian, pins, tmp_path / "log") == Outcome(
        True, "brought back tool 1.0, tool-data 1.0+b2"
    )
    assert (rig.status_of("tool"), rig.status_of("tool-data")) == ("ii  1.0", "ii  1.0+b2")


def test_there_is_no_way_back_to_what_the_archive_has_no_more(rig: Rig, tmp_path: Path) -> None:
    rig.offer("tool", "1.0")
    rig.have("tool")
    assert apt.way_back(rig.debian, "tool", "0.9") == []
    assert apt.way_back(rig.debian, "other", "1.0") == []
    rig.offer("half", "1.0", source="suite")
    for name in ("half", "whole"):
        rig.offer(name, "1.1", source="suite")
    rig.have("half", "whole")
    assert apt.way_back(rig.debian, "suite", "1.0") == []
    assert "finds no way back" in apt.undo(rig.debian, ["tool=0.9"], tmp_path / "log").detail


MORE = [
    pytest.param({"Depends": "friend (= 1.0)"}, "no way back", id="another package would have to go back"),
    pytest.param({"Depends": "helper"}, "would change helper", id="another package would have to come"),
    pytest.param({"Conflicts": "friend"}, "no way back", id="another package would have to go"),
]


@pytest.mark.parametrize(("fields", "said"), MORE)
def test_a_way_back_that_changes_more_is_refused(
    rig: Rig, tmp_path: Path, fields: dict[str, str], said: str
) -> None:
    """A7: what another campaign brought stays."""
    rig.offer("tool", "1.0", fields=fields)
    for name in ("tool", "friend"):
        rig.offer(name, "1.1")
    rig.have("tool", "friend")
    for name in ("friend", "helper"):
        rig.offer(name, "1.0")
    rig.apt("update")
    outcome = apt.undo(rig.debian, ["tool=1.0"], tmp_path / "log")
    assert (outcome.done, said in outcome.detail) == (False, True), outcome
    assert (rig.status_of("tool"), rig.status_of("friend")) == ("ii  1.1", "ii  1.1")
    assert rig.status_of("helper") == ""


@pytest.mark.parametrize(
    "pin",
    [
        pytest.param("tool", id="no version"),
        pytest.param("tool=1.0;reboot", id="a shell command"),
        pytest.param("tool=--option", id="an option"),
        pytest.param("-o=x=1", id="an option that looks like a pin"),
        pytest.param("tool=1.0\n", id="a line feed at the end"),
    ],
)
def test_what_is_no_exact_package_never_reaches_apt(rig: Rig, tmp_path: Path, pin: str) -> None:
    """R38, T15."""
    assert "not exact packages" in apt.undo(rig.debian, [pin], tmp_path / "log").detail
