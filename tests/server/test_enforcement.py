"""Intents become closed and open ports; what the points say is believed, whatever is remembered (P6.4, P6.5, A13)."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from domain.made import DAY, DEADLINE, ENFORCING, MINUTE, POLICY, START, taken
from forestall.domain.action import Action
from forestall.domain.campaign import Step
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.events import EventKind
from forestall.domain.evidence import Status
from forestall.domain.intent import Intent
from forestall.domain.record import Outcome, Record
from forestall.server.enforcement import STOPPED, Enforcement
from forestall.server.patrol import Patrolled, patrol
from forestall.store import campaigns, devices, lease, ledger, records
from forestall.store.database import Database
from network.made import OTHER, RULES, VICTIM, VIEW, Simulated, changed, seen_at

NOW = DEADLINE + DAY
HELD, STRANGER, GUARDED = DeviceId("m-1"), DeviceId("m-9"), DeviceId("m-2")
CLOSED = changed(
    replace(VIEW, seen={mac: at for mac, at in VIEW.seen.items() if mac != VICTIM}),
    101,
    alias=b"[forestall m-1 c1] desk 101",
    up=False,
)


@pytest.fixture
def network(database: Database) -> Database:
    with database.begin() as con:
        site, who = SiteId("tokyo"), "a@b"
        held = Device(HELD, "held", site, False, who, addresses=(VICTIM, "10.0.0.11"))
        guarded = Device(GUARDED, "guarded", site, False, who, addresses=(OTHER,), protected=True)
        devices.save(con, [held, guarded])
        campaigns.save(con, ENFORCING)
        records.enlist(con, ENFORCING.id, {HELD: Status.AFFECTED, GUARDED: Status.AFFECTED}, START)
    return database


@pytest.fixture
def switch() -> Simulated:
    return Simulated(VIEW)


@pytest.fixture
def enforcement(switch: Simulated, tmp_path: Path) -> Iterator[Enforcement]:
    with closing(Enforcement((switch,), tmp_path, simulate=False)) as made:
        yield made


def intent(action: Action, device: DeviceId = HELD) -> Intent:
    return Intent(ENFORCING.id, 1, device, action, 0, SiteId("tokyo"), "quarantine", "P6.4")


def off(record: Record) -> Record:
    return record._replace(
        quarantined_at=NOW - 5 * MINUTE, probe_status=Status.AFFECTED, probe_at=NOW - MINUTE
    )


def remember(database: Database) -> None:
    with database.begin() as con:
        records.revise(con, ENFORCING.id, {HELD: off})


def record(database: Database, device: DeviceId = HELD) -> Record:
    with database.begin() as con:
        return records.some(con, ENFORCING.id, [device])[0]


def patrolled(database: Database, enforcement: Enforcement, observing: str = "") -> Patrolled:
    with database.begin() as con:
        held = lease.acquire(con, "decide", "me", NOW, MINUTE)
    assert held is not None
    return patrol(database, enforcement, held, NOW, POLICY, observing=observing)


def told(database: Database) -> list[tuple[str, str]]:
    with database.begin() as con:
        return [(entry.event.kind, entry.event.subject) for entry in ledger.read(con)]


def test_a_machine_is_taken_off_and_let_back(network: Database, switch: Simulated, enforcement: Enforcement):
    effects = enforcement.effects(network)
    (closed,) = effects[Action.QUARANTINE]([intent(Action.QUARANTINE)], NOW)
    assert closed.outcome is Outcome.DONE
    assert "ifAdminStatus = down" in closed.detail
    assert not switch.view.ports[101].up
    (again,) = effects[Action.QUARANTINE]([intent(Action.QUARANTINE)], NOW)
    assert (again.outcome, again.detail) == (Outcome.DONE, "was closed already")
    (opened,) = effects[Action.RELEASE]([intent(Action.RELEASE)], NOW)
    assert opened.outcome is Outcome.DONE
    assert switch.view.ports == VIEW.ports
    (nothing,) = effects[Action.RELEASE]([intent(Action.RELEASE)], NOW)
    assert (nothing.outcome, nothing.detail) == (Outcome.DONE, "was opened already")


def test_a_machine_protected_by_now_is_refused_for_good(network: Database, enforcement: Enforcement):
    (receipt,) = enforcement.quarantine(network, [intent(Action.QUARANTINE, GUARDED)], NOW)
    assert (receipt.outcome, receipt.detail[:9]) == (Outcome.REFUSED, "protected")


def test_what_may_be_otherwise_in_a_minute_is_tried_again(
    network: Database, switch: Simulated, enforcement: Enforcement
):
    switch.silent = True
    (receipt,) = enforcement.quarantine(network, [intent(Action.QUARANTINE)], NOW)
    assert receipt.outcome is Outcome.FAILED
    (receipt,) = enforcement.release(network, [intent(Action.RELEASE)], NOW)
    assert receipt.outcome is Outcome.FAILED


def test_while_the_glass_is_broken_nothing_is_closed_and_all_is_opened(
    network: Database, switch: Simulated, enforcement: Enforcement, tmp_path: Path
):
    (tmp_path / STOPPED).write_text("by the duty officer")
    (receipt,) = enforcement.quarantine(network, [intent(Action.QUARANTINE)], NOW)
    assert (receipt.outcome, receipt.detail[:7]) == (Outcome.FAILED, "stopped")
    switch.view = changed(CLOSED, 101, alias=b"[forestall m-1 c1] desk 101")
    (receipt,) = enforcement.release(network, [intent(Action.RELEASE)], NOW)
    assert receipt.outcome is Outcome.DONE
    assert switch.view.ports[101].up


def test_without_points_nothing_is_connected(network: Database, tmp_path: Path):
    assert Enforcement((), tmp_path).effects(network) == {}


def test_a_closed_port_nobody_remembers_is_adopted(
    network: Database, switch: Simulated, enforcement: Enforcement
):
    switch.view = CLOSED
    assert patrolled(network, enforcement).reading.adopted == ((ENFORCING.id, HELD),)
    assert record(network).quarantined_at == NOW
    assert (EventKind.PORT_READ, HELD) in told(network)
    assert patrolled(network, enforcement).reading.adopted == ()


def test_a_port_opened_by_hand_is_noticed_and_its_mark_put_away(
    network: Database, switch: Simulated, enforcement: Enforcement
):
    remember(network)
    switch.view = changed(VIEW, 101, alias=b"[forestall m-1 c1] desk 101")
    assert patrolled(network, enforcement).reading.opened == ((ENFORCING.id, HELD),)
    assert record(network).quarantined_at is None
    assert switch.view.ports[101] == VIEW.ports[101]


def test_a_port_closed_for_nobody_we_know_is_freed(
    network: Database, switch: Simulated, enforcement: Enforcement
):
    switch.view = changed(CLOSED, 101, alias=b"[forestall m-9 c1] desk 101")
    assert [mark.device for mark in patrolled(network, enforcement).reading.orphans] == [STRANGER]
    assert switch.view.ports[101] == VIEW.ports[101]
    assert [kind for kind, subject in told(network) if subject == STRANGER] == [
        EventKind.INTENDED,
        EventKind.DONE,
    ]


def test_from_a_silent_switch_nothing_is_concluded(
    network: Database, switch: Simulated, enforcement: Enforcement
):
    remember(network)
    switch.silent = True
    done = patrolled(network, enforcement)
    assert done.reading.opened == ()
    assert [refusal.reason for refusal in done.silent] == ["unreachable"]
    assert record(network).quarantined_at is not None


def test_a_removed_machine_that_changes_its_port_is_followed(
    network: Database, switch: Simulated, enforcement: Enforcement
):
    remember(network)
    switch.view = seen_at(CLOSED, VICTIM, 103)
    assert patrolled(network, enforcement).followed == (HELD,)
    assert not switch.view.ports[103].up
    assert [kind for kind, subject in told(network) if subject == HELD] == [
        EventKind.INTENDED,
        EventKind.DONE,
    ]
    assert patrolled(network, enforcement).followed == ()


def test_one_that_moves_to_a_port_with_others_is_told_not_followed(
    network: Database, switch: Simulated, enforcement: Enforcement
):
    remember(network)
    switch.view = seen_at(CLOSED, VICTIM, 102)
    done = patrolled(network, enforcement)
    assert (done.followed, [refusal.reason for refusal in done.strayed]) == ((), ["protected"])
    assert switch.view.ports[102].up


@pytest.mark.parametrize("why", ["a restored backup", "simulate", "a broken glass", "about to be let back"])
def test_nobody_is_followed_under(why: str, network: Database, switch: Simulated, tmp_path: Path):
    remember(network)
    switch.view = seen_at(CLOSED, VICTIM, 103)
    if why == "a broken glass":
        (tmp_path / STOPPED).touch()
    if why == "about to be let back":
        with network.begin() as con:
            campaigns.save(con, taken(ENFORCING, Step.CLOSE, NOW))
    with closing(Enforcement((switch,), tmp_path, simulate=why == "simulate")) as enforcement:
        observing = "restored-backup" if why == "a restored backup" else ""
        assert patrolled(network, enforcement, observing).followed == ()
    assert switch.view.ports[103].up


def test_the_caps_of_a_switch_hold_for_followers_too(network: Database, tmp_path: Path):
    remember(network)
    switch = Simulated(seen_at(CLOSED, VICTIM, 103), replace(RULES, closed_at_most=1))
    with closing(Enforcement((switch,), tmp_path, simulate=False)) as enforcement:
        done = patrolled(network, enforcement)
    assert ([refusal.reason for refusal in done.strayed], switch.view.ports[103].up) == (["cap"], True)
