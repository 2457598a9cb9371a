"""How machines become managed: tokens are counted, end, and are shown once; only hashes are kept."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from domain.made import HOUR, START
from forestall.domain.device import SiteId
from forestall.store import devices, enrolment
from forestall.store.database import Connection, Database


def token(con: Connection, uses: int = 1) -> str:
    return enrolment.make_token(con, SiteId("tokyo"), uses, START + HOUR, "aiko", START)


def test_a_token_makes_a_managed_machine_at_its_site(database: Database):
    with database.begin() as con:
        device = enrolment.enrol(con, token(con), "<b>host</b>", START)
        assert device is not None
        assert devices.get(con, device.id) == device
        assert (device.managed, device.site, device.name) == (True, "tokyo", "<b>host</b>")


def test_a_token_enrols_as_many_as_it_says(database: Database):
    with database.begin() as con:
        ours = token(con, uses=2)
        made = [enrolment.enrol(con, ours, f"host{n}", START) for n in range(3)]
    assert [each is not None for each in made] == [True, True, False]
    assert len({device.id for device in filter(None, made)}) == 2


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


def test_the_token_is_not_in_the_database(database: Database):
    with database.begin() as con:
        ours = token(con)
        assert enrolment.enrol(con, ours, "host", START) is not None
        for table in ("enrolment_token", "device", "device_identity", "ledger"):
            assert ours not in str(con.execute(text(f"SELECT * FROM {table}")).all())  # noqa: S608 - names of ours
