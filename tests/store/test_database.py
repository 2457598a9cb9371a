"""The one door to PostgreSQL: schema forward only, errors as sentences, all or nothing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.errors import StoreError
from forestall.store import devices
from forestall.store.database import SCHEMA, Database
from forestall.store.tables import metadata


def machine(name: str) -> Device:
    return Device(DeviceId(name), name, SiteId("main"), managed=True)


def test_migrations_and_tables_say_the_same(database: Database):
    with database.begin() as con:
        assert compare_metadata(MigrationContext.configure(con), metadata) == []


def test_a_schema_that_is_up_to_date_stays_as_it_is(database: Database):
    with database.begin() as con:
        devices.save(con, [machine("d1")])
    database.migrate()
    with database.begin() as con:
        assert [device.id for device in devices.everything(con)] == ["d1"]


def test_several_processes_may_migrate_at_the_same_time(database_url: str):
    with Database(database_url) as empty, empty.begin() as con:
        con.execute(text("DROP SCHEMA public CASCADE"))
        con.execute(text("CREATE SCHEMA public"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrated(database_url), range(4)))


def migrated(url: str) -> None:
    with Database(url) as database:
        database.migrate()


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(database: Database):
    with database.begin() as con:
        con.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        StoreError, match="schema 9999, which this Forestall does not know: a newer one made it"
    ):
        database.migrate()


def test_no_migration_goes_back():
    for path in (SCHEMA / "versions").glob("*.py"):
        assert "def downgrade" not in path.read_text(), path.name


def test_a_block_that_fails_leaves_nothing(database: Database):
    def half() -> None:
        with database.begin() as con:
            devices.save(con, [machine("d1")])
            con.execute(text("SELECT 1 / 0"))

    with pytest.raises(StoreError, match="nothing of it was stored: division by zero"):
        half()
    with database.begin() as con:
        assert devices.everything(con) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param(
            "not an address", "database.url is not an address. Write postgresql://", id="no address"
        ),
        pytest.param(
            "sqlite:///x", "names sqlite; Forestall needs PostgreSQL", id="another kind of database"
        ),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(url: str, says: str):
    with pytest.raises(StoreError, match=says):
        Database(url)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path):
    with (
        Database(f"postgresql://u:s3cret@/f?host={tmp_path}") as database,
        pytest.raises(StoreError, match=r"does not answer: .*Start it, or correct database\.url") as refused,
        database.begin(),
    ):
        pass
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("a\x00b", "A text holds a NUL character", id="a NUL"),
        pytest.param("a\ud800b", "is no Unicode character", id="half of a surrogate pair"),
    ],
)
def test_a_text_that_postgresql_cannot_keep_is_refused_in_a_sentence(
    database: Database, name: str, says: str
):
    with pytest.raises(StoreError, match=says), database.begin() as con:
        devices.save(con, [machine(name)])


def test_a_refused_statement_is_told_on_one_line(database: Database):
    with (
        pytest.raises(StoreError, match="nothing of it was stored: relation") as refused,
        database.begin() as con,
    ):
        con.execute(text("SELECT * FROM nowhere"))
    assert "\n" not in str(refused.value)


def test_a_connection_that_was_cut_is_replaced(database: Database, database_url: str):
    """The server was restarted while connections lay in the pool."""
    with database.begin() as con:
        con.execute(text("SELECT 1"))
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with Database(database_url) as other, other.begin() as con:
        con.execute(text(others))
    with database.begin() as con:
        assert con.execute(text("SELECT 1")).scalar() == 1
