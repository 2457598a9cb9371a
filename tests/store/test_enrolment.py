"""How machines become managed: tokens are counted, expire and are shown once; only hashes are kept."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from domain.made import HOUR, START
from forestall.domain.device import DeviceId, SiteId
from forestall.store import devices, enrolment
from forestall.store.database import Connection, Database


def token(con: Connection, uses: int = 1) -> str:
    return enrolment.make_token(con, SiteId("tokyo"), uses, START + HOUR, "aiko", START)


def test_a_token_makes_a_managed_machine_at_its_site_with_a_secret(database: Database):
    with database.begin() as con:
        made = enrolment.enrol(con, token(con), "<b>host</b>", START)
        assert made is not None
        device, secret = made
        assert devices.get(con, device.id) == device
        assert (device.managed, device.site, device.name) == (True, "tokyo", "<b>host</b>")
        assert enrolment.authentic(con, device.id, secret)


def test_a_token_enrols_as_many_as_it_says(database: Database):
    with database.begin() as con:
        ours = token(con, uses=2)
        made = [enrolment.enrol(con, ours, f"host{n}", START) for n in range(3)]
    assert [each is not None for each in made] == [True, True, False]
    assert len({device.id for device, _ in filter(None, made)}) == 2


def test_many_at_once_get_no_more_than_it_says(database: Database):
    with database.begin() as con:
        ours = token(con, uses=3)

    def enrol(number: int) -> bool:
        with database.begin() as con:
            return enrolment.enrol(con, ours, f"host{number}", START) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(enrol, range(8))) == 3


@pytest.mark.parametrize("given", ["", "guessed", "ü" * 200])
def test_a_token_that_nobody_made_is_void(database: Database, given: str):
    with database.begin() as con:
        token(con)
        assert enrolment.enrol(con, given, "host", START) is None
        assert devices.everything(con) == []


def test_a_token_is_void_from_its_end_on(database: Database):
    with database.begin() as con:
        ours = token(con, uses=2)
        assert enrolment.enrol(con, ours, "host", START + HOUR) is None
        assert enrolment.enrol(con, ours, "host", START + HOUR - HOUR / 60) is not None


def test_a_token_is_not_spent_by_a_transaction_that_fails(database: Database):
    with database.begin() as con:
        ours = token(con)
        point = con.begin_nested()
        assert enrolment.enrol(con, ours, "host", START) is not None
        point.rollback()
        assert enrolment.enrol(con, ours, "host", START) is not None


def test_a_secret_is_the_machines_own_and_can_be_renewed_and_revoked(database: Database):
    with database.begin() as con:
        ours = token(con, uses=2)
        (one, secret), (other, others) = filter(None, [enrolment.enrol(con, ours, n, START) for n in "ab"])
        assert not enrolment.authentic(con, one.id, others)
        assert not enrolment.authentic(con, DeviceId("nobody"), secret)
        assert not enrolment.authentic(con, one.id, "")
        renewed = enrolment.renew_secret(con, one.id, START)
        assert enrolment.authentic(con, one.id, renewed)
        assert not enrolment.authentic(con, one.id, secret)
        enrolment.revoke(con, one.id)
        assert not enrolment.authentic(con, one.id, renewed)
        assert enrolment.authentic(con, other.id, others)


def test_neither_token_nor_secret_is_in_the_database(database: Database):
    with database.begin() as con:
        ours = token(con)
        made = enrolment.enrol(con, ours, "host", START)
        assert made is not None
        for table in ("enrolment_token", "device_secret", "device", "ledger"):
            kept = str(con.execute(text(f"SELECT * FROM {table}")).all())  # noqa: S608 - names of ours
            assert ours not in kept
            assert made[1] not in kept
