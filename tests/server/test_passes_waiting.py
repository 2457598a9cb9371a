"""What was ordered and waits for the world outside: not braked again, not carried out by a restored server."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from domain.made import DAY, DEADLINE, ENFORCING, MINUTE, POLICY, START
from forestall.domain.action import Action
from forestall.domain.approval import Matter, Request
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Status
from forestall.domain.intent import Intent
from forestall.domain.record import Outcome, Receipt, Record
from forestall.server.effects import apply_open
from forestall.server.passes import run_pass
from forestall.store import approvals, campaigns, devices, intents, lease, records
from forestall.store.database import Database

NOW = DEADLINE + DAY
SLOW, QUICK = [f"a{n:02}" for n in range(10)], [f"b{n:02}" for n in range(10)]


@pytest.fixture(autouse=True)
def fleet(database: Database) -> None:
    with database.begin() as con:
        names = [*SLOW, *QUICK]
        devices.save(
            con,
            [Device(DeviceId(n), n, SiteId(n), managed=False, owner="a@b", seen_at=START) for n in names],
        )
        devices.save(
            con, [Device(DeviceId(f"z{n}"), f"z{n}", SiteId("z"), managed=False) for n in range(4_000)]
        )
        campaigns.save(con, ENFORCING)
        records.enlist(con, ENFORCING.id, {DeviceId(n): Status.AFFECTED for n in names}, START)


def proven(record: Record) -> Record:
    return record._replace(
        announced_at=START, warning_at=NOW - 12 * MINUTE, warned_at=NOW - 12 * MINUTE,
        probe_status=Status.AFFECTED, probe_at=NOW,
    )  # fmt: skip


def prove(database: Database, names: Sequence[str]) -> None:
    with database.begin() as con:
        records.revise(con, ENFORCING.id, {DeviceId(name): proven for name in names})


def one_pass(database: Database, now: datetime, observing: str = "") -> tuple[int, int]:
    """Run a pass; give how many removals were ordered and how many are held."""
    with database.begin() as con:
        held = lease.acquire(con, "decide", "me", now, MINUTE / 4)
    assert held is not None
    (passed,) = run_pass(database, held, now, POLICY, observing=observing)
    return passed.ordered[Action.QUARANTINE], sum(passed.held.values())


def test_a_switch_that_does_not_answer_holds_up_nobody_else(database: Database):
    """A8, P6.4: ten removals wait for a dead switch; the next ten get the next minute."""
    prove(database, SLOW)
    assert one_pass(database, NOW) == (10, 0)
    prove(database, QUICK)
    assert one_pass(database, NOW + 2 * MINUTE) == (10, 0)


def test_what_two_people_allowed_is_not_spent_on_what_is_ordered_already(database: Database):
    """A9."""
    prove(database, [*SLOW, *QUICK])
    with database.begin() as con:
        number = approvals.ask(
            con, Request(Matter.RAISE_BRAKE, ENFORCING.id, "aiko", NOW, NOW + DAY, "", 20), SLOW + QUICK
        )
        approvals.approve(con, number, "ben", NOW)
    assert one_pass(database, NOW) == (20, 0)  # ten are below the cap
    for _ in range(3):
        one_pass(database, NOW + MINUTE / 2)
    with database.begin() as con:
        assert approvals.raised(con, ENFORCING.id) == 10


def test_a_restored_server_does_not_carry_out_what_the_backup_had_ordered(database: Database):
    """A12: observe and release only, until a person has replayed what happened since."""
    prove(database, SLOW)
    one_pass(database, NOW)
    done: list[Intent] = []

    def remove(wanted: Sequence[Intent], now: datetime) -> list[Receipt]:
        done.extend(each for each in wanted if each.action is Action.QUARANTINE)
        return [Receipt(Outcome.DONE, now) for _ in wanted]

    effects = dict.fromkeys(Action, remove)
    apply_open(database, effects, "me", NOW, POLICY, observing="restored from a backup")
    assert done == []
    with database.begin() as con:
        waiting = [each.intent for each in intents.open_intents(con, NOW)]
    assert sum(each.action is Action.QUARANTINE for each in waiting) == 10
    apply_open(database, effects, "me", NOW, POLICY)
    assert len(done) == 10


def test_an_effect_that_failed_is_tried_again_later_and_later(database: Database):
    """A12: a switch that does not answer is asked after 1, 2, 4 ... minutes, at most a quarter of an hour apart."""
    prove(database, SLOW[:1])
    one_pass(database, NOW)
    tried: list[datetime] = []

    def fail(wanted: Sequence[Intent], now: datetime) -> list[Receipt]:
        tried.extend(now for each in wanted if each.action is Action.QUARANTINE)
        return [Receipt(Outcome.FAILED, now, "no answer") for _ in wanted]

    for minute in range(60):
        now = NOW + minute * MINUTE
        prove_again = {DeviceId(SLOW[0]): lambda record, now=now: record._replace(probe_at=now)}
        with database.begin() as con:
            records.revise(con, ENFORCING.id, prove_again)
        apply_open(database, dict.fromkeys(Action, fail), "me", now, POLICY)
    assert [(at - NOW) // MINUTE for at in tried] == [0, 1, 3, 7, 15, 30, 45]
