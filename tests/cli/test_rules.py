"""`forestall rules`, run as a person runs it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from forestall.cli.rules import rules
from forestall.domain.campaign import TRANSITIONS
from forestall.domain.errors import InputError
from forestall.domain.plan import RULES

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(rules)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_rules_are_printed_in_order():
    printed = run().stdout
    places = [printed.index(f"\n{rule.name} ") for rule in RULES]
    assert places == sorted(places)
    for heading in (
        "A machine at the door",
        "tests a patch",
        "The rings",
        "A campaign's phases",
        "The numbers",
    ):
        assert heading in printed


def test_json_has_all_tables():
    answer = json.loads(run("--json").stdout)
    tables = [
        "rules",
        "door",
        "verdicts",
        "rings",
        "agent",
        "restart",
        "kept_services",
        "slot",
        "phases",
        "numbers",
    ]
    assert list(answer) == tables
    assert answer["rules"][-1] == {
        "name": "quarantine",
        "paragraph": "P6.4",
        "when": "otherwise",
        "then": "quarantine",
        "meaning": "warned, checked again, still vulnerable: off the network",
    }
    assert len(answer["phases"]) == len(TRANSITIONS)


def test_the_numbers_are_those_of_a_policy_file(tmp_path: Path):
    path = tmp_path / "policy.toml"
    path.write_text('voluntary_period = "10d"\n')
    answer = json.loads(run("--json", "--policy", path).stdout)
    assert {each["name"]: each["value"] for each in answer["numbers"]}["voluntary_period"] == "10d"


def test_a_policy_file_that_is_impossible_is_refused(tmp_path: Path):
    path = tmp_path / "policy.toml"
    path.write_text('voluntary_period = "15d"\n')
    result = run("--policy", path)
    assert isinstance(result.exception, InputError)
    with pytest.raises(InputError, match="line 1: voluntary_period must lie within 0 and 14 days"):
        raise result.exception
