"""A process of the agent that runs replaced code starts itself anew: in place, with the same arguments (A6).

Python maps the machine's own libraries. Without this an update of one of them would wait for the agent alone.
"""

import os
import sys
from typing import NoReturn

from forestall.agent import restarts
from forestall.clock import stopwatch

SETTLED_SECONDS = 60.0
"""Not before it has run this long: where new code looks replaced at once, this is no loop."""


def due(begun: float) -> bool:
    """Say whether a process that began then is to start itself anew."""
    return stopwatch() - begun >= SETTLED_SECONDS and restarts.outdated()


def start() -> NoReturn:
    """Become a new process of the same number."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - its own program and arguments
