"""The root of a machine whose packages are rpm's, and how its tools are called."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forestall.agent.program import CLEAN_ENVIRONMENT

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
NEVRA = re.compile(
    rf"(?P<name>{NAME.pattern})-"
    r"(?P<epoch>[0-9]{1,10}):"
    r"(?P<version>[A-Za-z0-9.+_~^]{1,127})-(?P<release>[A-Za-z0-9.+_~^]{1,127})\.(?P<arch>[a-z0-9_]{1,31})"
)
"""A package with its exact version as it may stand on a command line: name-epoch:version-release.arch."""


_DATABASES = ("usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages")


@dataclass(frozen=True, slots=True)
class Rpm:
    """One root directory with rpm's database in it; `directory` is the agent's own."""

    path: Path
    directory: Path
    rpm: tuple[str, ...]
    dnf: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: CLEAN_ENVIRONMENT)

    @property
    def database(self) -> Path:
        """What changes with every installation."""
        found = (self.path / each for each in _DATABASES)
        return next((each for each in found if each.exists()), self.path / _DATABASES[0])

    @property
    def before(self) -> Path:
        """The package list from before an installation, there until it is known to be whole.

        rpm shows the new version before a package's scripts have run, and keeps no word on those that never did.
        """
        return self.directory / "rpm-before"


def rpm_at(path: Path, directory: Path) -> Rpm:
    """Serve the running system (`/`), or another root by entering it with chroot."""
    prefix = () if path == Path("/") else ("/usr/sbin/chroot", str(path))
    return Rpm(path, directory, (*prefix, "/usr/bin/rpm"), (*prefix, "/usr/bin/dnf"))
