"""The Debian root that the agent serves, and how its tools are called."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forestall.agent.program import CLEAN_ENVIRONMENT

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?")
"""A package name as it may stand on a command line (Debian policy 5.6.7), with or without architecture."""


@dataclass(frozen=True, slots=True)
class Debian:
    """One root directory with dpkg's database in it, and how apt and dpkg are called for it."""

    path: Path
    apt_get: tuple[str, ...]
    apt_cache: tuple[str, ...]
    dpkg: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: CLEAN_ENVIRONMENT)

    @property
    def admindir(self) -> Path:
        """The database of dpkg."""
        return self.path / "var/lib/dpkg"

    @property
    def database(self) -> Path:
        """What changes with every installation."""
        return self.admindir / "status"

    @property
    def archives(self) -> Path:
        """Where apt keeps what it downloaded."""
        return self.path / "var/cache/apt/archives"


def debian_at(path: Path) -> Debian:
    """Serve the running system (`/`), or another Debian root by entering it with chroot."""
    prefix = () if path == Path("/") else ("/usr/sbin/chroot", str(path))
    return Debian(
        path=path,
        apt_get=(*prefix, "/usr/bin/apt-get"),
        apt_cache=(*prefix, "/usr/bin/apt-cache"),
        dpkg=(*prefix, "/usr/bin/dpkg"),
    )


def printable(text: str, most: int = 2_000) -> str:
    """Make text from outside harmless for a terminal and a report: no control characters, bounded."""
    clean = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else " " for c in text)
    return clean[:most]
