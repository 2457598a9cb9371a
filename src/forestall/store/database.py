"""One door to PostgreSQL: transactions, migrations, and errors as sentences."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from forestall.domain.errors import StoreError

__all__ = ["Connection", "Database"]

OLDEST_SERVER = 15
SCHEMA = Path(__file__).parent / "schema"
_MIGRATION_LOCK = 0x464F5245  # any fixed number; "FORE"
_SESSION = "-c timezone=UTC -c lock_timeout=30s -c idle_in_transaction_session_timeout=10min"
"""A client that hangs in a transaction must not stop the others for good."""
_HOW: Mapping[str, Any] = {"options": _SESSION, "connect_timeout": 10, "application_name": "forestall"}


class Database:
    """A PostgreSQL with our tables, shared by the threads of this process."""

    def __init__(self, url: str) -> None:
        try:
            address = make_url(url)
        except ArgumentError:
            raise StoreError(
                "database.url is not an address. Write postgresql://user@host/database, or leave it out for the "
                "embedded database."
            ) from None
        if address.get_backend_name() != "postgresql":
            raise StoreError(f"database.url names {address.get_backend_name()}; Forestall needs PostgreSQL.")
        self._address = address.set(drivername="postgresql+psycopg")
        self._engine = create_engine(
            self._address,
            pool_size=5,
            max_overflow=10,
            pool_pre_ping=True,
            connect_args={**_HOW},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction: committed at the end of the block, rolled back by any exception.

        Raises:
            StoreError: The database cannot be reached, or refused a statement.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, psycopg.Error) as error:
            raise StoreError(self._sentence(error)) from error
        except UnicodeEncodeError as error:
            raise StoreError(
                "A text holds a character that is no Unicode character; it is refused."
            ) from error

    @contextmanager
    def apart(self) -> Iterator[psycopg.Connection]:
        """Open a connection of its own, without transactions, for whoever waits on the server.

        Raises:
            StoreError: The database cannot be reached, or refused a statement.
        """
        # In parts, as the engine connects: an address in one piece means something else to libpq where it has a space.
        _, parts = self._engine.dialect.create_connect_args(self._address)
        try:
            with psycopg.connect(**parts, **_HOW, autocommit=True) as connection:
                yield connection
        except psycopg.Error as error:
            raise StoreError(self._sentence(error)) from error

    def migrate(self) -> None:
        """Bring the schema to the newest version; several processes may do so at the same time.

        Raises:
            StoreError: The server is too old, or the schema is newer than this program.
        """
        # Half of a start's import time; most commands never migrate.
        from alembic.command import upgrade
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(SCHEMA).replace("%", "%%"))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        with self.begin() as connection:
            _check_server(connection)
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            current = MigrationContext.configure(connection).get_current_revision()
            if current is not None and current not in known:
                raise StoreError(
                    f"The database has schema {current}, which this Forestall does not know: a newer one made "
                    "it. Start that version, or restore a backup made before it."
                )
            config.attributes["connection"] = connection
            upgrade(config, "head")

    def _sentence(self, error: SQLAlchemyError | psycopg.Error) -> str:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        said = " ".join(str(cause).split())[:500]
        where = self._address.render_as_string(hide_password=True)
        if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
            return f"The database at {where} does not answer: {said} Start it, or correct database.url."
        if isinstance(cause, psycopg.DataError) and "NUL" in said:
            return "A text holds a NUL character, which PostgreSQL cannot store; it is refused."
        return f"The database at {where} refused a statement; nothing of it was stored: {said}"


def _check_server(connection: Connection) -> None:
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if version // 10_000 < OLDEST_SERVER:
        raise StoreError(
            f"The server is PostgreSQL {version // 10_000}; Forestall needs {OLDEST_SERVER} or newer. "
            "Upgrade it, or leave database.url out for the embedded database."
        )
