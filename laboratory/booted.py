"""A Debian clone that really boots: systemd as its first process, the agent as one of its services."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from forestall.clock import stopwatch
from laboratory import host
from laboratory.site import COMMANDS, Machine, Site, until

PACKAGES = ("systemd-sysv", "dbus", "libpam-systemd", "python3")
"""What the base needs besides, to boot and to run Python."""
_RESTARTS = 133
"""nspawn's word for a machine that restarts: whoever started it is to start it again (systemd-nspawn@.service)."""
_DYING_SECONDS = 10.0
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(slots=True)
class Booted:
    """A running machine; it comes back from its restarts by itself, as a real one does."""

    machine: Machine
    log: Path
    boots: int = 0
    _off: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _power: threading.Thread | None = field(default=None)

    @property
    def name(self) -> str:
        """Name the machine."""
        return self.machine.name

    def switch_on(self) -> None:
        """Boot it, and wait until systemd has started everything."""
        self._power = threading.Thread(target=self._run, name=f"power of {self.name}")
        self._power.start()
        self.await_boot(1)

    def await_boot(self, number: int, limit: float = 90) -> None:
        """Wait until its nth start is done.

        Raises:
            LabError: it was not in time.
        """

        def up() -> bool:
            if self.boots < number or not self._leader():
                return False
            asked = (*self._enter(), "systemctl", "is-system-running")
            said = subprocess.run(asked, capture_output=True, text=True, check=False)
            return said.stdout.strip() in {"running", "degraded"}

        until(f"{self.name} has booted", up, limit)

    def switch_off(self) -> None:
        """Pull the plug."""
        self._off = True
        if leader := self._leader():  # it outlives nspawn, and all that runs in it with it
            os.kill(int(leader), signal.SIGKILL)
        if self._process is not None:
            self._process.kill()
        if self._power is not None:
            self._power.join()
        until = stopwatch() + _DYING_SECONDS
        while [group for group in _groups() if _remains(group)] and stopwatch() < until:
            time.sleep(0.1)

    def inside(self, *command: str, limit: float = 300) -> str:
        """Run a command in it, as its administrator would."""
        return host.run(*self._enter(), *command, limit=limit)

    def agent(self, *arguments: str) -> tuple[str, ...]:
        """Put together a command of its own agent."""
        return (*self._enter(), str(COMMANDS / "forestall-agent"), *arguments)

    def main_pid(self) -> int:
        """Ask systemd for the agent's process."""
        shown = self.inside("systemctl", "show", "--property=MainPID", "--value", "forestall-agent.service")
        return int(shown)

    def _enter(self) -> tuple[str, ...]:
        namespaces = ("-m", "-u", "-i", "-n", "-p", "-C")
        return (
            "nsenter",
            "-t",
            self._leader(),
            *namespaces,
            "-r",
            "-w",
            "env",
            "-i",
            _PATH,
            "LC_ALL=C.UTF-8",
        )

    def _leader(self) -> str:
        """Find the machine's first process, as seen from here."""
        process = self._process
        if process is None:
            return ""
        with suppress(OSError):
            found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            return found[0] if found else ""
        return ""

    def _run(self) -> None:
        status = _RESTARTS
        while status == _RESTARTS and not self._off:
            self._process = host.start(self.log, *self._command())
            self.boots += 1
            status = self._process.wait()

    def _command(self) -> Iterator[str]:
        root, namespace = self.machine.root, self.machine.port.namespace
        yield from ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot")
        yield from (f"--directory={root}", f"--hostname={self.name}")
        yield f"--network-namespace-path=/run/netns/{namespace}"
        for place in _program():
            yield f"--bind-ro={place}"


_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def _program() -> Iterator[Path]:
    """Name what the agent is made of: this project with its environment, and the Python below it."""
    yield Path(__file__).resolve().parent.parent
    yield from {COMMANDS.parent, Path(sys.base_prefix)} - {Path("/usr")}


def make_bootable(machine: Machine) -> Booted:
    """Take away what stands in for a running system in a clone."""
    host.run("umount", "--recursive", "--lazy", machine.root / "dev")
    host.run("umount", machine.root / "proc")
    (machine.root / "usr/sbin/policy-rc.d").unlink()
    return Booted(machine, machine.root.parent.parent / f"{machine.name}.log")


def boot(site: Site, machine: Machine) -> Booted:
    """Boot a clone."""
    host.install(["systemd-container"], "systemd-nspawn")
    booted = make_bootable(machine)
    booted.log = site.directory / f"{machine.name}.log"
    booted.switch_on()
    return booted


def _groups() -> Iterator[Path]:
    """Name the control groups that nspawn makes below our own, in every hierarchy."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        hierarchy = controllers.removeprefix("name=")
        for top in (_GROUPS / hierarchy, _GROUPS / "unified"):
            yield from (top / own.lstrip("/") / name for name in ("payload", "supervisor"))


def _remains(group: Path) -> bool:
    """Remove a group, once nobody is left in it; say whether it is there still."""
    for place, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):  # one that is not ours is in use
            Path(place).rmdir()
    return group.exists()
