"""One company's life, lived once for all tests that only look at it."""

import pytest

from forestall.simulate.company import make_company
from forestall.simulate.run import Run, run
from forestall.simulate.scenario import SCENARIOS, Name


@pytest.fixture(scope="session")
def calm() -> Run:
    """A company without faults: everything is in time."""
    return run(
        SCENARIOS[Name.BLASTER],
        make_company(150, 3, managed_share=0.5),
        16,
        3,
        stormy=False,
        watch=lambda _: None,
    )
