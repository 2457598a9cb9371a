"""Who speaks: a table of what a server may see, and what always holds."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import DAY, HOUR, MINUTE, START
from forestall.domain.device import DeviceId
from forestall.domain.identity import (
    CERTIFICATE_LIFE,
    Certificate,
    Count,
    Known,
    Recognition,
    Void,
    due,
    judge,
    new_serial,
)

OLD, NOW_USED, NEW = (new_serial(0, 9, START + days * DAY) for days in (-9, 0, 9))
KNOWN = Known(NOW_USED, Count("a", 5))


def shown(serial: int = NOW_USED, ends: timedelta = CERTIFICATE_LIFE) -> Certificate:
    return Certificate(DeviceId("m"), serial, START, START + ends)


SEEN = [
    pytest.param(shown(), KNOWN, Count("a", 6), HOUR, Recognition.KNOWN, id="the next word"),
    pytest.param(shown(), KNOWN, None, HOUR, Recognition.KNOWN, id="a word without a count"),
    pytest.param(shown(), KNOWN, Count("b", 6), HOUR, Recognition.KNOWN, id="the next word after a start"),
    pytest.param(shown(), KNOWN, Count("a", 4), HOUR, Recognition.KNOWN, id="a late word of the same start"),
    pytest.param(shown(), None, Count("a", 6), HOUR, Recognition.STRANGER, id="nobody we know"),
    pytest.param(shown(), KNOWN, Count("a", 5), HOUR, Recognition.CLONED, id="a number used twice"),
    pytest.param(shown(), KNOWN, Count("b", 4), HOUR, Recognition.CLONED, id="a start that went back"),
    pytest.param(shown(NEW), KNOWN, Count("b", 1), HOUR, Recognition.RENEWED, id="a newer certificate counts anew"),
    pytest.param(shown(OLD), KNOWN, Count("a", 6), HOUR, Recognition.CLONED, id="an older certificate speaks on"),
    pytest.param(shown(OLD), KNOWN, Count("a", 6), MINUTE, Recognition.SUPERSEDED, id="a word from before the change"),
    pytest.param(shown(), KNOWN, Count("a", 6), 14 * DAY, Recognition.EXPIRED, id="at its end"),
    pytest.param(shown(), KNOWN, Count("a", 6), 104 * DAY - MINUTE, Recognition.EXPIRED, id="89 days late"),
    pytest.param(shown(), KNOWN, Count("a", 6), 104 * DAY, Recognition.TOO_LATE, id="90 days late"),
    pytest.param(shown(OLD), KNOWN, None, 14 * DAY, Recognition.CLONED, id="an older one that has ended too"),
    pytest.param(
        shown(), Known(NOW_USED, Count("a", 5), Void.REVOKED), Count("a", 6), HOUR, Recognition.REVOKED, id="revoked"
    ),
    pytest.param(
        shown(NEW), Known(NOW_USED, Count("a", 5), Void.CLONED), Count("a", 1), HOUR, Recognition.CLONED,
        id="no newer certificate heals a clone",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("certificate", "known", "count", "later", "verdict"), SEEN)
def test_who_is_heard(
    certificate: Certificate, known: Known | None, count: Count | None, later: timedelta, verdict: Recognition
):
    """R22."""
    assert judge(certificate, known, count, START + later) is verdict


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(-40 * 365, 70 * 365))
def test_the_newest_certificate_has_the_largest_number_whatever_the_clock_says(
    first: int, second: int, days: int
):
    """A clock that was put back makes no machine look like its own clone."""
    before = new_serial(0, first, START)
    after = new_serial(before, second, START + days * DAY)
    assert before < after < 2**159, "X.509 has room for so much"


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=20))
def test_two_that_count_on_from_one_number_are_found_out_at_the_second_ones_first_word(order: list[str]):
    known, counts, verdicts = KNOWN, {"a": 5, "b": 5}, []
    for boot in order:
        counts[boot] += 1
        verdicts.append(judge(shown(), known, Count(boot, counts[boot]), START + HOUR))
        known = Known(known.serial, Count(boot, max(known.last.sequence, counts[boot])))
    met = next((n for n, boot in enumerate(order) if boot != order[0]), len(order))
    assert Recognition.CLONED not in verdicts[:met]
    assert verdicts[met : met + 1] in ([], [Recognition.CLONED])


def test_a_certificate_is_renewed_from_two_thirds_of_its_life_on():
    edge = START + CERTIFICATE_LIFE * 2 / 3
    assert not due(shown(), edge - MINUTE)
    assert due(shown(), edge)
