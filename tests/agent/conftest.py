"""The parts that the agent's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.company import Company
from agent.rig import Rig, make_rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return make_rig(tmp_path)


@pytest.fixture
def company() -> Iterator[Company]:
    with Company() as company:
        yield company
