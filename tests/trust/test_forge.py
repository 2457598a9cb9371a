"""The forger of `benchmarks/forge.py`, on a small scale: nothing forged is executed, everything is recorded."""

from pathlib import Path
from random import Random

import pytest
from benchmarks.forge import mutate
from laboratory.attacks import TRIES, attack
from laboratory.forger import changed_byte, changed_field, same_meaning


def test_mutants_of_every_signed_file_are_refused_and_recorded(tmp_path: Path) -> None:
    """R1."""
    found = mutate(tmp_path, 60, Random(7))  # noqa: S311 - places in a file
    assert (found["mutants"], found["executed"], found["recorded"]) == (60, 0, 60)
    assert found["files"] == 21


def test_whoever_holds_the_server_and_all_online_keys_runs_nothing_of_his_own(tmp_path: Path) -> None:
    """R2."""
    found = attack(tmp_path, 60)
    assert (found["tries"], found["foreign"], found["over_cap"]) == (24, 0, 0)
    assert len(TRIES) == 24


CHANGES = [
    pytest.param(b'{"sig":"AB"}', b'{"sig":"ab"}', True, id="the case of a signature"),
    pytest.param(b'{"a":1}', b'{ "a":1}', True, id="a blank"),
    pytest.param(b'{"a":1}', b'{"a":2}', False, id="a number"),
    pytest.param(b'{"a":"x"}', b'{"a":"X"}', False, id="the case of a word"),
    pytest.param(b'{"a":1}', b'{"a":1', False, id="no document any more"),
]


@pytest.mark.parametrize(("one", "other", "same"), CHANGES)
def test_what_counts_as_a_mutant(one: bytes, other: bytes, same: bool) -> None:
    assert same_meaning(one, other) is same


def test_mutants_differ_from_their_original() -> None:
    draw = Random(1)  # noqa: S311 - places in a file
    content = b'{"a": [1, {"b": "2026-11-24T08:00:00Z"}], "c": true}'
    assert all(changed_byte(content, draw) != content for _ in range(200))
    assert len({changed_field(content, draw) for _ in range(200)}) > 20
