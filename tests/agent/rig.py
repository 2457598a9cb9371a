"""A home-made Debian root with its own archive: real apt-get and dpkg, no network, no rights needed."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forestall.agent.debian import Debian
from forestall.agent.program import CLEAN_ENVIRONMENT

RELEASE = "bookworm"


@dataclass(frozen=True, slots=True)
class Rig:
    """A root, the archive it is served from, and the agent's directory."""

    root: Path
    archive: Path
    directory: Path
    debian: Debian

    def offer(
        self,
        name: str,
        version: str,
        *,
        source: str = "",
        fields: Mapping[str, str] | None = None,
        scripts: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Build a package and put it into the archive."""
        tree = self.archive.parent / "build" / f"{name}_{version}"
        for path, content in {f"usr/share/{name}/version": version.encode(), **(files or {})}.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content)
            (tree / path).chmod(0o755 if "/bin/" in path else 0o644)
        control = {
            "Package": name,
            "Version": version,
            "Architecture": "all",
            "Maintainer": "Nobody <nobody@example.com>",
            "Installed-Size": "4",
            "Description": "home-made",
            **({"Source": source} if source else {}),
            **(fields or {}),
        }
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text("".join(f"{k}: {v}\n" for k, v in control.items()))
        for script, text in (scripts or {}).items():
            (tree / "DEBIAN" / script).write_text(f"#!/bin/sh\nset -e\n{text}\n")
            (tree / "DEBIAN" / script).chmod(0o755)
        _quietly(
            "dpkg-deb", "--root-owner-group", "-b", str(tree), str(self.archive / f"{name}_{version}.deb")
        )
        self._index()

    def _index(self) -> None:
        stanzas = []
        for deb in sorted(self.archive.glob("*.deb")):
            fields = subprocess.run(
                ["dpkg-deb", "-f", deb], capture_output=True, text=True, check=True
            ).stdout
            content = deb.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            stanzas.append(f"{fields}Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {digest}\n")
        (self.archive / "Packages").write_text("\n".join(stanzas))

    def have(self, *names: str) -> None:
        """Install packages from the archive, as they are now."""
        self.apt("update")
        self.apt("install", "-y", *names)

    def apt(self, *arguments: str) -> None:
        """Run apt-get as an administrator of this root would."""
        _quietly(*self.debian.apt_get, *arguments, environment=self.debian.environment)

    def status_of(self, name: str) -> str:
        """Ask dpkg itself, the oracle: `ii  1.1` for example."""
        command = [
            "dpkg-query",
            f"--admindir={self.debian.admindir}",
            "-f",
            "${db:Status-Abbrev} ${Version}",
            "-W",
            name,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def make_rig(directory: Path) -> Rig:
    """Make an empty root and an empty archive."""
    root, archive = directory / "root", directory / "archive"
    for folder in (
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/cache/apt/archives/partial",
        "var/lib/apt/lists/partial",
        "var/log/apt",
        "etc/apt/preferences.d",
        "etc/apt/apt.conf.d",
        "usr/share",
    ):
        (root / folder).mkdir(parents=True)
    archive.mkdir()
    (archive / "Packages").write_text("")
    (root / "var/lib/dpkg/status").write_text("")
    (root / "etc/os-release").write_text(f'ID=debian\nVERSION_CODENAME="{RELEASE}"\n')
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{archive} ./\n")
    configuration = directory / "apt.conf"
    configuration.write_text(_configuration(root))
    state = directory / "agent"
    state.mkdir()
    return Rig(root, archive, state, _debian(root, configuration))


def _debian(root: Path, configuration: Path) -> Debian:
    return Debian(
        path=root,
        apt_get=("/usr/bin/apt-get",),
        apt_cache=("/usr/bin/apt-cache",),
        dpkg=("/usr/bin/dpkg", *_dpkg_options(root)),
        environment={**CLEAN_ENVIRONMENT, "APT_CONFIG": str(configuration)},
    )


def _dpkg_options(root: Path) -> tuple[str, ...]:
    return (
        f"--root={root}",
        "--force-not-root",
        "--force-script-chrootless",
        f"--log={root}/var/log/dpkg.log",
    )


def _configuration(root: Path) -> str:
    user = "root" if os.geteuid() == 0 else ""
    options = "".join(f'  "{option}";\n' for option in _dpkg_options(root))
    return (
        f'Dir "{root}/";\nDir::State::status "{root}/var/lib/dpkg/status";\n'
        f'APT::Sandbox::User "{user}";\nDPkg::Options {{\n{options}}};\n'
    )


def _quietly(*command: str, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
