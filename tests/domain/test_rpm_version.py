"""rpm's order, proven against rpm.

The chain in `tests/data/rpm-order.txt.gz` was made with rpm 4.18 as the one of dpkg was (`test_version.py`): upstream
versions of twenty years with releases as Red Hat and Fedora write them, the same with random edits, and random ones.
`./lab installers` asks rpm itself.
"""

import gzip
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.version import Order, compare_keys, rpm_key

CHAIN = (
    gzip.decompress((Path(__file__).parents[1] / "data/rpm-order.txt.gz").read_bytes()).decode().splitlines()
)
NAMES = [CHAIN[0], *(line[2:] for line in CHAIN[1:])]

parts = st.from_regex(r"[a-zA-Z0-9.+~^_]{1,8}", fullmatch=True)
versions = st.builds(
    lambda epoch, version, release: f"{epoch}:{version}-{release}", st.integers(0, 3), parts, parts
)


def compare(first: str, second: str) -> Order:
    return compare_keys(rpm_key(first), rpm_key(second))


def test_thirty_million_pairs_stand_as_rpm_puts_them():
    keys = [rpm_key(name) for name in NAMES]
    wrong = [
        (before, line)
        for before, line, (first, second) in zip(NAMES, CHAIN[1:], pairwise(keys), strict=False)
        if compare_keys(first, second) is not {"<": Order.LESS, "=": Order.EQUAL}[line[0]]
    ]
    assert not wrong
    assert len(NAMES) * (len(NAMES) - 1) // 2 > 30_000_000


@pytest.mark.parametrize(
    ("low", "high"),
    [
        pytest.param("1.0-1", "1.0-1.el9", id="a longer release is newer"),
        pytest.param("1.0~rc1-1", "1.0-1", id="a tilde is before the release"),
        pytest.param("1.0-1", "1.0^20240101-1", id="a caret is after it"),
        pytest.param("1.0^20240101-1", "1.0.1-1", id="and before the next version"),
        pytest.param("2.0-1", "1:1.0-1", id="an epoch goes before everything"),
        pytest.param("1.a-1", "1.0-1", id="a number is newer than a word"),
        pytest.param("9-1", "10-1", id="numbers are numbers"),
        pytest.param("1.0", "1.0-0", id="no release is before every release"),
    ],
)
def test_what_rpm_is_known_for(low: str, high: str):
    assert (compare(low, high), compare(high, low)) == (Order.LESS, Order.GREATER)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("1.0-1", "0:1.0-1", id="no epoch is epoch 0"),
        pytest.param("1.0-1", "1_0-1", id="what parts numbers does not matter"),
        pytest.param("1.0-1", "1.00-1", id="leading zeros do not count"),
        pytest.param("1.0-1", "1.0.-1", id="a dot at the end is nothing"),
    ],
)
def test_what_rpm_calls_the_same(first: str, second: str):
    assert compare(first, second) is Order.EQUAL


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing at all"),
        pytest.param("1.0-", id="a dash without a release"),
        pytest.param("-1", id="no version"),
        pytest.param("a:1.0-1", id="an epoch that is no number"),
        pytest.param("4294967296:1-1", id="an epoch rpm cannot hold"),
        pytest.param("1-0-1", id="a dash in the version"),
        pytest.param("1.0-1\n", id="a line feed at the end"),
        pytest.param("1.0-é", id="a letter outside ASCII"),
        pytest.param("1" * 256, id="256 characters"),
    ],
)
def test_unreadable_is_unknown_never_fixed(text: str):
    """A2."""
    assert compare(text, "1.0-1") is Order.UNKNOWN


@given(versions, versions, versions)
def test_order_is_total(first: str, second: str, third: str):
    opposite = {Order.LESS: Order.GREATER, Order.GREATER: Order.LESS, Order.EQUAL: Order.EQUAL}
    assert compare(second, first) is opposite[compare(first, second)]
    low, middle, high = sorted((first, second, third), key=lambda text: rpm_key(text) or b"")
    assert Order.GREATER not in {compare(low, middle), compare(middle, high), compare(low, high)}


@given(st.text(max_size=300))
def test_any_text_has_a_key_or_none(text: str):
    key = rpm_key(text)
    assert key is None or isinstance(key, bytes)
