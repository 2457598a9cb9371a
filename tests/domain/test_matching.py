"""One machine against advisories: the real one exactly, and the rules of A2 on made-up ones."""

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.agent.inventory.dpkg_status import read_status
from forestall.domain.advisory import Advisory, AdvisoryId, Product, ProductStatus, VulnerabilityId
from forestall.domain.evidence import Status
from forestall.domain.inventory import Inventory, Package, PackageState
from forestall.domain.matching import (
    ArchivePackage,
    open_updates,
    pending_upgrades,
    remediations,
    status_of,
    unreadable,
)
from forestall.feeds.bundle import load_bundle
from forestall.feeds.feed import FEEDS
from forestall.feeds.fetch import fetch, find_file
from forestall.feeds.merge import merge
from forestall.feeds.packages import read_packages

MACHINE = Path(__file__).parents[1] / "data" / "machine"
LARGE = Path(__file__).parents[3] / "shared" / "data" / "debian"
"""The unreduced data, where a developer has them."""

FOLDERS = [
    pytest.param(MACHINE, MACHINE, id="the machine in the repository"),
    *([pytest.param(LARGE / "machine", LARGE, id="the unreduced machine")] if LARGE.is_dir() else []),
]
DAY = datetime(2026, 8, 7, tzinfo=UTC)


def advisory(name: str, *products: Product, vulnerabilities: tuple[str, ...] = ()) -> Advisory:
    return Advisory(
        AdvisoryId(name), name, DAY, tuple(map(VulnerabilityId, vulnerabilities)), products, "test"
    )


def fixed(version: str, source: str = "openssl", release: str = "bookworm") -> Product:
    return Product(release, source, ProductStatus.FIXED, version)


def package(version: str, state: PackageState = PackageState.INSTALLED, name: str = "libssl3") -> Package:
    return Package(name, version, "amd64", state, "openssl", version)


def machine(*packages: Package) -> Inventory:
    return Inventory("bookworm", packages)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def real_machine(folder: Path) -> Inventory:
    return read_status(gzip.decompress((folder / "dpkg-status.gz").read_bytes()).decode())


@pytest.mark.parametrize(("folder", "indexes"), FOLDERS)
def test_the_real_machine_has_exactly_the_upgrades_apt_offers(folder: Path, indexes: Path):
    archive = [
        offer for index in sorted((indexes / "apt").glob("*Packages*")) for offer in read_packages(index)
    ]
    found = pending_upgrades(real_machine(folder), archive)
    expected = rows(folder / "expected-upgrade.tsv")
    assert len(found) == len(expected) == 136
    assert {(u.package, u.installed, u.candidate, u.architecture) for u in found} == {
        (row["package"], row["installed"], row["candidate"], row["arch"]) for row in expected
    }


@pytest.mark.parametrize(("folder", "feeds"), FOLDERS)
def test_the_real_machine_has_exactly_the_open_advisories(folder: Path, feeds: Path):
    results = [fetch(feed, str(feeds)) for feed in FEEDS if find_file(feed, feeds)]
    catalogue = merge([result.catalogue for result in results]) if results else load_bundle()
    found = open_updates(real_machine(folder), catalogue.advisories)
    expected = rows(folder / "expected-advisories.tsv")
    assert len(found) == len(expected) == 95
    assert {
        (u.source, u.installed, u.advisory.id, u.fixed, frozenset(u.advisory.vulnerabilities)) for u in found
    } == {
        (
            row["source"],
            row["installed_source_version"],
            _id(row),
            row["fixed_version"],
            frozenset(row["cves"].split()),
        )
        for row in expected
    }


def _id(row: dict[str, str]) -> str:
    if row["basis"] == "tracker":
        return row["advisory"]
    return f"{row['advisory']}:{row['source']}:{row['fixed_version']}"


