"""What is installed where: the set-based answer is the domain's answer, machine by machine."""

# ruff: noqa: E501 - a table reads best one row a line

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from domain.made import MINUTE, START
from forestall.domain.advisory import AdvisoryId, VulnerabilityId
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Status
from forestall.domain.inventory import Inventory, Package, PackageState, hash_of
from forestall.domain.matching import status_of
from forestall.domain.remediation import Remediation
from forestall.store import devices, inventories
from forestall.store.database import Connection, Database
from store.made import in_database

NAMES = [DeviceId(f"d{n}") for n in range(4)]
RELEASES, SOURCES = ("bookworm", "trixie"), ("openssl", "curl")
VERSIONS = ("1.0", "1.0-1", "1.0~rc1", "1:0.5", "2.0+dfsg-1~deb12u1", "what?", "", "1 0", "-", "é")
"""Half of them are none that dpkg would read."""


@pytest.fixture(autouse=True)
def machines(database: Database) -> None:
    with database.begin() as con:
        devices.save(con, [Device(name, name, SiteId("tokyo"), managed=True) for name in NAMES])


def package(name: str, source: str, version: str, state: PackageState = PackageState.INSTALLED) -> Package:
    return Package(name, version, "amd64", state, source, version)


def update(release: str = "bookworm", source: str = "openssl", version: str = "1.0-1") -> Remediation:
    return Remediation(
        release, source, version, (AdvisoryId("a"),), (VulnerabilityId("CVE-2026-0001"),), START
    )


def put(
    con: Connection, device: DeviceId, found: Inventory, now: datetime = START, sequence: int = 0
) -> bool:
    return inventories.put(con, device, found, hash_of(found), sequence, now)


packages = st.lists(
    st.builds(package, st.sampled_from("abcd"), st.sampled_from(SOURCES), st.sampled_from(VERSIONS), st.sampled_from(PackageState)),
    max_size=5, unique_by=lambda each: each.name,
)  # fmt: skip
fleets = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(Inventory, st.sampled_from(RELEASES), packages.map(tuple)),
    min_size=1,
)
updates = st.lists(
    st.builds(update, st.sampled_from(RELEASES), st.sampled_from(SOURCES), st.sampled_from(VERSIONS)),
    unique_by=lambda each: each.id,
)


@in_database
@given(fleet=fleets, wanted=updates)
def test_counting_in_sets_is_judging_each_machine(
    database: Database, fleet: dict[DeviceId, Inventory], wanted: list[Remediation]
):
    with database.begin() as con:
        point = con.begin_nested()
        for device, found in fleet.items():
            put(con, device, found)
        counts = inventories.affected_counts(con, wanted)
        one = next(iter(fleet))
        counts_of_one = inventories.affected_counts(con, wanted, one)
        standing = {each.id: inventories.standing_of(con, each.id) for each in wanted}
        of_one = {each.id: inventories.standing_of(con, each.id, [one]) for each in wanted}
        point.rollback()
    for each in wanted:
        judged = {device: status_of(found, each)[0] for device, found in fleet.items()}
        assert standing[each.id] == judged
        assert of_one[each.id] == {one: judged[one]}
        assert counts.get(each.id, 0) == list(judged.values()).count(Status.AFFECTED)
        assert counts_of_one.get(each.id, 0) == (judged[one] is Status.AFFECTED)


@in_database
@given(found=st.builds(Inventory, st.sampled_from(RELEASES), packages.map(tuple)))
def test_an_inventory_is_read_back_as_it_was_given(database: Database, found: Inventory):
    with database.begin() as con:
        point = con.begin_nested()
        assert put(con, NAMES[0], found)
        kept = inventories.get(con, NAMES[0])
        known = inventories.reported_hashes(con, NAMES)[NAMES[0]]
        point.rollback()
    assert kept is not None
    assert (kept.release, set(kept.packages)) == (found.release, set(found.packages))
    assert known == hash_of(found) == hash_of(kept)


def test_machines_with_the_same_packages_share_one_row(database: Database):
    same = Inventory("bookworm", (package("a", "openssl", "1.0"), package("b", "curl", "2.0")))
    turned = Inventory("bookworm", same.packages[::-1])
    with database.begin() as con:
        for device, found in zip(NAMES, (same, turned, same), strict=False):
            put(con, device, found)
        assert con.execute(text("SELECT count(*) FROM inventory")).scalar() == 1
        assert con.execute(text("SELECT count(*) FROM package_version")).scalar() == 2


def test_a_machine_cannot_change_what_another_one_has(database: Database):
    """It claims the other's hash for packages of its own."""
    honest = Inventory("bookworm", (package("a", "openssl", "1.0"),))
    forged = Inventory("bookworm", (package("a", "openssl", "99"),))
    with database.begin() as con:
        put(con, NAMES[0], honest)
        inventories.put(con, NAMES[1], forged, hash_of(honest), 0, START)
        assert inventories.get(con, NAMES[0]) == honest
        standing = inventories.standing_of(con, update().id)
    assert standing == {NAMES[0]: Status.AFFECTED, NAMES[1]: Status.FIXED}


def test_an_older_report_that_comes_late_changes_nothing(database: Database):
    old = Inventory("bookworm", (package("a", "openssl", "1.0"),))
    new = Inventory("bookworm", (package("a", "openssl", "1.0-1"),))
    with database.begin() as con:
        assert put(con, NAMES[0], new, sequence=2)
        assert not put(con, NAMES[0], old, START + MINUTE, sequence=1)
        assert inventories.get(con, NAMES[0]) == new


def test_a_machine_without_inventory_is_not_judged(database: Database):
    with database.begin() as con:
        put(con, NAMES[0], Inventory("bookworm", ()))
        assert inventories.standing_of(con, update().id) == {NAMES[0]: Status.NOT_AFFECTED}
        assert NAMES[1] not in inventories.reported_hashes(con, NAMES)
        assert inventories.get(con, NAMES[1]) is None
