"""The package list of a machine with rpm; what a cut-off transaction left is broken, whatever version it shows."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from forestall.agent.debian import printable
from forestall.agent.inventory.os_release import read_os_release
from forestall.agent.program import run
from forestall.agent.rpm import Rpm
from forestall.domain.errors import AgentError
from forestall.domain.inventory import Inventory, Package, PackageState
from forestall.domain.version import rpm_key

_FORMAT = r"%{NAME}\t%{EPOCHNUM}\t%{VERSION}\t%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\n"
_SIDE_BY_SIDE = ("installonlypkg(kernel)", "installonlypkg(kernel-module)", "installonlypkg(vm)", "kernel")
"""What dnf installs beside the old one instead of replacing it (dnf.conf(5), installonlypkgs)."""
_KEY = "gpg-pubkey"
"""rpm keeps the keys it trusts as packages of this name."""
_LIMIT = timedelta(minutes=2)


def take(rpm: Rpm) -> Inventory:
    """Read what is installed.

    Raises:
        AgentError: rpm failed or answered what it never should.
    """
    packages = _listed(rpm)
    times = Counter((package.name, package.architecture) for package in packages)
    doubled = {name for (name, _), often in times.items() if often > 1}
    kernels = _kernels(rpm) if doubled else set[str]()
    before = unfinished(rpm)
    return Inventory(
        _release(rpm),
        tuple(
            replace(package, state=PackageState.BROKEN)
            if package.name in doubled - kernels or (before is not None and nevra(package) not in before)
            else package
            for package in _without_old_kernels(packages, kernels)
        ),
    )


def nevra(package: Package) -> str:
    """Name a package with its exact version as dnf wants it."""
    epoch, colon, rest = package.version.rpartition(":")
    return f"{package.name}-{epoch if colon else '0'}:{rest}.{package.architecture}"


def unfinished(rpm: Rpm) -> frozenset[str] | None:
    """Read the package list from before an installation that has not come to its end; None where there is none."""
    try:
        return frozenset(rpm.before.read_text().splitlines())
    except FileNotFoundError:
        return None


def files_of(rpm: Rpm, names: Iterable[str]) -> list[str]:
    """List the files of installed packages.

    Raises:
        AgentError: rpm failed.
    """
    return _ask(rpm, "-ql", "--", *names).splitlines()


def installed_at(rpm: Rpm, names: Iterable[str]) -> int:
    """Say when the last of some packages came, in seconds since 1970.

    Raises:
        AgentError: rpm failed.
    """
    said = _ask(rpm, "-q", "--qf", r"%{INSTALLTIME}\n", "--", *names).split()
    return max((int(word) for word in said if word.isdecimal()), default=0)


def _listed(rpm: Rpm) -> list[Package]:
    lines = _ask(rpm, "-qa", "--qf", _FORMAT).splitlines()
    return [_package(line) for line in lines if not line.startswith(f"{_KEY}\t")]


def _ask(rpm: Rpm, *arguments: str, may_fail: bool = False) -> str:
    ran = run(rpm.environment, (*rpm.rpm, *arguments), _LIMIT)
    if ran.status != 0 and not (may_fail and ran.status is not None):
        raise AgentError(
            f"cannot read the package list of {rpm.path}: {printable(ran.errors or ran.output, 300).strip()} "
            "(is rpm installed?)"
        )
    return ran.output


def _package(line: str) -> Package:
    fields = line.split("\t")
    if len(fields) != 6:
        raise AgentError(f"rpm said what it never should: {printable(line, 200)}")
    name, epoch, version, release, architecture, source_rpm = fields
    whole = f"{version}-{release}"
    full = whole if epoch == "0" else f"{epoch}:{whole}"
    source, source_version = _source(source_rpm) or (name, full)
    # The name of a source package leaves its epoch out; packages made of it in the same version have it.
    if source_version == whole:
        source_version = full
    return Package(name, full, architecture, PackageState.INSTALLED, source, source_version)


def _source(source_rpm: str) -> tuple[str, str] | None:
    """Read `name-version-release.src.rpm`."""
    parts = source_rpm.removesuffix(".rpm").removesuffix(".src").removesuffix(".nosrc").rsplit("-", 2)
    return (parts[0], f"{parts[1]}-{parts[2]}") if len(parts) == 3 else None


def _kernels(rpm: Rpm) -> set[str]:
    # Of what nothing provides rpm says so and fails; what it names is still right.
    said = _ask(rpm, "-q", "--qf", r"%{NAME}\n", "--whatprovides", *_SIDE_BY_SIDE, may_fail=True)
    return set(said.splitlines())


def _without_old_kernels(packages: Iterable[Package], kernels: set[str]) -> Iterable[Package]:
    """Leave out what stands beside a newer one: the newest is what the next start runs."""
    newest = dict[tuple[str, str], Package]()
    for package in sorted(packages, key=lambda each: rpm_key(each.version) or b""):
        place = (package.name, package.architecture)
        if package.name not in kernels:
            yield package
        else:
            newest[place] = package
    yield from newest.values()


def _release(rpm: Rpm) -> str:
    """Name the distribution with its major version: `rhel-9`, `fedora-40`."""
    found = read_os_release(rpm.path)
    return f"{found.get('ID', '')}-{found.get('VERSION_ID', '').partition('.')[0]}".strip("-")