STATUSES = [
    pytest.param((package("3.0.1"),), Status.AFFECTED, id="an older version is affected"),
    pytest.param((package("3.0.2"),), Status.FIXED, id="the fixed version is fixed"),
    pytest.param((package("3.0.3"),), Status.FIXED, id="a newer version is fixed"),
    pytest.param((), Status.NOT_AFFECTED, id="not installed is not affected"),
    pytest.param(
        (package("3.0.2", PackageState.BROKEN),), Status.AFFECTED, id="half installed is never fixed (A2)"
    ),
    pytest.param((package("what?"),), Status.UNKNOWN, id="an unreadable version is unknown, not safe (A2)"),
    pytest.param(
        (package("3.0.2"), package("3.0.1", name="openssl")),
        Status.AFFECTED,
        id="one binary left behind is affected",
    ),
    pytest.param(
        (package("3.0.2"), package("what?", name="openssl")), Status.UNKNOWN, id="unknown beats fixed (A2)"
    ),
    pytest.param(
        (package("what?"), package("3.0.1", name="openssl")), Status.AFFECTED, id="affected beats unknown"
    ),
]


@pytest.mark.parametrize(("packages", "expected"), STATUSES)
def test_the_status_of_one_machine(packages: tuple[Package, ...], expected: Status):
    (remediation,) = remediations([advisory("DSA-1-1", fixed("3.0.2"))])
    status, reason = status_of(machine(*packages), remediation)
    assert status is expected
    assert reason


def test_another_release_is_not_affected_and_says_so():
    (remediation,) = remediations([advisory("DSA-1-1", fixed("3.0.2"))])
    status, reason = status_of(Inventory("trixie", (package("3.0.1"),)), remediation)
    assert status is Status.NOT_AFFECTED
    assert "trixie" in reason


def test_an_unreadable_version_is_named():
    assert [p.name for p in unreadable(machine(package("1"), package("what?", name="odd")))] == ["odd"]


def test_an_update_without_a_fix_opens_nothing():
    product = Product("bookworm", "openssl", ProductStatus.UNFIXED)
    assert open_updates(machine(package("3.0.1")), [advisory("DSA-1-1", product)]) == ()
    assert remediations([advisory("DSA-1-1", product)]) == ()


def test_advisories_with_the_same_fix_are_one_unit_of_work():
    first = advisory(
        "DSA-1-1", fixed("3.0.2"), fixed("2.9", release="bullseye"), vulnerabilities=("CVE-2026-0001",)
    )
    second = advisory("DSA-2-1", fixed("3.0.2"), vulnerabilities=("CVE-2026-0001", "CVE-2026-0002"))
    by_id = {remediation.id: remediation for remediation in remediations([first, second])}
    assert set(by_id) == {"bookworm/openssl/3.0.2", "bullseye/openssl/2.9"}
    one = by_id["bookworm/openssl/3.0.2"]
    assert one.advisories == ("DSA-1-1", "DSA-2-1")
    assert one.vulnerabilities == ("CVE-2026-0001", "CVE-2026-0002")


@pytest.mark.parametrize(
    ("offer", "pending"),
    [
        pytest.param(ArchivePackage("libssl3", "3.0.2", "amd64"), True, id="newer, same architecture"),
        pytest.param(ArchivePackage("libssl3", "3.0.1", "amd64"), False, id="the same version"),
        pytest.param(
            ArchivePackage("libssl3", "3.0.2", "i386"), False, id="newer, but for another architecture"
        ),
        pytest.param(ArchivePackage("libssl3", "3.0.2", "all"), True, id="newer, for all architectures"),
        pytest.param(ArchivePackage("libssl3", "~", "amd64"), False, id="an offer that cannot be read"),
        pytest.param(ArchivePackage("libssl4", "3.0.2", "amd64"), False, id="another package"),
    ],
)
def test_what_counts_as_a_pending_upgrade(offer: ArchivePackage, pending: bool):
    assert bool(pending_upgrades(machine(package("3.0.1")), [offer])) is pending


versions = st.sampled_from(["1", "1.0-1", "1~rc1", "2", "1:0", "nonsense", ""])
packages = st.builds(
    package, versions, st.sampled_from(PackageState), st.sampled_from(["libssl3", "openssl"])
)


@given(st.lists(packages, max_size=4), st.sampled_from(["1", "1.0-1", "2", "1:0"]))
def test_an_update_is_open_exactly_where_the_machine_is_affected(installed: list[Package], version: str):
    inventory = machine(*installed)
    update = advisory("DSA-1-1", fixed(version))
    (remediation,) = remediations([update])
    is_open = bool(open_updates(inventory, [update]))
    assert is_open == (status_of(inventory, remediation)[0] is Status.AFFECTED)
