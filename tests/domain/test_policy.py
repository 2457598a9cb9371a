"""The numbers (P3.1, P3.3, A1, A8, A11): the defaults are those of the process, and impossible ones are named."""

# ruff: noqa: E501 - a table reads best one row a line

import re
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from domain.made import DAY, HOUR, MINUTE, POLICY
from forestall.domain.policy import Policy, faults


def test_the_defaults_are_possible():
    assert faults(Policy()) == {}


def test_every_number_says_where_it_comes_from_and_what_it_means():
    for each in fields(Policy):
        assert re.fullmatch(r"[PA]\d+(\.\d+)?", each.metadata["paragraph"])
        assert each.metadata["meaning"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("voluntary_period", 14 * DAY, id="P3.1: usually 14 days"),
        pytest.param("voluntary_period_likely", 8 * DAY, id="P3.1: for Blaster it was 8 days"),
        pytest.param("service_pack_period", 21 * DAY, id="P3.3: a service pack has 21 days"),
        pytest.param("goal", 0.99, id="P3.2: 99 % installed voluntarily"),
        pytest.param(
            "distribute_within", 72 * HOUR, id="P4.4: from hand-over to distribution 72 hours at most"
        ),
        pytest.param("check_every", 4 * HOUR, id="P5.3: agents look every 4 hours"),
        pytest.param("removal_after_warning", 15 * MINUTE, id="P6.4: within 15 minutes"),
        pytest.param("exemption_at_most", 30 * DAY, id="A1: 30 days at most"),
        pytest.param("silent_after", 3 * DAY, id="A4: silent for 3 days"),
        pytest.param("failing_times", 3, id="A4: failed 3 times"),
        pytest.param("failing_for", 24 * HOUR, id="A4: over 24 hours"),
        pytest.param("return_countdown", 30 * MINUTE, id="A5: 30 minutes"),
        pytest.param("order_valid_for", 24 * HOUR, id="A11: an order lives a day"),
        pytest.param("source_fresh_for", 3 * DAY, id="A15: an older source asks for a person"),
        pytest.param("second_person", True, id="A9: two people"),
    ],
)
def test_the_process_says(name: str, value: object):
    assert getattr(Policy(), name) == value


def test_three_failures_fit_into_the_day_that_makes_a_case():
    """A4: or no agent would ever fail often enough in time."""
    assert POLICY.retry_after * POLICY.failing_times <= POLICY.failing_for


def test_several_sweeps_fit_into_the_life_of_what_they_see():
    """P6.2, A2: or machines would turn unknown between two sweeps."""
    assert POLICY.sweep_every * 2 < POLICY.probe_evidence_for
    assert POLICY.check_every * 2 < POLICY.agent_evidence_for


ZERO = timedelta()


