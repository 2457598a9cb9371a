"""What the service and the helper see of the person's side: the active user, the battery, a full screen."""

from pathlib import Path

import pytest

from forestall.agent import seat
from forestall.agent.faces.fullscreen import full_screen
from forestall.domain.order import Hold


def program(folder: Path, text: str) -> str:
    """A program that prints what the real one was seen to print."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


USERS = [
    pytest.param("ActiveSession=3", "User=1000\nClass=user", 1000, id="somebody works here"),
    pytest.param("ActiveSession=c1", "User=116\nClass=greeter", None, id="the login screen is nobody"),
    pytest.param("ActiveSession=", "User=1000\nClass=user", None, id="nobody is logged in"),
    pytest.param("", "", None, id="no seat, no logind"),
    pytest.param("ActiveSession=../3", "User=1000\nClass=user", None, id="an odd session"),
    pytest.param("ActiveSession=3", "User=-1\nClass=user", None, id="an odd user"),
    pytest.param("ActiveSession=3", "User=" + "9" * 5000 + "\nClass=user", None, id="a very odd user"),
]


@pytest.mark.parametrize(("session", "user", "who"), USERS)
def test_who_works_at_the_machine(tmp_path: Path, session: str, user: str, who: int | None) -> None:
    text = f'case "$1" in show-seat) echo "{session}";; show-session) printf "{user}\\n";; esac'
    assert seat.user_here(program(tmp_path, text)) == who


def test_without_logind_nobody_does(tmp_path: Path) -> None:
    assert seat.user_here(str(tmp_path / "nothing")) is None


LOW, FULL = {"type": "Battery", "capacity": "12"}, {"type": "Battery", "capacity": "97"}
SUPPLIES = [
    pytest.param([LOW], True, id="little is left"),
    pytest.param([FULL], False, id="much is left"),
    pytest.param([LOW, FULL], False, id="of two, one is enough"),
    pytest.param([LOW, {"type": "Mains", "online": "1"}], False, id="plugged in"),
    pytest.param([LOW, {"type": "Mains", "online": "0"}], True, id="unplugged"),
    pytest.param([{**LOW, "scope": "Device"}], False, id="a mouse's battery"),
    pytest.param([{"type": "Battery", "capacity": "unknown"}], False, id="a battery that does not say"),
    pytest.param([], False, id="a desktop"),
]


@pytest.mark.parametrize(("supplies", "low"), SUPPLIES)
def test_little_battery_holds(tmp_path: Path, supplies: list[dict[str, str]], low: bool) -> None:
    for number, supply in enumerate(supplies):
        (tmp_path / f"S{number}").mkdir()
        for name, text in supply.items():
            (tmp_path / f"S{number}" / name).write_text(text + "\n")
    assert seat.holds(tmp_path) == ({Hold.BATTERY} if low else set())


SCREENS = [
    pytest.param("window id # 0x3a00007", "_NET_WM_STATE_FULLSCREEN, _NET_WM_STATE_FOCUSED", True, id="full"),
    pytest.param("window id # 0x3a00007", "_NET_WM_STATE_FOCUSED", False, id="a window"),
    pytest.param("_NET_ACTIVE_WINDOW:  no such atom on any window.", "_NET_WM_STATE_FULLSCREEN", False, id="no window"),
    pytest.param("window id # 0x3; reboot", "_NET_WM_STATE_FULLSCREEN", True, id="only the number is used"),
]  # fmt: skip


@pytest.mark.parametrize(("active", "kind", "full"), SCREENS)
def test_a_full_screen_is_asked_of_x11(tmp_path: Path, active: str, kind: str, full: bool) -> None:
    text = f'case "$1" in -root) echo "{active}";; -id) echo "$2: {kind}";; esac'
    assert full_screen({"DISPLAY": ":0"}, program(tmp_path, text)) is full


def test_without_x11_nobody_can_tell(tmp_path: Path) -> None:
    assert not full_screen({}, program(tmp_path, "echo window id # 0x1 _NET_WM_STATE_FULLSCREEN"))
    assert not full_screen({"DISPLAY": ":0"}, str(tmp_path / "nothing"))
