"""What the ledger says of a campaign is enough to tell the campaign again (A12, R17)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from domain.made import ENFORCING, START, TESTING, campaigns
from forestall.domain.campaign import Campaign, Kind, Phase, forced_early, halted, resumed
from forestall.domain.order import CampaignId
from forestall.domain.story import retold, told


@given(campaigns())
def test_a_whole_campaign_is_told_and_told_again(campaign: Campaign):
    assert retold(json.loads(json.dumps(told(campaign)))) == campaign


@given(campaigns(), campaigns())
def test_a_change_is_told_by_value_so_that_twice_is_once(before: Campaign, after: Campaign):
    body = json.loads(json.dumps(told(after, before)))
    assert retold(body, before) == after
    assert retold(body, after) == after


def test_what_has_not_changed_is_not_told():
    assert told(ENFORCING, ENFORCING) == {}
    assert told(halted(ENFORCING, "why", START), ENFORCING) == {
        "halted_at": START.isoformat(),
        "halted_because": "why",
    }


def test_nothing_is_lost_of_a_pack_that_contains_it():
    """P7.2."""
    packed = replace(TESTING, kind=Kind.SERVICE_PACK, rolled_up_by=CampaignId("pack-1"))
    assert retold(told(packed)) == packed


def test_a_part_is_no_whole():
    with pytest.raises(TypeError):
        retold(told(ENFORCING, TESTING))


def test_halted_twice_it_stands_since_the_first_time_and_a_resume_ends_both():
    """A7."""
    later = START + timedelta(hours=1)
    twice = halted(halted(ENFORCING, "first", START), "second", later)
    assert (twice.halted_at, twice.halted_because) == (START, "second")
    on = resumed(twice, later)
    assert (on.halted_at, on.halted_because, on.resumed_at) == (None, "", later)


def test_only_a_voluntary_period_that_runs_is_cut_short():
    """A9."""
    assert forced_early(TESTING, START) is None
    assert forced_early(ENFORCING, START) is None
    running = replace(ENFORCING, phase=Phase.VOLUNTARY)
    assert running.deadline_at is not None
    assert forced_early(running, running.deadline_at) is None
    early = forced_early(running, START)
    assert early is not None
    assert (early.phase, early.deadline_at, early.imminent_at) == (Phase.ENFORCING, START, None)
