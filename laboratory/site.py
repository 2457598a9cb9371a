"""One place for machines: the switch, the content store, the base; everything in it vanishes with the process."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from forestall.clock import stopwatch
from laboratory import clones, content, host, network
from laboratory.content import Pending
from laboratory.host import LabError
from laboratory.network import Port
from laboratory.timeline import Timeline

COMMANDS = Path(sys.executable).parent
"""Where `forestall` and `forestall-agent` are."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One Debian clone at the switch."""

    name: str
    root: Path
    port: Port

    def inside(self, *command: str | Path, limit: float = 300) -> str:
        """Run a command in the machine: its files, its network."""
        return host.run(*self.port.enter, "chroot", self.root, *command, limit=limit)

    def agent(self, *arguments: str) -> tuple[str, ...]:
        """Put together an agent's command; the agent serves the machine's root from its network."""
        agent = str(COMMANDS / "forestall-agent")
        return (*self.port.enter, agent, *arguments, "--root", str(self.root))


class Served(Protocol):
    """A machine with an agent, wherever that runs."""

    def agent(self, *arguments: str) -> tuple[str, ...]:
        """Put together an agent's command."""
        ...


@dataclass(slots=True)
class Site:
    """The switch with the content store behind it, and the base that machines are cloned from."""

    directory: Path
    base: Path
    management: Port
    pending: list[Pending]
    public_key: bytes
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _machines: int = 0

    def new_machine(self, name: str, port_name: str = "") -> Machine:
        """Clone a machine and plug it in; its apt knows the content store and nothing else."""
        self._machines += 1
        root = clones.clone(self.base, self.directory / name, name)
        port_name = port_name or f"p{self._machines}"
        port = network.plug(f"fs-{name}", port_name, f"10.77.0.{100 + self._machines}")
        content.point_at_store(root, self.public_key, self.management.address)
        return Machine(name, root, port)

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start something that stays until the end of the laboratory."""
        process = host.start(self.directory / f"{name}.log", *command)
        self.processes.append(process)
        return process

    def close(self) -> None:
        """Stop what was started, newest first."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def open_site(directory: Path, timeline: Timeline, more: Sequence[str] = ()) -> Site:
    """Build it: the base with `more` packages, what is pending today, the signed store, the switch."""
    archive = host.host_archive()
    tar, made = clones.cached_base(archive, more)
    timeline.tell("base bootstrapped from the main archive" if made else "base taken from the cache")
    base = clones.unpack(tar, directory / "base")
    probe = clones.clone(base, directory / "probe", "probe")
    store = directory / "store"
    pending = content.fetch_pending(probe, archive, store / "pool")
    timeline.tell(f"{len(pending)} security updates are pending: {', '.join(one.source for one in pending)}")
    management = network.make_switch()
    key = content.publish(store, directory / "keys")
    site = Site(directory, base, management, pending, key)
    process = content.serve(store, management, sys.executable, directory / "store.log")
    site.processes.append(process)
    first = (*management.enter, sys.executable, "-c", _KNOCK, management.address, "80")
    until("the content store answers", lambda: _works(*first))
    timeline.tell(f"content store serves them, signed, at {management.address}")
    return site


_KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()"


def knock(port: Port, address: str, number: int) -> bool:
    """Tell whether something listens there, seen from a port of the switch."""
    return _works(*port.enter, sys.executable, "-c", _KNOCK, address, str(number))


def until(what: str, met: Callable[[], bool], limit: float = 60) -> None:
    """Wait until it is so.

    Raises:
        LabError: it was not so within `limit` seconds.
    """
    deadline = stopwatch() + limit
    while not met():
        if stopwatch() > deadline:
            raise LabError(f"not within {limit:.0f} s: {what}")
        time.sleep(0.1)


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
