"""A campaign stops by itself on what it forced since it last went on, and nobody's halt is ever lost (A7)."""

from dataclasses import replace

import pytest

from domain.made import DAY, DEADLINE, ENFORCING, HOUR, MINUTE, POLICY, START
from forestall.domain.campaign import Phase, resumed
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.errors import InputError
from forestall.domain.events import EventKind
from forestall.domain.halt import failing
from forestall.domain.record import Record
from forestall.server.operators import halt_campaign, resume_campaign
from forestall.server.passes import run_pass
from forestall.server.wiring import Installation
from forestall.store import campaigns, lease, ledger, records
from server.decisions import company
from server.decisions.company import MANAGED, World, campaign, turn

FORCED = Record(DeviceId("d"), SiteId("tokyo"), forced_at=DEADLINE, heard_at=DEADLINE + MINUTE)
FAILED = FORCED._replace(failures=1, failing_since=DEADLINE + MINUTE)
MUTE = FORCED._replace(heard_at=DEADLINE - MINUTE)
BEGUN = FORCED._replace(forcing_at=DEADLINE + MINUTE)
"""It asked a last time before it installs, and has not been heard since."""
LATE = DEADLINE + 2 * POLICY.check_every
GONE_ON = resumed(ENFORCING, DEADLINE + HOUR)


@pytest.mark.parametrize(
    ("records", "made", "at", "why"),
    [
        pytest.param([FAILED] * 3 + [FORCED] * 97, ENFORCING, LATE, "3 of 100 installs failed", id="3 % fail"),
        pytest.param([FAILED] * 2 + [FORCED] * 9, ENFORCING, LATE, "", id="fewer than three never halt"),
        pytest.param([FAILED] * 3 + [FORCED] * 200, ENFORCING, LATE, "", id="below the share"),
        pytest.param([MUTE] * 3 + [FORCED] * 97, ENFORCING, LATE, "3 of 100 machines fell silent", id="silence"),
        pytest.param([MUTE] * 9, ENFORCING, LATE - MINUTE, "", id="they have not had time to speak"),
        pytest.param(
            [
                FORCED._replace(
                    restart_ordered_at=LATE - 2 * POLICY.check_every, heard_at=LATE - 2 * POLICY.check_every
                )
            ]
            * 3,
            ENFORCING,
            LATE,
            "fell silent",
            id="they installed, restarted, and were not heard again",
        ),
        pytest.param([FAILED] * 9, GONE_ON, LATE, "", id="a person has seen these failures and let it go on"),
        pytest.param(
            [FAILED] * 9 + [FORCED._replace(forced_at=DEADLINE + 2 * HOUR)] * 9, GONE_ON, LATE, "",
            id="old failures are no part of the new share",
        ),
        pytest.param(
            [FAILED._replace(forced_at=DEADLINE + 2 * HOUR, failing_since=DEADLINE + 3 * HOUR)] * 3,
            GONE_ON,
            LATE,
            "3 of 3 installs failed",
            id="new failures halt it again",
        ),
        pytest.param(
            [MUTE._replace(forced_at=DEADLINE + 2 * HOUR)] * 3, GONE_ON, LATE, "",
            id="forced after the resume, and still in time",
        ),
        pytest.param(
            [BEGUN] * 3, ENFORCING, DEADLINE + 46 * MINUTE, "3 of 3 machines fell silent",
            id="they began to install and fell silent: seen before the next wave",
        ),
        pytest.param([BEGUN] * 9, ENFORCING, DEADLINE + 45 * MINUTE, "", id="an install takes its time"),
        pytest.param(
            [BEGUN._replace(forced_at=None)] * 3, ENFORCING, DEADLINE + 46 * MINUTE, "3 of 3 machines",
            id="by its own clock, before the server ordered it",
        ),
        pytest.param(
            [BEGUN._replace(heard_at=DEADLINE + 2 * MINUTE)] * 9, ENFORCING, DEADLINE + HOUR, "",
            id="they installed and spoke again",
        ),
        pytest.param([BEGUN] * 9, GONE_ON, LATE - HOUR, "", id="silence a person has seen"),
        pytest.param(
            [FAILED] * 9, replace(ENFORCING, halted_at=DEADLINE), LATE, "", id="it has halted already"
        ),
        pytest.param([Record(DeviceId("d"), SiteId("tokyo"), failures=4)] * 9, ENFORCING, LATE, "", id="not by us"),
        pytest.param([], ENFORCING, LATE, "", id="nobody was forced"),
    ],
)  # fmt: skip
def test_a_campaign_halts_by_itself(records: list[Record], made, at, why: str):
    """A7."""
    found = failing(records, made, at, POLICY)
    assert why in found
    assert bool(why) is bool(found)


def halts(installation: Installation) -> list[str]:
    with installation.database.begin() as con:
        return [e.event.actor for e in ledger.read(con) if e.event.kind is EventKind.HALTED]


def test_after_a_resume_only_new_failures_halt_again(installation: Installation):
    """A7: through the real passes, with the canaries of A8."""
    name = campaign(installation).id
    world = World(installation.database)
    turn(installation, world, START)
    world.hear(name, MANAGED, company.DEADLINE)
    turn(installation, world, company.DEADLINE)
    world.hear(name, MANAGED[:6], company.DEADLINE + MINUTE, failures=1)
    turn(installation, world, company.DEADLINE + MINUTE)
    assert len(halts(installation)) == 1
    resume_campaign(installation.database, name, "aiko", company.DEADLINE + 5 * MINUTE)
    for minute in range(5, 30):
        turn(installation, world, company.DEADLINE + minute * MINUTE)
    assert len(halts(installation)) == 1


def test_a_halt_that_comes_while_a_pass_runs_waits_for_nobody_and_holds(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
):
    """A7: it is not overwritten by what the pass had read, and that pass orders nothing any more."""
    name = campaign(installation).id
    world = World(installation.database)
    world.hear(name, MANAGED, company.DEADLINE)
    turn(installation, world, company.DEADLINE - DAY)
    real = records.gather

    def halted_meanwhile(con, campaign):
        found = real(con, campaign)
        halt_campaign(installation.database, name, "printers stop", "aiko", company.DEADLINE)
        return found

    with installation.database.begin() as con:
        held = lease.acquire(con, "decide", "me", company.DEADLINE, MINUTE)
    monkeypatch.setattr(records, "gather", halted_meanwhile)
    (passed,) = run_pass(installation.database, held, company.DEADLINE, POLICY)
    assert passed.ordered == {}
    with installation.database.begin() as con:
        found = campaigns.get(con, name)
    assert (found.phase, found.halted_because) == (Phase.ENFORCING, "printers stop")


def test_what_the_process_refuses_is_refused_with_the_next_step(installation: Installation):
    name = campaign(installation).id
    database = installation.database
    with pytest.raises(InputError, match="is not halted"):
        resume_campaign(database, name, "aiko", START + DAY)
    with pytest.raises(InputError, match="Say why it is halted"):
        halt_campaign(database, name, "", "aiko", START + DAY)
    with pytest.raises(InputError, match="--by NAME"):
        halt_campaign(database, name, "why", " ", START + DAY)
