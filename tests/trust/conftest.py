"""The parts that the tests of trust share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from laboratory.forger import Shelf, served
from laboratory.office import Office

from forestall.agent.client import tls_context
from forestall.trust.verifier import Source, Trust
from trust.papers import NOW, ORDER, approve


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """A company with one approved, ordered update; the order is the second publication."""
    made = Office(tmp_path / "company", NOW)
    made.sign([ORDER], [approve(ORDER)], NOW)
    return made


@pytest.fixture
def shelf(office: Office) -> Iterator[Shelf]:
    with served(Shelf(office.repository.directory)) as shelf:
        yield shelf


@pytest.fixture
def trusting(tmp_path: Path, office: Office) -> Callable[..., Trust]:
    """Make the trust of a machine that was enrolled with the first root."""

    def make(*urls: str) -> Trust:
        sources = tuple(map(Source, urls))
        return Trust(tmp_path / "machine", office.repository.root(1), sources, tls_context())

    return make
