"""`forestall simulate`, run as a person runs it."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from forestall.cli.simulate import app
from forestall.domain.errors import InputError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_run_prints_the_numbers_of_p10_and_draws_its_curve(tmp_path: Path):
    picture = tmp_path / "curve.svg"
    done = run("--devices", 30, "--days", 16, "--seed", 2, "--picture", picture, "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told.keys() >= {
        "violations",
        "forced",
        "removed",
        "days_to_99",
        "trace_hash",
        "hours_to_distribute",
    }
    assert told["violations"] == []
    assert told["devices"] == 30
    assert told["standing"]["fixed"] > 20
    drawn = ET.parse(picture).getroot()  # noqa: S314 - drawn just now
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert drawn.find(".//{http://www.w3.org/2000/svg}polyline") is not None


def test_the_same_run_reads_well_for_people_and_repeats_its_trace():
    first, second = (run("--devices", 20, "--days", 6, "--scenario", "imminent").stdout for _ in range(2))
    assert first == second
    assert first.startswith("imminent: 20 machines, 6 days, seed 1\n")
    assert "0 violations; trace " in first


def test_an_unknown_scenario_is_refused_with_the_ones_there_are():
    refused = run("--scenario", "plague")
    assert isinstance(refused.exception, InputError)
    assert "blaster, imminent, service-pack, rings or broken" in str(refused.exception)


@pytest.mark.parametrize("seeds", [6])
def test_a_soak_counts_campaigns_and_violations(seeds: int):
    done = run("soak", "--campaigns", seeds, "--jobs", 2, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (told["campaigns"], told["violations"], told["seeds"]) == (seeds, 0, [])
    assert told["never_happened"] == [], "six campaigns prove nothing about rare things"
