"""The package list of a Debian root, read with dpkg-query."""

from datetime import timedelta

from forestall.agent.debian import Debian, printable
from forestall.agent.inventory.os_release import read_os_release
from forestall.agent.program import run
from forestall.domain.errors import AgentError
from forestall.domain.inventory import Inventory, Package, PackageState

_FORMAT = (
    r"${Package}\t${Version}\t${Architecture}\t${db:Status-Abbrev}\t${source:Package}\t${source:Version}\n"
)
_INSTALLED = {"ii ", "hi "}
"""Installed, wished or held; a third letter (`R`) means that reinstallation is required."""
_ABSENT = {"n", "c"}
"""Second letter: not installed, or only configuration files are left."""


def take(debian: Debian) -> Inventory:
    """Read what is installed.

    Raises:
        AgentError: dpkg-query failed or answered what it never should.
    """
    packages = (_package(fields) for fields in _listed(debian))
    release = read_os_release(debian.path).get("VERSION_CODENAME", "")
    return Inventory(release, tuple(package for package in packages if package is not None))


def to_reinstall(debian: Debian) -> list[str]:
    """Name the packages that dpkg wants unpacked once more: their files are not whole (`R`)."""
    return [
        name if architecture == "all" else f"{name}:{architecture}"
        for name, _, architecture, status, _, _ in _listed(debian)
        if status[2:3] == "R"
    ]


def _listed(debian: Debian) -> list[list[str]]:
    if not (debian.admindir / "status").is_file():  # dpkg-query would call it an empty machine
        raise AgentError(f"{debian.path} is not a Debian root: there is no {debian.admindir / 'status'}")
    command = ("/usr/bin/dpkg-query", f"--admindir={debian.admindir}", "-f", _FORMAT, "-W")
    ran = run(debian.environment, command, timedelta(minutes=1))
    if ran.status != 0:
        raise AgentError(
            f"cannot read the package list of {debian.path}: {printable(ran.errors or ran.output, 300).strip()} "
            "(is dpkg-query installed?)"
        )
    packages = [line.split("\t") for line in ran.output.splitlines()]
    for fields in packages:
        if len(fields) != 6:
            raise AgentError(f"dpkg-query said what it never should: {printable(str(fields), 200)}")
    return packages


def _package(fields: list[str]) -> Package | None:
    name, version, architecture, status, source, source_version = fields
    if status[1:2] in _ABSENT:
        return None
    state = PackageState.INSTALLED if status in _INSTALLED else PackageState.BROKEN
    return Package(name, version, architecture, state, source or name, source_version or version)
