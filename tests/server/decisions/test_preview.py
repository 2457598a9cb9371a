"""What the next pass would do, shown before it does it, and decided without writing (A8)."""

import pytest

from domain.made import MINUTE, START
from forestall.domain.action import Action
from forestall.domain.brakes import set_hash
from forestall.domain.campaign import Phase
from forestall.domain.errors import InputError
from forestall.server.preview import preview
from forestall.server.wiring import Installation
from forestall.store import campaigns, intents, ledger
from server.decisions.company import (
    DEADLINE,
    MANAGED,
    UNMANAGED,
    World,
    campaign,
    removed_after_the_deadline,
    turn,
)


def written(installation: Installation):
    with installation.database.begin() as con:
        waiting = [intents.held(con, each.id) for each in campaigns.everything(con)]
        return ledger.head(con), intents.open_intents(con, DEADLINE), waiting


def test_a_preview_is_what_the_next_pass_does(installation: Installation):
    """A8: by rule, with counts, sites and the set's hash; and nothing is written by looking."""
    name = campaign(installation).id
    world = World(installation.database)
    world.hear(name, MANAGED, START)
    before = written(installation)
    found = preview(installation, name, START)
    assert written(installation) == before
    (line,) = found.lines
    assert (line.action, line.rule, line.brake, line.count) == (Action.ANNOUNCE, "announce", "", 20)
    assert line.sites == {"bonn": 6, "osaka": 7, "tokyo": 7}
    assert line.machines == set_hash([*MANAGED, *UNMANAGED])
    turn(installation, world, START)
    assert world.of(Action.ANNOUNCE) == [*MANAGED, *UNMANAGED]
    assert {line.action for line in preview(installation, name, START).lines} == {Action.OFFER, Action.LOOK}


def test_a_preview_shows_what_the_deadline_will_bring_and_what_a_brake_would_hold(installation: Installation):
    """A8, P5.4: as the pass would find it, the deadline has passed."""
    name = campaign(installation).id
    world = World(installation.database)
    turn(installation, world, START)
    world.hear(name, MANAGED, DEADLINE - MINUTE)
    found = preview(installation, name, DEADLINE)
    assert found.phase is Phase.ENFORCING
    forced = {line.brake: line.count for line in found.lines if line.action is Action.INSTALL}
    assert forced == {"": 10, "installs-a-minute": 2}
    with installation.database.begin() as con:
        stored = campaigns.get(con, name)
    assert stored.phase is Phase.VOLUNTARY


def test_what_a_cap_holds_is_listed_with_its_brake(installation: Installation):
    """A8."""
    name = campaign(installation).id
    world = World(installation.database)
    turn(installation, world, START)
    at = removed_after_the_deadline(installation, world, name, [UNMANAGED[0], UNMANAGED[3]])
    (line,) = [line for line in preview(installation, name, at).lines if line.action is Action.QUARANTINE]
    assert (line.rule, line.paragraph, line.brake, line.count) == (
        "quarantine",
        "P6.4",
        "removals-at-site",
        1,
    )


def test_a_campaign_that_would_halt_orders_nothing(installation: Installation):
    """A7."""
    name = campaign(installation).id
    world = World(installation.database)
    turn(installation, world, START)
    world.hear(name, MANAGED, DEADLINE)
    turn(installation, world, DEADLINE)
    world.hear(name, MANAGED[:6], DEADLINE + MINUTE, failures=1)
    found = preview(installation, name, DEADLINE + MINUTE)
    assert "installs failed" in found.halts
    assert found.lines == ()


def test_a_campaign_nobody_knows_is_named(installation: Installation):
    with pytest.raises(InputError, match="forestall campaign ls"):
        preview(installation, "nothing", START)
