"""Papers are parsed once, with every limit: what is outside is a sentence, never a crash further in."""

import json

import pytest

from forestall.trust.documents import OrderDocument, odd_names, read, write
from trust.papers import ORDER, order

TREE = json.loads(write(ORDER))

WRONG = [
    pytest.param({"more": 1}, id="a field that nobody knows"),
    pytest.param({"revision": -1}, id="a revision below nothing"),
    pytest.param({"revision": 1.5}, id="half a revision"),
    pytest.param({"rings": []}, id="no waves"),
    pytest.param({"rings": [{"share": 1.0, "after_seconds": 2**53}]}, id="a wave in another age"),
    pytest.param({"rings": [{"share": 1.5, "after_seconds": 0}]}, id="more than everybody"),
    pytest.param({"rings": [{"share": 0, "after_seconds": 0}]}, id="a wave of nobody"),
    pytest.param({"rings": [{"share": 1.0, "after_seconds": 0}] * 33}, id="waves without end"),
    pytest.param({"deadline_at": "9999-12-31T23:59:59Z"}, id="a deadline at the end of time"),
    pytest.param({"offered_at": "0001-01-01T00:00:00Z"}, id="an offer at its beginning"),
    pytest.param({"expires_at": "2026-11-24T08:00:00"}, id="an end without a time zone"),
    pytest.param({"restart": "now"}, id="a restart that nobody knows"),
    pytest.param({"texts": {"en": "x" * 2_001}}, id="a text without end"),
    pytest.param({"texts": {str(n): "" for n in range(9)}}, id="languages without end"),
    pytest.param({"campaign": "c" * 257}, id="a name without end"),
]


@pytest.mark.parametrize("changed", WRONG)
def test_a_paper_outside_the_limits_is_none(changed: dict[str, object]) -> None:
    assert isinstance(read(json.dumps({**TREE, **changed}).encode(), OrderDocument), str)


BYTES = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"\xff\xfe", id="no text"),
    pytest.param(b"[" * 60_000, id="nesting without end"),
    pytest.param(b" " * 70_000, id="too long"),
    pytest.param(b"NaN", id="no number"),
]


@pytest.mark.parametrize("content", BYTES)
def test_bytes_that_are_no_paper_are_none(content: bytes) -> None:
    assert isinstance(read(content, OrderDocument), str)


NAMES = [
    pytest.param({"source": "a"}, id="a package of one letter"),
    pytest.param({"source": "../x"}, id="a package that is a path"),
    pytest.param({"source": "Open"}, id="a package in capitals"),
    pytest.param({"release": "../x"}, id="a release that is a path"),
    pytest.param({"version": "1/2"}, id="a version that is a path"),
    pytest.param({"version": " 1.0"}, id="a version with a blank"),
    pytest.param({"version": "1.0\n"}, id="a version with a line feed"),
    pytest.param({"campaign": ".x"}, id="a campaign that hides"),
    pytest.param({"product": "Debian"}, id="another product"),
]


@pytest.mark.parametrize("changed", NAMES)
def test_names_become_paths_and_arguments_so_odd_ones_are_told(changed: dict[str, object]) -> None:
    """R34."""
    assert odd_names(order(**changed))
    assert not odd_names(ORDER)
