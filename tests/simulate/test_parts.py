"""The parts of the made-up world keep their promises."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import pytest

from domain.made import ENFORCING, START, TESTING
from forestall.domain.action import Action
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.events import Event, EventKind, verify
from forestall.domain.intent import Intent
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY, HOUR, MINUTE, Policy
from forestall.domain.record import Record
from forestall.simulate.company import make_company
from forestall.simulate.core import Core
from forestall.simulate.desk import Desk
from forestall.simulate.faults import Faults, draw_faults, no_faults, within
from forestall.simulate.history import History
from forestall.simulate.memory import Memory, Stored, key_of
from forestall.simulate.process import Process
from forestall.simulate.server import Server
from forestall.simulate.switches import Switches
from forestall.simulate.timeline import BEGINNING, Timeline

ONE = Device(DeviceId("m1"), "m1", SiteId("s1"), managed=True, owner="a@s1.example")
MARK = (ONE.id, CampaignId("patch"))
NO_CHANCE = Faults(calm_at=BEGINNING + DAY)


def test_events_happen_in_order_and_those_of_one_instant_as_they_were_asked_for():
    timeline, seen = Timeline(1), list[str]()
    timeline.after(2 * MINUTE, seen.append, "last")
    timeline.after(MINUTE, seen.append, "first")
    timeline.at(BEGINNING - DAY, seen.append, "what has passed means now")
    timeline.after(MINUTE, seen.append, "second")
    timeline.run(BEGINNING + MINUTE)
    assert seen == ["what has passed means now", "first", "second"]
    assert (timeline.now, timeline.happened) == (BEGINNING + MINUTE, 3)


def test_an_absent_fault_draws_nothing():
    timeline = Timeline(1)
    before = timeline.random.getstate()
    assert not timeline.chance(0)
    assert timeline.random.getstate() == before


def test_a_company_of_20_000_has_400_sites_and_is_the_same_for_the_same_seed():
    company = make_company(20_000, 2004)
    assert len(company.sites) == len(company.site_sizes) == 400
    assert sum(company.site_sizes.values()) == 20_000
    assert 0.78 < sum(device.managed for device in company.devices) / 20_000 < 0.82
    assert {device.language for device in company.devices} == {"en", "ja"}
    assert company == make_company(20_000, 2004)
    assert len({address for device in company.devices for address in device.addresses}) == 20_000


@pytest.mark.parametrize("seed", range(40))
def test_no_fault_begins_after_the_calm(seed: int):
    calm_at = BEGINNING + 10 * DAY
    faults = draw_faults(Random(seed), BEGINNING, calm_at, BEGINNING + 8 * DAY)  # noqa: S311 - repeatable
    instants = [*faults.kills, *faults.clock_jumps, *faults.hands_on_ports]
    windows = [*faults.mail_down, *faults.switches_down, *faults.pauses]
    assert all(at <= calm_at for at in instants)
    assert all(start <= calm_at and until <= calm_at for start, until in windows)


def test_a_window_holds_its_beginning_and_not_its_end():
    windows = ((START, START + HOUR),)
    assert [within(windows, START + wait) for wait in (-MINUTE, timedelta(), HOUR)] == [False, True, False]


@pytest.fixture
def memory() -> Memory:
    memory = Memory(Policy())
    memory.tables.enlist([ONE], ENFORCING.id)
    memory.change_campaign(ENFORCING, Event(EventKind.CAMPAIGN_STARTED, "kim", "c1", "c1"), START)
    return memory


def test_a_restore_brings_the_old_tables_back_but_not_the_old_ledger(memory: Memory):
    backup = memory.tables.copy()
    key = (ENFORCING.id, ONE.id)
    memory.write([Event(EventKind.EXEMPTED, "noor", "m1", "c1")], START)
    memory.put(key, memory.tables.records[key]._replace(quarantined_at=START), START)
    memory.restore(backup, START + HOUR)
    assert memory.tables.records[key].quarantined_at is None
    assert memory.tables.off == {}
    assert memory.unreplayed
    assert len(memory.outside.entries) == 2
    memory.write([Event(EventKind.RESTORED, "operator", "database")], START + HOUR)
    assert memory.unreplayed, "writing on goes behind the newest entry outside and replays nothing"
    assert verify(memory.outside.entries) is None


def test_only_what_has_changed_is_looked_at_again(memory: Memory):
    key = (ENFORCING.id, ONE.id)
    assert memory.due(START) == [key]
    memory.put(key, memory.tables.records[key], START)
    assert memory.next_look() is None
    memory.put(key, memory.tables.records[key]._replace(announced_at=START), START)
    memory.look(key, START + HOUR)
    assert memory.due(START + MINUTE) == [], "the newest hint counts"
    assert memory.next_look() == START + HOUR


def test_a_new_campaign_knows_when_a_machine_was_last_seen(memory: Memory):
    key = (ENFORCING.id, ONE.id)
    memory.put(key, memory.tables.records[key]._replace(heard_at=START, announced_at=START), START)
    memory.tables.enlist([ONE], TESTING.id)
    memory.tables.enlist([ONE], CampaignId("c2"))
    begun = memory.tables.records[CampaignId("c2"), ONE.id]
    assert (begun.heard_at, begun.announced_at) == (START, None)


def switches(**faults: object) -> tuple[Switches, Timeline]:
    timeline = Timeline(1)
    return Switches(timeline, Faults(calm_at=BEGINNING + DAY, **faults)), timeline  # type: ignore[arg-type]


def test_an_honest_switch_does_what_it_says():
    ports, _ = switches()
    assert ports.set(MARK, close=True) is True
    assert MARK in ports.closed
    assert ports.set(MARK, close=False) is True
    assert MARK not in ports.closed


def test_a_lying_switch_says_the_opposite_of_what_it_did():
    ports, _ = switches(switches_lie=1.0)
    said = ports.set(MARK, close=True)
    assert said is not (MARK in ports.closed)


def test_a_slow_switch_says_nothing_and_does_it_later():
    ports, timeline = switches(switches_slow=1.0)
    assert ports.set(MARK, close=True) is None
    assert MARK not in ports.closed
    timeline.run(BEGINNING + MINUTE)
    assert MARK in ports.closed


def test_a_switch_out_of_reach_does_nothing():
    ports, timeline = switches(switches_down=((BEGINNING, BEGINNING + HOUR),))
    assert ports.set(MARK, close=True) is None
    timeline.run(BEGINNING + 30 * MINUTE)
    assert ports.closed == {}


def test_all_faults_of_switches_end_with_the_calm():
    ports, timeline = switches(switches_lie=1.0, switches_slow=1.0)
    timeline.run(BEGINNING + DAY)
    assert ports.set(MARK, close=True) is True
    assert MARK in ports.closed


def test_a_hand_opens_a_closed_port():
    ports, _ = switches()
    assert not ports.open_by_hand()
    ports.set(MARK, close=True)
    assert ports.open_by_hand()
    assert ports.closed == {}


def doings(befalls: Callable[[Process], None]) -> list[datetime]:
    """Say when a process did what it meant to do in a minute, given what befalls it before."""
    timeline, done = Timeline(1), list[datetime]()
    process = Process("a", timeline)
    process.later(MINUTE, lambda: done.append(timeline.now))
    befalls(process)
    timeline.run(BEGINNING + DAY)
    return done


def test_a_killed_process_does_nothing_any_more_and_a_stopped_one_does_it_later():
    def killed(process: Process) -> None:
        process.life += 1

    def stopped(process: Process) -> None:
        process.stopped_until = BEGINNING + HOUR

        def goes_on() -> None:
            process.stopped_until = None

        process.timeline.at(BEGINNING + HOUR, goes_on)

    assert doings(lambda _: None) == [BEGINNING + MINUTE]
    assert doings(killed) == []
    assert doings(stopped) == [BEGINNING + HOUR]


def test_without_faults_nothing_is_drawn():
    assert no_faults(START) == Faults(calm_at=START)


def test_a_warning_that_comes_back_counts_no_more_even_after_a_hand_opened_the_port():
    """A14: the port was opened at the switch, so the machine is in a new episode, but under the same warning."""
    timeline, key = Timeline(1), (ENFORCING.id, ONE.id)
    server = Server(timeline, Memory(Policy()), Core(), History())
    server.memory.tables.campaigns[ENFORCING.id] = ENFORCING
    warned = Record(ONE.id, ONE.site, managed=False, warning_at=START, warned_at=START + MINUTE, episode=1)
    server.memory.tables.records[key] = warned
    sent = Intent(ENFORCING.id, 1, ONE.id, Action.WARN, 0, ONE.site, "warn", "P6.3")
    server.memory.tables.intents[key_of(sent)] = Stored(sent, START)
    assert Desk(server).bounced(key_of(sent))
    assert server.memory.tables.records[key].refused_at == BEGINNING


def test_an_earlier_warning_that_comes_back_late_changes_nothing():
    timeline, key = Timeline(1), (ENFORCING.id, ONE.id)
    server = Server(timeline, Memory(Policy()), Core(), History())
    server.memory.tables.campaigns[ENFORCING.id] = ENFORCING
    warned_again = Record(ONE.id, ONE.site, managed=False, warning_at=START + DAY, warned_at=START + DAY)
    server.memory.tables.records[key] = warned_again
    sent = Intent(ENFORCING.id, 1, ONE.id, Action.WARN, 0, ONE.site, "warn", "P6.3")
    server.memory.tables.intents[key_of(sent)] = Stored(sent, START)
    assert Desk(server).bounced(key_of(sent))
    assert server.memory.tables.records[key] == warned_again
