"""Who still runs replaced code: installed is not effective until these processes are started again (A6)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from forestall.domain.inventory import Inventory

_DELETED = " (deleted)"
_NOT_FILES = ("/memfd:", "/dev/", "/SYSV", "/[", "/drm", "/i915")
_SERVICE = re.compile(r"[A-Za-z0-9:.\\@-][A-Za-z0-9:_.\\@-]{0,246}\.service")
MACHINE = "the machine itself"
_ONLY_BY_RESTART = frozenset(
    {"kernel", "kernel-rt", "glibc", "linux-firmware", "microcode_ctl", "systemd", "dbus", "dbus-broker"}
)
"""Sources of rpm whose update is in force only after a restart of the machine, as dnf's needs-restarting has it."""
_WHOLE_MACHINE = ("linux", "glibc")
"""Sources whose update is in force only after a restart of the machine, when the package asked for one."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A process that executes a file which is no longer on disk."""

    pid: int
    name: str
    path: str
    unit: str = ""
    """The service that it belongs to; empty for what belongs to none."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What keeps an update from being in force."""

    processes: frozenset[Stale] = frozenset()
    machine: bool = False
    """The machine itself was asked to be restarted."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name it for people."""
        named = {f"{one.name} ({one.pid})" for one in self.processes}
        return tuple(sorted(named | ({MACHINE} if self.machine else set())))


def scan(root: Path, proc: Path = Path("/proc")) -> tuple[Stale, ...]:
    """Find the processes of this root that execute deleted files; other roots' processes are not ours.

    What the kernel does not let us see (other people's processes, without root) is left out.
    """
    try:
        ours = _identity(root)
    except OSError:
        return ()
    pids = (int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal())
    return tuple(stale for pid in pids for stale in _of_process(proc / str(pid), pid, ours))


def unchanged(root: Path, stale: Iterable[Stale], proc: Path = Path("/proc")) -> bool:
    """Tell cheaply whether all these processes still run what they ran."""
    known = set(stale)
    try:
        ours = _identity(root)
    except OSError:
        return False
    return known == {one for pid in {k.pid for k in known} for one in _of_process(proc / str(pid), pid, ours)}


def still_running(debian_root: Path, inventory: Inventory, source: str, stale: Iterable[Stale]) -> Holding:
    """Find what keeps an update of `source` from being in force: processes, or a restart of the machine.

    A file counts by its name without the version after `.so`, since the new package may have renamed it.
    Rather one restart too many than a machine called fixed while it runs the old code.
    """
    packages = {package.name for package in inventory.packages if package.source == source}
    found = running(stale, (path for package in packages for path in _files(debian_root, package)))
    return Holding(found, _machine_restart_asked(debian_root, source, packages))


def running(stale: Iterable[Stale], files: Iterable[str]) -> frozenset[Stale]:
    """Find the processes that run an older one of these files."""
    stems = {_stem(path) for path in files}
    return frozenset(one for one in stale if _stem(one.path) in stems)


def outdated(proc: Path = Path("/proc/self")) -> bool:
    """Say whether this very process runs replaced code."""
    try:
        return any(True for _ in _deleted_code((proc / "maps").read_text(errors="replace")))
    except OSError:
        return False


def older_than_start(source: str, installed_at: int, proc: Path = Path("/proc")) -> bool:
    """Say whether the machine started before rpm put something in that only a restart brings into force.

    `installed_at` is in seconds since 1970, by this machine's own clock, as is its start.
    """
    if source not in _ONLY_BY_RESTART:
        return False
    try:
        lines = (proc / "stat").read_text().splitlines()
    except OSError:
        return True
    started = next((line.split()[1] for line in lines if line.startswith("btime ")), "0")
    return installed_at >= int(started)


def _of_process(directory: Path, pid: int, ours: tuple[int, int]) -> Iterator[Stale]:
    try:
        if _identity(directory / "root") != ours:
            return
        maps = (directory / "maps").read_text(errors="replace")
        if _DELETED not in maps:
            return
        name = (directory / "comm").read_text(errors="replace").strip()
        unit = unit_of((directory / "cgroup").read_text(errors="replace"))
    except OSError:
        return
    for path in sorted(set(_deleted_code(maps))):
        yield Stale(pid, name, path, unit)


def unit_of(cgroups: str) -> str:
    """Read `/proc/PID/cgroup`: the service by which systemd knows a process; nothing for logins and the rest."""
    lines = (line.split(":", 2) for line in cgroups.splitlines() if line.count(":") >= 2)
    paths = {controllers: path for _, controllers, path in lines}
    path = paths.get("name=systemd") or paths.get("", "")
    if path.startswith("/user.slice"):
        return ""
    return next((part for part in path.split("/") if _SERVICE.fullmatch(part)), "")


def _deleted_code(maps: str) -> Iterator[str]:
    for line in maps.splitlines():
        if not line.endswith(_DELETED):
            continue
        fields = line.split(maxsplit=5)
        if len(fields) != 6 or "x" not in fields[1] or fields[5].startswith(_NOT_FILES):
            continue
        yield fields[5].removesuffix(_DELETED)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _stem(path: str) -> str:
    return re.split(r"(?<=\.so)\.", path.rsplit("/", 1)[-1], maxsplit=1)[0].removesuffix(".dpkg-new")


def _files(root: Path, package: str) -> Iterator[str]:
    info = root / "var/lib/dpkg/info"
    for name in (f"{package}.list", *(found.name for found in info.glob(f"{package}:*.list"))):
        try:
            yield from (info / name).read_text(errors="replace").splitlines()
        except OSError:
            continue


def _machine_restart_asked(root: Path, source: str, packages: set[str]) -> bool:
    if not (root / "run/reboot-required").exists():
        return False
    try:
        asking = set((root / "run/reboot-required.pkgs").read_text(errors="replace").split())
    except OSError:
        return source.startswith(_WHOLE_MACHINE)
    return bool(asking & packages)
