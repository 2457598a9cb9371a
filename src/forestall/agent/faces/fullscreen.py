"""Whether the window in front fills the screen, asked of X11; Wayland tells nobody."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta

from forestall.agent.program import CLEAN_ENVIRONMENT, run

_LIMIT = timedelta(seconds=5)
_WINDOW = re.compile(r"window id # (0x[0-9a-f]+)")


def full_screen(environment: Mapping[str, str] = os.environ, xprop: str = "/usr/bin/xprop") -> bool:
    """Say whether the active window is in full screen; no where it cannot be told."""
    ours = {name: environment[name] for name in ("DISPLAY", "XAUTHORITY") if name in environment}
    if "DISPLAY" not in ours:
        return False
    everything = {**CLEAN_ENVIRONMENT, **ours}
    active = _WINDOW.search(run(everything, (xprop, "-root", "_NET_ACTIVE_WINDOW"), _LIMIT).output)
    if active is None:
        return False
    state = run(everything, (xprop, "-id", active[1], "_NET_WM_STATE"), _LIMIT).output
    return "_NET_WM_STATE_FULLSCREEN" in state
