"""`./lab`: experiments with real Debian machines in network namespaces; needs root, leaves nothing behind."""

import argparse
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from laboratory import (
    break_glass,
    directory,
    door,
    finding,
    host,
    installers,
    managed,
    one_machine,
    power_cut,
    probing,
    self_update,
    systemd,
    unmanaged,
)
from laboratory.host import LabError
from laboratory.timeline import Timeline

_INSIDE = "FORESTALL_LAB_INSIDE"
_NAMESPACES = Path("/run/netns")
_PLACE = Path("/mnt")
"""A tmpfs goes here, in a mount namespace of our own: nobody else sees it, and it vanishes with us."""


_STORIES = {
    "one-machine": one_machine.tell_story,
    "managed": managed.tell_story,
    "unmanaged": unmanaged.tell_story,
    "break-glass": break_glass.tell_story,
    "directory": directory.tell_story,
    "door": door.tell_story,
    "finding": finding.tell_story,
    "installers": installers.tell_story,
    "probing": probing.tell_story,
    "self-update": self_update.tell_story,
    "systemd": systemd.tell_story,
}


def main() -> int:
    """Run one experiment; 0 where everything went as it should."""
    options = _options()
    if os.geteuid() != 0:
        sys.stderr.write("./lab makes network namespaces and Debian roots: it needs root (sudo ./lab ...)\n")
        return 2
    return _inside(options) if os.environ.get(_INSIDE) else _outside()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./lab", description=__doc__)
    commands = parser.add_subparsers(dest="experiment", required=True)
    commands.add_parser("one-machine", help="the main job: from an advisory to patched machines")
    commands.add_parser(
        "managed", help="twenty machines with agents: by choice, by force, late, broken, cut off, recalled"
    )
    commands.add_parser(
        "unmanaged", help="removal and release: a switch really closes, the machine mends itself inside"
    )
    commands.add_parser(
        "break-glass", help="every closed port freed without server and database; refusals, liars"
    )
    commands.add_parser(
        "directory", help="55,000 people from a real LDAP server, and all that goes wrong there"
    )
    commands.add_parser(
        "door", help="FreeRADIUS asks who may come in and tells who is in; sessions are ended there"
    )
    commands.add_parser("finding", help="a real switch's tables are read: who is there, where, and who moved")
    commands.add_parser("probing", help="probes against real services, unpatched, half patched and patched")
    commands.add_parser(
        "installers", help="rpm and dnf, unattended-upgrades silenced and given back, a kernel's setting"
    )
    commands.add_parser(
        "self-update", help="the agent updates itself; a broken one is left and its ring holds"
    )
    commands.add_parser(
        "systemd", help="the agent as a service of a booted machine: services anew, a real restart, kill -9"
    )
    cut = commands.add_parser("power-cut", help="dpkg killed at random moments, repaired each time")
    cut.add_argument("--rounds", type=int, default=10)
    cut.add_argument("--seed", type=int, default=1)
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="print JSON: ok, timeline, figures, trouble")
    return parser.parse_args()


def _outside() -> int:
    """Start again in namespaces of our own: mounts and processes end with us, however we end."""
    missing = host.install_tools()
    if missing:
        sys.stderr.write(f"installed: {', '.join(missing)}\n")
    new = not _NAMESPACES.exists()
    _NAMESPACES.mkdir(parents=True, exist_ok=True)
    own = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    again = ("setpriv", "--pdeathsig", "KILL", *own, sys.executable, "-m", "laboratory", *sys.argv[1:])
    with subprocess.Popen(again, env={**os.environ, _INSIDE: "1"}) as child:

        def stop(_number: int, _frame: FrameType | None) -> None:
            child.kill()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        status = child.wait()
    if new:
        with suppress(OSError):  # somebody else has come to use it
            _NAMESPACES.rmdir()
    return status


def _inside(options: argparse.Namespace) -> int:
    for place in (_PLACE, _NAMESPACES):
        host.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
    directory = _PLACE / "laboratory"
    directory.mkdir()
    tell = _STORIES.get(options.experiment) or power_cut.cut_power(options.rounds, options.seed)
    timeline = Timeline(quiet=options.json)
    trouble = ""
    try:
        tell(directory, timeline)
        timeline.tell("done: all as it should be")
    except LabError as error:
        trouble = str(error)
        _show_logs(directory)
    if options.json:
        told = {
            "ok": not trouble,
            "timeline": [asdict(one) for one in timeline.happenings],
            "figures": timeline.figures,
            "trouble": trouble,
        }
        print(json.dumps(told, indent=1))
    elif trouble:
        print(f"FAILED: {trouble}")
    return 1 if trouble else 0


def _show_logs(directory: Path) -> None:
    for log in sorted(directory.glob("*.log")):
        said = log.read_text(errors="replace")[-2000:]
        if said:
            sys.stderr.write(f"--- {log.name}\n{said}\n")


if __name__ == "__main__":
    sys.exit(main())
