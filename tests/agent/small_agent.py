"""Small agents in real archives: what a slot needs to start, and a program that says who it is and what it does."""

import hashlib
import sys
from functools import cache
from pathlib import Path

import forestall
from forestall.agent import archive
from forestall.agent.archive import About
from forestall.agent.slots import platform
from forestall.domain.recipe import Payload

_PARTS = ("__init__.py", "durable.py", "agent/__init__.py", "agent/slots.py", "agent/trusted.py", "domain")
SAYS = "import pathlib, sys; pathlib.Path(sys.argv[-1]).open('a').write('{name}\\n')\n"
PROVES = (
    "from forestall.agent import slots; from forestall.domain.slot import proven\n"
    "slots.change(pathlib.Path(sys.argv[-1]).parent / 'agent', proven)\n"
)
HANGS = "import threading; threading.Event().wait()\n"
"""Without an end of its own."""


@cache
def _parts() -> dict[str, bytes]:
    ours = Path(forestall.__file__).parent
    paths = [
        path for part in _PARTS for path in ([ours / part] if "." in part else (ours / part).glob("*.py"))
    ]
    return {f"forestall/{path.relative_to(ours)}": path.read_bytes() for path in paths}


def write_small(place: Path, name: str, does: str, **about: str) -> Payload:
    """Write an agent that puts its name down in the file of its last argument, and then does something."""
    said = About(about.get("version", "0.2.0"), about.get("platform", platform()))
    main = SAYS.format(name=name) + does
    archive.write(place, said, {**_parts(), "__main__.py": main.encode()})
    content = place.read_bytes()
    return Payload(hashlib.sha256(content).hexdigest(), len(content))


LAUNCH = (
    "import sys, datetime; seconds = float(sys.argv.pop(1)); from forestall.agent.launcher import launch\n"
    "launch(sys.argv[1:], {}, datetime.timedelta(seconds=seconds))\n"
)
"""A launcher as it is, but for the time it gives; the agent that came along is this program's own."""


def command(seconds: float, *arguments: str) -> list[str]:
    """Start the launcher with `arguments`."""
    return [sys.executable, "-c", LAUNCH, str(seconds), *arguments]
