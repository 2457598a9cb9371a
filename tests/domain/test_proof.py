"""What n clean installs prove (P4.2): against exact arithmetic, published values and the rule of three."""

# ruff: noqa: E501 - a table reads best one row a line

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.proof import at_most, one_in, proof


def chance_of_so_few(failures: int, installs: int, share: float) -> float:
    """The binomial distribution, exactly."""
    p = Fraction(share)
    return float(sum(comb(installs, k) * p**k * (1 - p) ** (installs - k) for k in range(failures + 1)))


@given(st.integers(1, 60), st.data())
def test_at_the_bound_so_few_failures_are_as_unlikely_as_promised(installs: int, data: st.DataObject):
    failures = data.draw(st.integers(0, installs - 1))
    assert chance_of_so_few(failures, installs, at_most(failures, installs)) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize(
    ("failures", "installs", "bound"),
    [
        pytest.param(0, 1, 0.95, id="one install proves nothing"),
        pytest.param(0, 10, 0.2589, id="ten clean ones: tables say 25.89 %"),
        pytest.param(1, 20, 0.2161, id="one of twenty: tables say 21.61 %"),
        pytest.param(0, 100, 0.0295, id="a hundred clean ones: tables say 2.95 %"),
        pytest.param(3, 3, 1.0, id="all failed"),
    ],
)  # fmt: skip
def test_the_bound_is_what_tables_say(failures: int, installs: int, bound: float):
    assert at_most(failures, installs) == pytest.approx(bound, abs=5e-5)


@given(st.integers(30, 300_000))
def test_without_failures_it_is_the_rule_of_three(installs: int):
    assert at_most(0, installs) == pytest.approx(3 / installs, rel=0.06)
    assert at_most(0, installs) < 3 / installs


@given(st.integers(1, 300_000), st.data())
def test_more_installs_prove_more_and_more_failures_less(installs: int, data: st.DataObject):
    failures = data.draw(st.integers(0, installs))
    bound = at_most(failures, installs)
    assert failures / installs <= bound <= 1
    assert at_most(failures, installs + 1) <= bound
    assert bound <= at_most(failures + 1, installs + 1)


@pytest.mark.parametrize(("failures", "installs"), [(1, 0), (-1, 3), (4, 3)])
def test_impossible_numbers_are_refused(failures: int, installs: int):
    with pytest.raises(ValueError, match="failures of"):
        at_most(failures, installs)


@pytest.mark.parametrize(
    ("failures", "installs", "english", "japanese"),
    [
        pytest.param(0, 300, "300 clean installs: fewer than 1 in 100 machines breaks, with 95 % confidence", "300 台で問題なく導入：壊れるのは 100 台に 1 台未満（信頼度 95 %）", id="three hundred clean ones"),
        pytest.param(1, 20, "19 of 20 installs are clean: fewer than 1 in 4 machines breaks, with 95 % confidence", "20 台中 19 台で問題なく導入：壊れるのは 4 台に 1 台未満（信頼度 95 %）", id="one of twenty failed"),
        pytest.param(0, 2, "2 clean installs: too few to say anything about the others", "2 台で問題なく導入：他の台について言うには少なすぎます", id="two prove nothing"),
        pytest.param(0, 0, "0 clean installs: too few to say anything about the others", "0 台で問題なく導入：他の台について言うには少なすぎます", id="nobody has tried"),
    ],
)  # fmt: skip
def test_the_sentence(failures: int, installs: int, english: str, japanese: str):
    assert proof(failures, installs) == {"en": english, "ja": japanese}


@given(st.integers(0, 400), st.data())
def test_the_sentence_never_says_more_than_is_proven(installs: int, data: st.DataObject):
    failures = data.draw(st.integers(0, installs))
    bound = one_in(failures, installs)
    assert bound == 0 or at_most(failures, installs) <= 1 / bound
