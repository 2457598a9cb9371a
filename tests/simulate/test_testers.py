"""A made-up company tests a patch by rings: a good one goes on by itself, a bad one stays with testers."""

import pytest

from forestall.domain.campaign import Phase
from forestall.domain.events import EventKind
from forestall.domain.evidence import Status
from forestall.domain.policy import Policy
from forestall.domain.ring import RINGS, TESTERS, Ring
from forestall.domain.testing import Haste, hours_of
from forestall.simulate.company import make_company
from forestall.simulate.invariants import violations
from forestall.simulate.people import PATCH
from forestall.simulate.run import Run, run
from forestall.simulate.scenario import SCENARIOS, Name, squeezed

DAYS = 6
SEEDS = range(1, 6)


def lived(name: Name, seed: int, *, stormy: bool) -> Run:
    return run(squeezed(SCENARIOS[name], DAYS), make_company(120, seed), DAYS, seed, stormy=stormy)


@pytest.mark.parametrize("stormy", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_good_patch_advances_by_itself_within_the_hours(seed: int, stormy: bool):
    """P4.4: 72 hours at most, 24 to 48 are the goal; nobody presses anything."""
    found = lived(Name.RINGS, seed, stormy=stormy)
    campaign = found.world.campaigns[PATCH]
    hours = hours_of(campaign, found.ends, Policy())
    assert campaign.tested_at is not None
    assert campaign.distributed_at is not None
    assert campaign.handed_over_at < campaign.tested_at < campaign.distributed_at
    assert hours.haste in {Haste.BEST, Haste.GOOD}
    assert found.history.sometimes["the next ring got it by itself"] >= RINGS.index(Ring.BROAD)
    assert violations(found) == []


@pytest.mark.parametrize("stormy", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_patch_that_breaks_services_at_the_volunteers_reaches_nobody_else(seed: int, stormy: bool):
    """P4.2: the team's machines are all well, the volunteers' are not; it is halted before `early` has it."""
    found = lived(Name.BROKEN, seed, stormy=stormy)
    campaign = found.world.campaigns[PATCH]
    assert (campaign.ring, campaign.phase, campaign.distributed_at) == (
        Ring.VOLUNTEERS,
        Phase.WITHDRAWN,
        None,
    )
    halts = [e.event for e in found.server.memory.outside.entries if e.event.kind is EventKind.HALTED]
    assert stormy or "breaks something on too many machines" in str(halts[0].body), (
        "in a storm somebody may stop it"
    )
    records = found.server.memory.tables.records
    reached = {
        records[PATCH, name].ring
        for name, machine in found.world.machines.items()
        if machine.truths[PATCH].status in {Status.FIXED, Status.PENDING_RESTART} and machine.device.managed
    }
    assert reached <= set(TESTERS)
    down = [machine for machine in found.world.machines.values() if machine.truths[PATCH].down]
    assert 0 < len(down) <= sum(record.ring is Ring.VOLUNTEERS for record in records.values())
    assert violations(found) == []
