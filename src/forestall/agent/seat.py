"""Who works at the machine, and whether its battery is low: what the service sees of the person's side by itself."""

import re
from datetime import timedelta
from pathlib import Path

from forestall.agent.program import CLEAN_ENVIRONMENT, run
from forestall.domain.order import Hold

_LIMIT = timedelta(seconds=5)
_LOW = 30
"""Percent; below this, and with nothing that feeds it, a battery holds."""


def user_here(loginctl: str = "/usr/bin/loginctl") -> int | None:
    """Ask logind for the user whose session is the active one of the first seat; the login screen is nobody."""
    shown = _ask(loginctl, "show-seat", "seat0", "--property=ActiveSession")
    session = shown.get("ActiveSession", "")
    if not re.fullmatch(r"[A-Za-z0-9_]{1,64}", session):
        return None
    found = _ask(loginctl, "show-session", session, "--property=User", "--property=Class")
    user = found.get("User", "")
    return int(user) if found.get("Class") == "user" and re.fullmatch(r"[0-9]{1,10}", user) else None


def holds(supplies: Path = Path("/sys/class/power_supply")) -> frozenset[Hold]:
    """Look at the machine's own batteries; a mouse's is none of ours."""
    batteries: list[int] = []
    for supply in sorted(supplies.glob("*")):
        if _read(supply / "scope") == "Device":
            continue
        if _read(supply / "online") == "1":
            return frozenset()
        charge = _read(supply / "capacity")
        if _read(supply / "type") == "Battery" and charge.isdecimal():
            batteries.append(int(charge))
    return frozenset({Hold.BATTERY}) if batteries and max(batteries) < _LOW else frozenset()


def _ask(*command: str) -> dict[str, str]:
    lines = run(CLEAN_ENVIRONMENT, command, _LIMIT).output.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
