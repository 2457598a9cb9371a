"""A PostgreSQL for the session, and for each test an installation on a database of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from forestall.server.wiring import Installation
from forestall.store.database import Database
from forestall.store.embedded import Embedded
from server.decisions.company import Postgres, installed, people_and_machines


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Embedded(tmp_path_factory.mktemp("decisions") / "database") as embedded:
        made = Postgres(embedded.url)
        made.create("model")
        with Database(made.url_of("model")) as database:
            database.migrate()
            people_and_machines(database)
        yield made


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    name = postgres.fresh()
    postgres.create(name, "model")
    yield name
    postgres.drop(name)


@pytest.fixture
def installation(postgres: Postgres, name: str, tmp_path: Path) -> Iterator[Installation]:
    with Database(postgres.url_of(name)) as database:
        yield installed(database, tmp_path)
