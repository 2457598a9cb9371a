"""dpkg killed at random moments on a real Debian: every machine is repaired, none is called fixed while broken."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from forestall.agent.debian import debian_at
from forestall.agent.installers import apt
from forestall.agent.inventory import dpkg
from forestall.clock import stopwatch
from forestall.domain.inventory import PackageState
from laboratory import content
from laboratory.host import LabError, run
from laboratory.site import Machine, Site, open_site, until
from laboratory.timeline import Timeline

_INSTALL = """
import sys
from pathlib import Path
from forestall.agent.debian import debian_at
from forestall.agent.installers import apt
print(apt.install(debian_at(Path(sys.argv[1])), sys.argv[3:], Path(sys.argv[2])))
"""


def cut_power(rounds: int, seed: int) -> Callable[[Path, Timeline], None]:
    """Prepare `rounds` installations that are cut off at moments drawn with `seed`."""
    draw = random.Random(seed)  # noqa: S311 - moments, not secrets

    def tell(directory: Path, timeline: Timeline) -> None:
        site = open_site(directory, timeline)
        try:
            names = _names(site)
            whole = _whole(site, names, timeline)
            cut = sum(
                _round(site, number, names, draw.uniform(0, whole * 0.9), timeline)
                for number in range(rounds)
            )
            timeline.tell(f"{cut} of {rounds} installations were cut off; all were repaired")
        finally:
            site.close()

    return tell


def _names(site: Site) -> list[str]:
    """Name what one update is about, openssl for example, and perl, which takes long enough to be cut."""
    wanted = {content.choose(site.pending).source, "perl"}
    return sorted({deb.name for one in site.pending if one.source in wanted for deb in one.debs})


def _start(machine: Machine, site: Site, names: list[str]) -> subprocess.Popen[bytes]:
    log = site.directory / f"{machine.name}-apt.log"
    return site.start(
        machine.name, *machine.port.enter, sys.executable, "-c", _INSTALL, machine.root, log, *names
    )


def _whole(site: Site, names: list[str], timeline: Timeline) -> float:
    """Measure how long dpkg works in an installation that nobody cuts off."""
    machine = site.new_machine("whole")
    process = _start(machine, site, names)
    until("dpkg runs", lambda: bool(dpkgs(machine.root)))
    started = stopwatch()
    process.wait()
    seconds = stopwatch() - started
    timeline.tell(f"undisturbed, dpkg works {seconds:.1f} s on {', '.join(names)}")
    return seconds


def _round(site: Site, number: int, names: list[str], moment: float, timeline: Timeline) -> bool:
    machine = site.new_machine(f"cut{number}")
    debian = debian_at(machine.root)
    process = _start(machine, site, names)
    until("dpkg runs", lambda: bool(dpkgs(machine.root)) or process.poll() is not None)
    time.sleep(moment)
    killed = dpkgs(machine.root)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    broken = [p.name for p in dpkg.take(debian).packages if p.state is PackageState.BROKEN]
    repaired = run(
        *machine.port.enter,
        sys.executable,
        "-c",
        _INSTALL,
        machine.root,
        site.directory / "repair.log",
        *names,
    ).strip()
    left = [p.name for p in dpkg.take(debian).packages if p.state is PackageState.BROKEN]
    complaint = machine.inside("dpkg", "--audit")
    if left or complaint:
        raise LabError(f"{machine.name} is not repaired: {left} {complaint} after {repaired}")
    if apt.repair(debian, site.directory / "repair.log").detail != "nothing to repair":
        raise LabError(f"{machine.name} needed a second repair")
    timeline.tell(
        f"round {number}: kill -9 after {moment:.2f} s left broken: {', '.join(broken) or 'none'}; whole again"
    )
    return bool(killed)


def dpkgs(root: Path) -> list[int]:
    """Find the dpkg processes that change this machine; their scripts live on as orphans when they are killed."""
    ours = root.stat()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words, place = (entry / "cmdline").read_bytes().split(b"\0"), (entry / "root").stat()
        except OSError:
            continue
        changing = words[0].endswith(b"dpkg") and b"--status-fd" in words
        if changing and (place.st_dev, place.st_ino) == (ours.st_dev, ours.st_ino):
            found.append(int(entry.name))
    return found
