"""The machine the laboratory runs on: its archive addresses, the tools that are needed, and how commands run."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CODENAME = "bookworm"
"""Debian 12: what the laboratory's machines run."""

_NEEDED: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "gpg": "gpg",
    "ip": "iproute2",
    "nmap": "nmap",
    "setpriv": "util-linux",
    "dpkg-deb": "dpkg",
    "snmpd": "snmpd",
    "nft": "nftables",
}
"""Commands and the Debian packages that bring them."""


class LabError(Exception):
    """The laboratory cannot go on; the message says what failed."""


def run(*command: str | Path, limit: float = 300, environment: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed."""
    words = [str(word) for word in command]
    environment = {**os.environ, **environment} if environment else None
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{' '.join(words[:6])}: {error}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise LabError(f"{' '.join(words[:6])} ended with {done.returncode}: {said}")
    return done.stdout


def install_tools() -> list[str]:
    """Install the Debian packages that are missing; tell which."""
    missing = sorted({package for command, package in _NEEDED.items() if shutil.which(command) is None})
    if missing:
        _install(missing)
    return missing


def install(packages: Sequence[str], command: str) -> None:
    """Install what only one experiment needs, where its command is missing."""
    if shutil.which(command) is None:
        _install(packages)


def _install(packages: Sequence[str]) -> None:
    clean = {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
    run(*apt, "update", environment=clean)
    run(*apt, "install", "-y", "--no-install-recommends", *packages, limit=600, environment=clean)


@dataclass(frozen=True, slots=True)
class Archive:
    """Where the host itself gets Debian from, never an address of our own."""

    main: str
    security: str
    options: tuple[str, ...]
    """The host's proxies, as lines for apt's configuration."""


def host_archive(etc: Path = Path("/etc")) -> Archive:
    """Read the host's apt sources."""
    codename = _host_codename(etc)
    found = {suite: uri for uri, suite in _sources(etc / "apt")}
    main, security = found.get(codename), found.get(f"{codename}-security")
    if main is None or security is None:
        raise LabError(f"{etc}/apt names no archive for {codename} and {codename}-security (component main)")
    dump = run("apt-config", "dump", "--format", '%f "%v";%n', "Acquire")
    return Archive(main, security, tuple(line for line in dump.splitlines() if "::proxy " in line.lower()))


def _sources(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield (address, suite) of every binary source with the component main."""
    lists = [directory / "sources.list", *sorted(directory.glob("sources.list.d/*.list"))]
    for path in (path for path in lists if path.exists()):
        for line in path.read_text().splitlines():
            found = re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.strip())
            if found and "main" in found[3].split():
                yield found[1], found[2]
    for path in sorted(directory.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            yield from _of_stanza(stanza)


def _of_stanza(stanza: str) -> Iterator[tuple[str, str]]:
    fields = {
        key.lower(): value.split() for key, value in re.findall(r"(?m)^([\w-]+):(.*(?:\n[ \t].*)*)", stanza)
    }
    usable = "deb" in fields.get("types", ()) and "main" in fields.get("components", ())
    if usable and fields.get("enabled", ["yes"]) != ["no"]:
        yield from ((uri, suite) for suite in fields.get("suites", ()) for uri in fields.get("uris", ())[:1])


def _host_codename(etc: Path) -> str:
    found = re.search(r"(?m)^VERSION_CODENAME=\"?([a-z]+)", (etc / "os-release").read_text())
    if not found:
        raise LabError("this host is not a Debian release with a code name")
    return found[1]


def start(
    log: Path, *command: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command that stays; what it says goes to a file."""
    words: Sequence[str] = [str(word) for word in command]
    with log.open("ab") as sink:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment} if environment else None,
        )
