"""The agent's ear: who rings, how soon it answers, what a stream that fails costs."""

import threading

import pytest

from agent.company import Company
from agent.rig import Rig
from forestall import protocol
from forestall.agent.wake import SPREAD_SECONDS, Doorbell, answer_at

RINGS = [
    pytest.param(100.0, None, 0.0, 100.0, id="the first ring is answered at once"),
    pytest.param(100.0, None, 1.0, 100.0 + SPREAD_SECONDS, id="all who were woken come within the spread"),
    pytest.param(100.0, 90.0, 0.0, 150.0, id="who rings and rings is answered once a minute"),
    pytest.param(100.0, 10.0, 0.5, 100.0 + SPREAD_SECONDS / 2, id="an answer of long ago does not matter"),
]


@pytest.mark.parametrize(("rung_at", "answered_at", "spread", "expected"), RINGS)
def test_a_ring_is_answered_soon_and_not_too_often(
    rung_at: float, answered_at: float | None, spread: float, expected: float
) -> None:
    assert answer_at(rung_at, answered_at, spread) == expected


def bell(rig: Rig, asleep: threading.Event) -> Doorbell:
    """One that tells when it has nothing to do but to wait: then it draws how long."""

    def spread() -> float:
        asleep.set()
        return 0.0

    return Doorbell(rig.directory, spread)


def test_a_ring_from_the_server_is_heard_once(rig: Rig, company: Company) -> None:
    company.enrol(rig.directory)
    company.rings = b":\n\n" + protocol.LOOK_NOW
    ended = threading.Event()
    with bell(rig, ended) as listening:
        assert ended.wait(60)
        assert listening.due(0.5)
        assert not listening.due(0.5)


HOSTILE = [
    pytest.param(b"data: install\n\n", id="another word"),
    pytest.param(b"data: check-in" * 1_000, id="a line without an end"),
    pytest.param(b":" * 2_000_000, id="more than a stream may say"),
    pytest.param(b"\xff\x00", id="no text"),
    pytest.param(b"", id="nothing"),
]


@pytest.mark.parametrize("said", HOSTILE)
def test_nothing_else_rings(rig: Rig, company: Company, said: bytes) -> None:
    company.enrol(rig.directory)
    company.rings = said
    ended = threading.Event()
    with bell(rig, ended) as listening:
        assert ended.wait(60)
        assert not listening.due(1.0)


def test_without_a_stream_it_waits_and_ends_when_it_is_told_to(rig: Rig, company: Company) -> None:
    """A server of before streams answers 404; one that is not enrolled has nobody to ask."""
    ended = threading.Event()
    with bell(rig, ended):
        assert ended.wait(60)
    company.enrol(rig.directory)
    ended.clear()
    with bell(rig, ended) as listening:
        assert ended.wait(60)
        assert not listening.due(1.0)
