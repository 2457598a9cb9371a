"""The parts that the mail's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from forestall.store.database import Database
from forestall.store.embedded import Embedded
from notify.company import Company, copied, make_company
from notify.mail_server import MailHost


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A running PostgreSQL whose own database has the schema; every test gets a copy of it."""
    with Embedded(tmp_path_factory.mktemp("mail") / "database") as embedded:
        with Database(embedded.url) as database:
            database.migrate()
        yield embedded


@pytest.fixture
def url(template: Embedded) -> Iterator[str]:
    with copied(template.url) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database(url) as database:
        yield database


@pytest.fixture
def mail_host() -> Iterator[MailHost]:
    with MailHost() as host:
        yield host


@pytest.fixture
def company(url: str, database: Database, mail_host: MailHost, tmp_path: Path) -> Company:
    return make_company(url, database, mail_host, tmp_path)
