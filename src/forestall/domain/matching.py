"""Remediations against an inventory: what is open on one machine, and how it stands to one update."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from forestall.domain.advisory import Advisory, ProductStatus
from forestall.domain.evidence import Status
from forestall.domain.inventory import Inventory, Package, PackageState
from forestall.domain.product import ProductName, key_of, product_of
from forestall.domain.remediation import Remediation, RemediationId, parts_of
from forestall.domain.version import Order, compare_keys, dpkg_key

_WORST_FIRST = (Status.AFFECTED, Status.UNKNOWN, Status.FIXED)


@dataclass(frozen=True, slots=True)
class OpenUpdate:
    """An advisory whose fix an installed source package lacks; one for each installed version of the source."""

    advisory: Advisory
    source: str
    installed: str
    fixed: str


@dataclass(frozen=True, slots=True)
class ArchivePackage:
    """A binary package that an archive offers."""

    name: str
    version: str
    architecture: str


@dataclass(frozen=True, slots=True)
class PendingUpgrade:
    """An installed package of which the archive has a newer version."""

    package: str
    installed: str
    candidate: str
    architecture: str


def open_updates(inventory: Inventory, advisories: Iterable[Advisory]) -> tuple[OpenUpdate, ...]:
    """Find the advisories that are open on a machine, in the order given.

    A version that cannot be read opens nothing here and closes nothing: ask `unreadable` for those packages.
    """
    installed = _versions_by_source(inventory)
    return tuple(
        OpenUpdate(advisory, product.source, version, product.fixed)
        for advisory in advisories
        for product in advisory.products
        if product.release == inventory.release
        and product.source in installed
        and product.status is ProductStatus.FIXED
        and product.fixed is not None
        for version in _affected_versions(installed[product.source], key_of(inventory.release, product.fixed))
    )


def unreadable(inventory: Inventory) -> tuple[Package, ...]:
    """List the packages of which nothing can be said because nobody would understand their version (A2)."""
    return tuple(
        package for package in inventory.packages if key_of(inventory.release, package.source_version) is None
    )


def remediations(advisories: Iterable[Advisory]) -> tuple[Remediation, ...]:
    """Group advisories by what fixes them: one remediation for each release, source and fixed version."""
    groups = defaultdict[tuple[str, str, str], list[Advisory]](list)
    for advisory in advisories:
        for product in advisory.products:
            if product.status is ProductStatus.FIXED and product.fixed is not None:
                groups[product.release, product.source, product.fixed].append(advisory)
    return tuple(
        Remediation(
            release,
            source,
            version,
            tuple(dict.fromkeys(advisory.id for advisory in group)),
            tuple(dict.fromkeys(name for advisory in group for name in advisory.vulnerabilities)),
            min(advisory.published_at for advisory in group),
        )
        for (release, source, version), group in groups.items()
    )


def status_of(inventory: Inventory, remediation: Remediation) -> tuple[Status, str]:
    """Say how a machine stands to an update of packages, with the reason; versions sort as their release's do.

    The worst binary package of the source decides: affected, then unknown, then fixed (A2).
    """
    if inventory.release != remediation.release:
        return Status.NOT_AFFECTED, f"runs {inventory.release}, the update is for {remediation.release}"
    if product_of(remediation.release) is ProductName.WINDOWS:
        return Status.UNKNOWN, f"only the agent there can tell whether {remediation.source} is installed"
    packages = [package for package in inventory.packages if package.source == remediation.source]
    if not packages:
        return Status.NOT_AFFECTED, f"nothing of {remediation.source} is installed"
    wanted = key_of(remediation.release, remediation.version)
    verdicts = [
        _judge(package, key_of(inventory.release, package.source_version), remediation.version, wanted)
        for package in packages
    ]
    return min(verdicts, key=lambda verdict: _WORST_FIRST.index(verdict[0]))


def undone_of(inventory: Inventory, update: RemediationId) -> tuple[Status, str]:
    """Say how a machine stands to the undoing of an update of packages: affected is who has that very version (A7).

    Whoever has a later one, or never had it, has nothing to take back.
    """
    release, source, version = parts_of(update)
    if inventory.release != release:
        return Status.NOT_AFFECTED, f"runs {inventory.release}, the update was for {release}"
    packages = [package for package in inventory.packages if package.source == source]
    for package in packages:
        if package.state is PackageState.BROKEN:
            return Status.AFFECTED, f"{package.name} {package.version} is not completely installed"
        if compare_keys(key_of(release, package.source_version), key_of(release, version)) is Order.EQUAL:
            return Status.AFFECTED, f"{package.name} {package.version} is of {version}, which was withdrawn"
    unread = [package for package in packages if key_of(release, package.source_version) is None]
    if unread:
        return Status.UNKNOWN, f"{unread[0].name}: {unread[0].source_version} cannot be read"
    return Status.FIXED, f"nothing of {source} {version} is installed"


def _judge(
    package: Package, installed: bytes | None, version: str, wanted: bytes | None
) -> tuple[Status, str]:
    if package.state is PackageState.BROKEN:
        return Status.AFFECTED, f"{package.name} {package.version} is not completely installed"
    match compare_keys(installed, wanted):
        case Order.LESS:
            return Status.AFFECTED, f"{package.name} {package.version} is older than {version}"
        case Order.UNKNOWN:
            return (
                Status.UNKNOWN,
                f"{package.name}: {package.source_version} and {version} cannot be compared",
            )
        case _:
            return Status.FIXED, f"{package.name} {package.version} has the fix of {version}"


def pending_upgrades(inventory: Inventory, archive: Iterable[ArchivePackage]) -> tuple[PendingUpgrade, ...]:
    """Find the installed packages of which the archive has a newer version, as `apt upgrade` would offer them."""
    newest = _newest(archive, {package.name for package in inventory.packages})
    pending = []
    for package in inventory.packages:
        key = dpkg_key(package.version)
        for offered_key, offer in newest.get(package.name, ()):
            fits = package.architecture == offer.architecture or "all" in {
                package.architecture,
                offer.architecture,
            }
            if fits and compare_keys(key, offered_key) is Order.LESS:
                pending.append(
                    PendingUpgrade(package.name, package.version, offer.version, offer.architecture)
                )
                break
    return tuple(pending)


def _newest(
    archive: Iterable[ArchivePackage], names: set[str]
) -> Mapping[str, list[tuple[bytes, ArchivePackage]]]:
    """Index what the archive offers of some packages by name, newest first."""
    offers = defaultdict[str, list[tuple[bytes, ArchivePackage]]](list)
    for offer in archive:
        if offer.name in names and (key := dpkg_key(offer.version)) is not None:
            offers[offer.name].append((key, offer))
    for group in offers.values():
        group.sort(key=lambda pair: pair[0], reverse=True)
    return offers


def _versions_by_source(inventory: Inventory) -> Mapping[str, dict[str, bytes | None]]:
    """Index the installed source versions with their keys; a broken package is older than any fix."""
    sources = defaultdict[str, dict[str, bytes | None]](dict)
    for package in inventory.packages:
        broken = package.state is PackageState.BROKEN
        known = sources[package.source]
        if broken or package.source_version not in known:
            known[package.source_version] = (
                b"" if broken else key_of(inventory.release, package.source_version)
            )
    return sources


def _affected_versions(installed: Mapping[str, bytes | None], wanted: bytes | None) -> list[str]:
    return [version for version, key in installed.items() if compare_keys(key, wanted) is Order.LESS]
