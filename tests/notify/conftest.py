"""The parts that the mail's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from forestall.store.database import Database
from notify.company import Company, make_company
from notify.mail_server import MailHost


@pytest.fixture
def mail_host() -> Iterator[MailHost]:
    with MailHost() as host:
        yield host


@pytest.fixture
def company(database_url: str, database: Database, mail_host: MailHost, tmp_path: Path) -> Company:
    return make_company(database_url, database, mail_host, tmp_path)