@pytest.mark.parametrize(
    ("changes", "named", "why"),
    [
        pytest.param({"voluntary_period": 15 * DAY}, "voluntary_period", "0 and 14 days", id="P3.1: more than 14 days"),
        pytest.param({"voluntary_period": -DAY, "voluntary_period_likely": -DAY}, "voluntary_period", "0 and 14 days", id="P3.1: less than none"),
        pytest.param({"voluntary_period_likely": 14 * DAY + MINUTE}, "voluntary_period_likely", "", id="P3.1: the shorter one too long"),
        pytest.param({"voluntary_period": 5 * DAY}, "voluntary_period_likely", "more danger never gives more time", id="P3.1: more danger, more time"),
        pytest.param({"service_pack_period": 22 * DAY}, "service_pack_period", "0 and 21 days", id="P3.3: more than 21 days"),
        pytest.param({"exemption_at_most": 31 * DAY}, "exemption_at_most", "30 days", id="A1: more than 30 days"),
        pytest.param({"belief_at_most": 31 * DAY}, "belief_at_most", "30 days", id="A18: a side believed for longer than a month"),
        pytest.param({"order_valid_for": 25 * HOUR}, "order_valid_for", "24 hours", id="A11: more than a day"),
        pytest.param({"recheck_after": 13 * MINUTE}, "recheck_after", "3 minutes before", id="P6.4: no room for the check"),
        pytest.param({"removal_evidence_for": MINUTE}, "removal_evidence_for", "at least 3 minutes", id="A2: proof that is stale before the next pass"),
        pytest.param({"goal": 0.0}, "goal", "share", id="P3.2: no goal"),
        pytest.param({"goal": 99.0}, "goal", "share", id="P3.2: a percentage for a share"),
        pytest.param({"goal": float("nan")}, "goal", "share", id="no number at all"),
        pytest.param({"removals_site_share": 0.0}, "removals_site_share", "share", id="A8: no removals"),
        pytest.param({"selection_drift": 1.5}, "selection_drift", "share", id="A8: more than everybody"),
        pytest.param({"removals_a_minute": 0}, "removals_a_minute", "at least 1", id="A8: none a minute"),
        pytest.param({"canary_machines": -1}, "canary_machines", "at least 1", id="A8: fewer canaries than none"),
        pytest.param({"failing_times": 0}, "failing_times", "at least 1", id="A4: every agent fails"),
        pytest.param({"halt_at_least": 0}, "halt_at_least", "at least 1", id="A7: halted by nothing"),
        pytest.param({"silent_after": ZERO}, "silent_after", "longer than nothing", id="A4: every agent is silent"),
        pytest.param({"sweep_every": ZERO}, "sweep_every", "longer than nothing", id="P6.2: probed in every pass"),
        pytest.param({"check_every": -HOUR}, "check_every", "longer than nothing", id="P5.3: agents look before they looked"),
        pytest.param({"waves": ()}, "waves", "rise", id="A8: no waves"),
        pytest.param({"waves": (0.1, 0.01, 0.5, 1.0)}, "waves", "rise", id="A8: waves that fall"),
        pytest.param({"waves": (0.1, 0.1, 0.5, 1.0)}, "waves", "rise", id="A8: a wave of nobody"),
        pytest.param({"waves": (0.0, 0.1, 0.5, 1.0)}, "waves", "rise", id="A8: a first wave of nobody"),
        pytest.param({"waves": (0.001, 0.01, 0.1, 0.9)}, "waves", "to 1.0", id="A8: waves that leave some out"),
        pytest.param({"waves": (float("nan"), 0.01, 0.1, 1.0)}, "waves", "rise", id="A8: a wave that is no number"),
        pytest.param({"bakes": (HOUR,)}, "bakes", "one fewer", id="A8: too few bakes"),
        pytest.param({"bakes": (HOUR, ZERO, HOUR)}, "bakes", "never none", id="A8: a bake skipped"),
        pytest.param({"imminent_bakes": (ZERO, MINUTE, MINUTE)}, "imminent_bakes", "never none", id="A8: a bake skipped in an imminent threat"),
        pytest.param({"imminent_bakes": (DAY, MINUTE, MINUTE)}, "imminent_bakes", "never lengthens", id="P8.1: an imminent threat that takes longer"),
        pytest.param({"imminent_bakes": ()}, "imminent_bakes", "one fewer", id="A8: no bakes in an imminent threat"),
    ],
)  # fmt: skip
def test_an_impossible_number_is_named(changes: dict[str, Any], named: str, why: str):
    found = faults(replace(POLICY, **changes))
    assert why in found[named]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"voluntary_period": ZERO, "voluntary_period_likely": ZERO}, id="P3.1: no voluntary period"
        ),
        pytest.param({"return_countdown": ZERO}, id="A5: no countdown"),
        pytest.param({"recheck_after": 12 * MINUTE}, id="P6.4: just enough room for the check"),
        pytest.param({"waves": (1.0,), "bakes": (), "imminent_bakes": ()}, id="A8: one wave"),
    ],
)
def test_a_harsh_policy_is_still_a_policy(changes: dict[str, Any]):
    assert faults(replace(POLICY, **changes)) == {}
