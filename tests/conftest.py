"""What the tests of several layers share: one real PostgreSQL a worker, and in it a migrated database a test."""

import os
from collections.abc import Iterator
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from forestall.store.database import Database
from forestall.store.embedded import Embedded

# A busy machine is no fault: no property is timed.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

OTHER_SERVER = "FORESTALL_TEST_DATABASE"
"""Names a database of another PostgreSQL (15 or newer) to test on; its role must be allowed to make databases."""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a migrated database that nobody is connected to, so that it can be copied."""
    with Embedded(tmp_path_factory.mktemp("postgres")) as embedded:
        url = os.environ.get(OTHER_SERVER, embedded.url)
        with Database(url) as database:
            database.migrate()
        yield url


_NUMBERS = count(1)


@pytest.fixture
def database_url(template: str) -> Iterator[str]:
    """The address of an empty database of today's schema."""
    server, slash, _ = template.partition("?")[0].rpartition("/")
    ours = template.partition("?")[0].rpartition("/")[2]
    options = template[len(server) + len(slash) + len(ours) :]
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    administrator = f"{server}/postgres{options}".replace("+psycopg", "")
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {ours} STRATEGY FILE_COPY")
        yield f"{server}/{name}{options}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url) as database:
        yield database
