"""Debian packages of our own, for what no real update does on demand: services that break, libraries that are held."""

import gzip
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from laboratory import content
from laboratory.content import Pending
from laboratory.host import CODENAME, run
from laboratory.site import Site

_CONTROL = """Package: {name}
Version: {version}
Architecture: amd64
Maintainer: Laboratory <laboratory@localhost>
Description: home-made
"""
_CHANGELOG = """{name} ({version}) {codename}-security; urgency=high

  * CVE-2026-{number}: made up, for the laboratory.

 -- Laboratory <laboratory@localhost>  Mon, 23 Nov 2026 10:00:00 +0000
"""


@dataclass(frozen=True, slots=True)
class Package:
    """One package at one version."""

    name: str
    version: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)

    def build(self, site: Site) -> Path:
        """Make the file."""
        tree = site.directory / f"{self.name}-{self.version}"
        number = 90_000 + sum(self.name.encode())
        changelog = _CHANGELOG.format(name=self.name, version=self.version, codename=CODENAME, number=number)
        documented = f"usr/share/doc/{self.name}/changelog.Debian.gz"
        for name, data in {**self.files, documented: gzip.compress(changelog.encode())}.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o755 if data.startswith(b"\x7fELF") else 0o644)
        control = tree / "DEBIAN"
        control.mkdir()
        (control / "control").write_text(_CONTROL.format(name=self.name, version=self.version))
        for name, text in self.scripts.items():
            (control / name).write_text(f"#!/bin/sh\nset -e\n{text}\n")
            (control / name).chmod(0o755)
        made = tree.with_suffix(f".{self.version.rpartition('.')[2]}.deb")
        run("dpkg-deb", "--root-owner-group", "--build", tree, made)
        return made

    def offer(self, site: Site) -> Pending:
        """Put it into the content store, as a security update."""
        store = site.directory / "store"
        path = Path(shutil.copy(self.build(site), store / "pool"))
        content.index(store, site.directory / "keys")
        return Pending(self.name, self.version, (content.read_deb(path),))
