"""Which certificate of a machine counts."""

from sqlalchemy import select

from domain.made import HOUR, START
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.identity import Count, Known, Void
from forestall.store import devices, identities, tables
from forestall.store.database import Connection, Database
from forestall.store.devices import Contact

ONE, OTHER = DeviceId("one"), DeviceId("other")


def enrolled(con: Connection) -> None:
    devices.save(con, [Device(name, name, SiteId("s"), managed=True) for name in (ONE, OTHER)])
    identities.add(con, {ONE: 7, OTHER: 2**118 + 1})
    devices.heard(con, [Contact(ONE, START, "1", "boot", 5)])


def test_what_is_known_is_read_back(database: Database):
    with database.begin() as con:
        enrolled(con)
        assert identities.known(con, [ONE, OTHER, DeviceId("nobody")]) == {
            ONE: Known(7, Count("boot", 5)),
            OTHER: Known(2**118 + 1, Count("", 0)),
        }
        assert identities.known(con, []) == {}


def test_a_newer_certificate_counts_anew_and_touches_no_other_machine(database: Database):
    with database.begin() as con:
        enrolled(con)
        identities.renewed(con, {ONE: 2**119})
        assert identities.known(con, [ONE])[ONE] == Known(2**119, Count("", 0))
        assert identities.known(con, [OTHER])[OTHER].serial == 2**118 + 1
        identities.renewed(con, {})


def test_the_first_certificate_is_not_replaced_by_what_is_not_known(database: Database):
    with database.begin() as con:
        enrolled(con)
        identities.add(con, {ONE: 0})
        assert identities.known(con, [ONE])[ONE].serial == 7
        identities.add(con, {})


def test_what_is_void_stays_so_and_for_its_first_reason(database: Database):
    with database.begin() as con:
        enrolled(con)
        assert identities.avoid(con, [OTHER, ONE, DeviceId("nobody")], Void.REVOKED, START) == [ONE, OTHER]
        assert identities.avoid(con, [ONE], Void.CLONED, START + HOUR) == []
        assert identities.voided(con) == {ONE: Void.REVOKED, OTHER: Void.REVOKED}
        kept = con.execute(select(tables.device_identity.c.void_at)).scalars().all()
        assert kept == [START, START]
        assert identities.known(con, [ONE])[ONE].void is Void.REVOKED
