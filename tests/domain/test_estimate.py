"""How many machines nobody sees: Chapman's estimator and its interval."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.device import DeviceId
from forestall.domain.estimate import chapman, estimates
from forestall.domain.sighting import Source


def ids(numbers) -> frozenset[DeviceId]:
    return frozenset(DeviceId(str(number)) for number in numbers)


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        pytest.param((200, 300, 100), 598.0198, id="the formula: 201 x 301 / 101 - 1"),
        pytest.param((10, 10, 10), 10, id="both saw the same ten"),
        pytest.param((5, 0, 0), 5, id="one of them saw nobody"),
        pytest.param((10, 10, 0), 120, id="no overlap at all"),
    ],
)
def test_the_estimate(counts: tuple[int, int, int], wanted: float):
    machines, low, high = chapman(*counts)
    assert machines == pytest.approx(wanted, abs=1e-4)
    assert low <= machines <= high


@given(st.integers(0, 5_000), st.integers(0, 5_000), st.integers(0, 5_000))
def test_never_fewer_than_were_seen(only_first: int, only_second: int, both: int):
    machines, low, high = chapman(only_first + both, only_second + both, both)
    seen = only_first + only_second + both
    assert seen <= low + 1e-6 <= machines + 2e-6 <= high + 3e-6


def test_the_interval_holds_the_truth_about_95_times_in_100():
    draw = random.Random(7)  # noqa: S311 - the same in every run
    truth, held = 2_000, 0
    for _ in range(400):
        first = {n for n in range(truth) if draw.random() < 0.4}
        second = {n for n in range(truth) if draw.random() < 0.3}
        _, low, high = chapman(len(first), len(second), len(first & second))
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98


def test_kindred_sources_estimate_nothing_and_the_largest_comes_first():
    seen_by = {
        Source.NEIGHBOUR: ids(range(60)),
        Source.SWEEP: ids(range(50)),
        Source.LOGIN: ids(range(40, 80)),
        Source.BOOKS: ids(range(30, 50)),
        Source.CHECK_IN: frozenset[DeviceId](),
    }
    found = estimates(seen_by)
    pairs = {frozenset({each.first, each.second}) for each in found}
    assert frozenset({Source.NEIGHBOUR, Source.SWEEP}) not in pairs
    assert not any(Source.CHECK_IN in pair for pair in pairs)
    assert len(pairs) == 5
    assert [each.machines for each in found] == sorted((each.machines for each in found), reverse=True)
    books = next(each for each in found if {each.first, each.second} == {Source.BOOKS, Source.LOGIN})
    assert (books.by_both, books.seen) == (10, 50)
    assert books.unseen == pytest.approx(books.machines - 50)
