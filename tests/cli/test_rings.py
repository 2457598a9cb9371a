"""`forestall rings`, run as a person runs it."""

import json
import re

from cli.conftest import Shell
from domain.made import DAY
from forestall.server import operators
from server.company import OPENSSL


def test_lists_are_filled_counted_and_shown(forestall: Shell):
    """P4.1: every count opens its list."""
    machines = [forestall.company.machine(name=f"host-{n}") for n in range(3)]
    assert forestall("rings", "add", "team", "host-0", machines[1], "--json").json["changed"] == sorted(
        machines[:2]
    )
    assert forestall("rings", "ls", "--json").json == {
        "team": 2, "volunteers": 0, "early": 0, "broad": 1, "critical-last": 0,
    }  # fmt: skip
    listed = forestall("rings", "show", "team", "--json").json
    assert [(each["name"], each["by"]) for each in listed] == [("host-0", "aiko"), ("host-1", "aiko")]
    forestall("rings", "remove", "host-0")
    assert "host-0" not in forestall("rings", "show", "team").out
    assert "Nobody is in it" in forestall("rings", "show", "critical-last").out


def test_what_is_no_ring_is_refused(forestall: Shell):
    assert (
        "take one of: team, volunteers, early, critical-last"
        in forestall("rings", "show", "broad", code=1).err
    )
    assert "selects no machine" in forestall("rings", "add", "early", "--site", "nowhere", code=1).err


def untimed(text: str) -> str:
    """Leave out how long something has lasted: between two commands a second may pass."""
    return re.sub(r"\b(\d+[dhms])+\b", "", text)


def test_a_test_is_told_with_its_hours_its_rule_and_what_is_proven(forestall: Shell):
    """P4.4: when handed over, tested, distributed, and what is late."""
    company = forestall.company
    first = company.machine(name="first")
    company.campaign(testing=True)
    operators.move_campaign(company.database, "openssl-1", operators.Step.CLOSE, "aiko", company.now)
    forestall("rings", "add", "team", "first")
    name = operators.start_campaign(
        company.installation, OPENSSL, 8 * DAY, "aiko", company.now, testing=False, rings=True
    ).id
    company.turn()
    company.check_in(first, name, "fixed", broke="\x1b[31mthe till")
    said = forestall("rings", "test", name, "--json").json
    assert said["hours"]["haste"] == "late", "handed over in the spring of the test's own clock"
    assert [(row["ring"], row["open"], row["machines"]) for row in said["rings"]][:2] == [
        ("team", True, 1),
        ("volunteers", False, 0),
    ]
    assert said["judgement"]["rule"]["name"] == "ring-suspect"
    assert said["proof"]["en"] == "0 of 1 installs are clean: too few to say anything about the others"
    told = forestall("rings", "test", name).out
    for sentence in ("LATE by", "volunteers: hold (ring-suspect, P4.2)", "too few to say anything"):
        assert sentence in told
    assert forestall("campaign", "show", name, "--json").json["test"]["rings"] == said["rings"]
    assert untimed(told) in untimed(forestall("campaign", "show", name).out)
    (row,) = forestall("rings", "testers", name, "--verdict", "broke", "--json").json
    assert (row["name"], row["rule"], row["broke"]) == ("first", "says-broke", "\x1b[31mthe till")
    assert "\x1b" not in forestall("rings", "testers", name).out
    assert "There is no verdict" in forestall("rings", "testers", name, "--verdict", "fine", code=1).err


def test_a_campaign_is_started_for_the_rings(forestall: Shell):
    company = forestall.company
    company.machine()
    forestall("rate", OPENSSL, "--expansion", "--reason", "a worm")
    said = forestall("campaign", "start", OPENSSL, "--rings").out
    assert "is tested by the ring team" in said
    rules = json.loads(forestall.run("rules", "--json").out)
    assert {"verdicts", "rings"} <= rules.keys()
