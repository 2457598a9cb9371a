"""Durations as people write them."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.duration import format_duration, parse_duration
from forestall.domain.errors import InputError


@given(st.integers(0, 99_999 * 86_400))
def test_what_is_written_reads_the_same(seconds: int):
    period = timedelta(seconds=seconds)
    assert parse_duration(format_duration(period)) == period


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("15m", timedelta(minutes=15)),
        ("72h", timedelta(hours=72)),
        ("14d", timedelta(days=14)),
        ("8d4h", timedelta(days=8, hours=4)),
        ("8d 4h", timedelta(days=8, hours=4)),
        (" 1d2h3m4s ", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("90m", timedelta(minutes=90)),
        ("0s", timedelta()),
    ],
)
def test_a_duration_reads(text: str, period: timedelta):
    assert parse_duration(text) == period


@pytest.mark.parametrize(
    ("period", "text"),
    [
        (timedelta(hours=72), "3d"),
        (timedelta(), "0s"),
        (timedelta(seconds=1.6), "2s"),
        (-timedelta(minutes=90), "-1h30m"),
    ],
)
def test_a_duration_is_written(period: timedelta, text: str):
    assert format_duration(period) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "5", "m", "1.5h", "-3d", "4h8d", "3d3d", "1 5m", "15 m", "15M", "٣d", "３d", "1w", "999999d", "3d\n4h"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_and_says_what_one_looks_like(text: str):
    with pytest.raises(InputError, match="is not a duration; write 15m, 72h, 14d or 8d4h"):
        parse_duration(text)


@given(st.text(max_size=60))
def test_any_text_is_a_duration_or_an_input_error(text: str):
    with suppress(InputError):
        assert parse_duration(text) >= timedelta()
