"""The parts that the server's tests share."""

import pytest

from forestall.store.database import Database
from server.company import Company


@pytest.fixture
def company(database: Database) -> Company:
    return Company(database)
