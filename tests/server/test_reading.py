"""Tables read as they change, logins and check-ins: each machine once, where it is, and who moved (P6.2, A13)."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from laboratory.snmp_agent import Agent, Oid, answering
from sqlalchemy import event

from certificates import certificate
from domain.made import ENFORCING, START
from forestall import protocol
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.events import EventKind
from forestall.domain.notice import Person
from forestall.domain.policy import DAY, MINUTE, Policy
from forestall.domain.sighting import Sighting, Source
from forestall.network.snmp import V2c
from forestall.network.switch import SwitchRules
from forestall.network.tables import TableSource
from forestall.server.check_ins import Caller
from forestall.server.explain import explain
from forestall.server.finding import machines, take_in, whereabouts
from forestall.server.reading import Reader
from forestall.server.sessions import keep
from forestall.store import campaigns, devices, identities, ledger, records, table_reads
from forestall.store.database import Database
from network.test_tables import MAC, MACHINE, OTHER, crowd, held, q_row, switch
from server.company import Company

SITE = SiteId("osaka")
IP = "10.0.0.1"


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self):
        return self.now


@contextmanager
def reading(database: Database, *agents: Agent, accounts=dict) -> Iterator[tuple[Reader, Clock]]:
    clock = Clock()
    sources = [
        TableSource(SwitchRules(f"sw{n}"), "127.0.0.1", V2c("readers"), SITE, agent.port, seconds=0.2)
        for n, agent in enumerate(agents)
    ]
    with closing(Reader(database, sources, Policy(), clock, accounts)) as reader:
        yield reader, clock


def port_of(database: Database, machine: str) -> list[tuple[str, str]]:
    return [(each.port, each.before) for each in whereabouts(database, machine)]


def moved_to(base: int) -> dict[Oid, int | bytes]:
    return {**switch(), **q_row(MACHINE, base)}


def test_who_a_switch_shows_becomes_a_machine_at_its_port(database: Database):
    tables = {**moved_to(3), **held((10, 0, 0, 1), MACHINE)}
    with answering(Agent(tables)) as agent, reading(database, agent) as (reader, _):
        taken = reader.turn()
        assert reader.turn() is None, "it is read again when its time has come"
    assert taken is not None
    (machine,) = machines(database)
    assert (machine.hardware, machine.addresses, machine.port, machine.managed) == (
        (MAC,),
        (IP,),
        "sw0 Gi1/0/3",
        False,
    )
    assert machine.sources == (Source.FORWARDING, Source.NEIGHBOUR)
    (at,) = whereabouts(database, MAC)
    assert (at.port, at.vlan, at.since, at.before) == ("sw0 Gi1/0/3", 10, START, "")


def test_two_switches_the_one_with_the_machines_own_port_counts(database: Database):
    """The other sees it behind its uplink, or at a port that more share."""
    behind = {**switch(), **q_row(MACHINE, 4), **crowd(4, 20)}
    shared = {**switch(), **q_row(MACHINE, 2), **crowd(2, 2)}
    with (
        answering(Agent(behind)) as a,
        answering(Agent(shared)) as b,
        answering(Agent(moved_to(1))) as c,
        reading(database, a, b, c) as (reader, _),
    ):
        reader.turn()
    assert port_of(database, MAC) == [("sw2 Gi1/0/1", "")]


def test_a_stale_neighbour_counts_where_a_switch_forwards_to_it(database: Database):
    physical = (1, 3, 6, 1, 2, 1, 4, 35, 1)
    rows: dict[Oid, int | bytes] = {}
    for n, mac in ((1, MACHINE), (2, OTHER)):
        rows |= {(*physical, 4, 3, 1, 4, 10, 0, 0, n): bytes(mac), (*physical, 7, 3, 1, 4, 10, 0, 0, n): 2}
    with answering(Agent({**moved_to(3), **rows})) as agent, reading(database, agent) as (reader, _):
        reader.turn()
    assert [each.addresses for each in machines(database)] == [(IP,)]


def test_a_machine_that_moved_is_noticed_and_only_a_removed_ones_move_is_on_record(database: Database):
    """A13: removal follows the machine; whoever asks why it stands as it does is told where it is."""
    with database.begin() as con:
        campaigns.save(con, ENFORCING)
    agent = Agent(moved_to(3))
    with answering(agent), reading(database, agent) as (reader, clock):
        (name,) = reader.turn().new

        def seen_at(base: int) -> list[str]:
            agent.become(moved_to(base))
            clock.now += 20 * MINUTE
            (moved,) = reader.turn().moved
            assert (moved.device, moved.port) == (name, f"sw0 Gi1/0/{base}")
            with database.begin() as con:
                told = [
                    each.event
                    for each in ledger.about(con, subject=name)
                    if each.event.kind is EventKind.MOVED
                ]
            return [f"{event.body['was']} -> {event.body['now']}" for event in told]

        assert seen_at(2) == []
        with database.begin() as con:
            records.revise(con, ENFORCING.id, {name: lambda record: record._replace(quarantined_at=START)})
        assert seen_at(4) == ["sw0 Gi1/0/2 -> sw0 Gi1/0/4"]
        clock.now += 20 * MINUTE
        assert reader.turn().moved == [], "it stayed"
    assert port_of(database, name) == [("sw0 Gi1/0/4", "sw0 Gi1/0/2")]
    (answer,) = explain(database, name, clock.now, Policy())
    assert answer.where[0].startswith("sw0 Gi1/0/4 in VLAN 10, by forwarding, from ")
    assert answer.where[0].endswith("before that at sw0 Gi1/0/2")


def test_a_machine_behind_an_uplink_keeps_the_port_where_it_was_last(database: Database):
    agent = Agent(moved_to(3))
    with answering(agent), reading(database, agent) as (reader, clock):
        reader.turn()
        agent.become({**moved_to(4), **crowd(4, 20)})
        clock.now += 20 * MINUTE
        assert reader.turn().moved == []
    (at,) = whereabouts(database, MAC)
    assert (at.port, at.seen_at) == ("sw0 Gi1/0/3", START)
    assert next(each for each in machines(database) if MAC in each.hardware).port == ""


def test_a_silent_switch_is_told_apart_and_read_after_the_others(database: Database):
    good, silent = Agent(moved_to(3)), Agent({}, community=b"others")
    with answering(good), answering(silent), reading(database, good, silent) as (reader, clock):
        reader.turn()
        with database.begin() as con:
            states = table_reads.everything(con)
        assert (states["sw0"].trouble, states["sw0"].forwarding, states["sw0"].good_at) == ("", 1, START)
        assert "no answer" in states["sw1"].trouble
        assert (states["sw1"].good_at, states["sw1"].next_at) == (None, START + Policy().tables_every)
        clock.now += 15 * MINUTE
        silent.asked.clear()
        reader.turn()
        assert silent.asked == [], "it failed last time: first the others"
        reader.turn()
        assert silent.asked != []
        silent.community = b"readers"
        clock.now += 15 * MINUTE
        reader.turn()
        reader.turn()
    with database.begin() as con:
        assert table_reads.everything(con)["sw1"].trouble == ""


def test_a_failed_read_forgets_nobody(database: Database):
    agent = Agent(moved_to(3))
    with answering(agent), reading(database, agent) as (reader, clock):
        reader.turn()
        agent.community = b"others"
        clock.now += DAY
        reader.turn()
    assert port_of(database, MAC) == [("sw0 Gi1/0/3", "")]
    with database.begin() as con:
        (state,) = table_reads.everything(con).values()
    assert (state.forwarding, state.good_at) == (1, START), "what the last good one found stays"


def login(seen_at=START, port: str = "ap-1 7") -> Sighting:
    return Sighting(Source.LOGIN, SITE, seen_at, MAC, IP, user="ann", port=port)


def test_whoever_logs_in_is_a_machine_soon_and_its_owner_is_known(database: Database):
    """P6.1: whoever logged on owns the machine. Repeated and late requests change nothing."""
    with reading(database, accounts=lambda: {"ann": Person("ann@example.com")}) as (reader, clock):
        assert reader.turn() is None
        keep(database, [[login()], [login()]])
        (name,) = reader.turn().new
        keep(database, [[login(START - MINUTE, "ap-9 9")], [login()]])
        assert reader.turn() is None
        take_in(database, [], "me", clock.now)
    with database.begin() as con:
        assert devices.get(con, name).owner == "ann@example.com"
    assert port_of(database, name) == [("ap-1 7", "")]


# -- one managed machine, once ---------------------------------------------------------------------------------------


def speaks(
    company: Company, device: DeviceId, source: str, address: str = IP, hardware: str = MAC, number: int = 1
) -> None:
    """A machine checks in over a connection from `source`, and says what it speaks through."""
    said = protocol.Interface(address, hardware)
    message = protocol.CheckIn("1", "b", number, "0" * 64, [], interface=said)
    company.desk.hear([Caller(certificate(device, company.now + MINUTE), message, source)], company.now)


def managed_and_not(company: Company) -> dict[str, bool]:
    take_in(company.database, [], "test", company.now)
    return {each.id: each.managed for each in machines(company.database)}


def test_a_managed_machine_that_the_network_also_sees_is_one(company: Company):
    """P5.1: it was found first, and joined on record when it spoke; afterwards it stays one, by all its sources."""
    device = company.machine()
    tables = {**moved_to(3), **held((10, 0, 0, 1), MACHINE)}
    with answering(Agent(tables)) as agent, reading(company.database, agent) as (reader, clock):
        (found,) = reader.turn().new
        company.now = clock.now = START + MINUTE
        speaks(company, device, IP)
        taken = take_in(
            company.database, [Sighting(Source.SWEEP, SITE, clock.now, address=IP)], "t", clock.now
        )
        assert [(each.kept, each.absorbed) for each in taken.joined] == [(device, found)]
        clock.now += 20 * MINUTE
        assert reader.turn().new == []
    (machine,) = machines(company.database)
    assert (machine.id, machine.managed, machine.addresses, machine.hardware) == (device, True, (IP,), (MAC,))
    assert {Source.CHECK_IN, Source.SWEEP, Source.FORWARDING, Source.NEIGHBOUR} == set(machine.sources)
    assert port_of(company.database, device) == [("sw0 Gi1/0/3", "")]
    with company.database.begin() as con:
        assert devices.get(con, device).addresses == (IP, MAC)
        assert devices.get(con, found).addresses == ()


@pytest.mark.parametrize(
    ("source", "address", "hardware"),
    [
        pytest.param("10.0.0.9", IP, MAC, id="it claims a neighbour's address and hardware"),
        pytest.param("10.0.0.9", "10.0.0.9", MAC, id="it claims a neighbour's hardware at its own address"),
        pytest.param(
            IP, "192.168.7.7", "02:00:00:00:00:07", id="it is behind a box that translates addresses"
        ),
        pytest.param(IP, IP, "02:00:00:00:00:07", id="behind such a box it claims the box's address"),
        pytest.param(IP, "nonsense", MAC, id="it claims nonsense"),
        pytest.param("", "", MAC, id="nobody knows from where it speaks"),
        pytest.param("::1", "::1", MAC, id="it is on the server itself"),
    ],
)
def test_no_claim_makes_an_unmanaged_machine_managed(
    company: Company, source: str, address: str, hardware: str
):
    """The unmanaged one keeps its id, its addresses, and what the rules have in store for it (P6.3, P6.4)."""
    (victim,) = take_in(
        company.database, [Sighting(Source.NEIGHBOUR, SITE, START, MAC, IP)], "test", START
    ).new
    speaks(company, company.machine(), source, address, hardware)
    assert managed_and_not(company)[victim] is False
    with company.database.begin() as con:
        assert devices.get(con, victim).addresses == (IP, MAC)


def test_hundreds_behind_one_address_absorb_nobody(company: Company):
    """Address translation, a proxy, a VPN concentrator: the connection's address says nothing of who is behind it."""
    box = Sighting(Source.NEIGHBOUR, SITE, START, MAC, IP)
    (found,) = take_in(company.database, [box], "test", START).new
    for n in range(20):
        speaks(company, company.machine(), IP, f"192.168.0.{n}", f"02:00:00:00:01:{n:02x}")
    assert managed_and_not(company) == {found: False}


def test_a_clone_is_not_heard_and_vouches_for_nothing(company: Company):
    device = company.machine()
    speaks(company, device, "10.0.0.5", "10.0.0.5", "02:00:00:00:00:05", number=5)
    (victim,) = take_in(
        company.database, [Sighting(Source.NEIGHBOUR, SITE, START, MAC, IP)], "test", START
    ).new
    speaks(company, device, IP, number=5)
    with company.database.begin() as con:
        assert device in identities.voided(con)
    assert managed_and_not(company)[victim] is False


def test_a_silent_agent_that_the_network_sees_stays_that_machine(company: Company):
    """A4 is about a machine that is seen and not heard: the two must not fall apart again."""
    device = company.machine()
    take_in(company.database, [Sighting(Source.NEIGHBOUR, SITE, START, MAC, IP)], "test", START)
    speaks(company, device, IP)
    later = START + timedelta(days=20)
    taken = take_in(
        company.database, [Sighting(Source.NEIGHBOUR, SITE, later, MAC, "10.0.0.8")], "test", later
    )
    assert taken.new == []
    with company.database.begin() as con:
        assert devices.get(con, device).seen_at == later


def test_what_is_asked_of_the_store_does_not_grow_with_the_machines(company: Company):
    """Set-based: a table of a thousand rows takes as many statements as one of ten."""
    engine = company.database._engine

    def statements(site: str, count: int) -> int:
        sent: list[object] = []

        def listen(*given: object) -> None:
            sent.append(given)

        rows = [
            (f"02:00:00:00:{n // 256:02x}:{n % 256:02x}", f"10.0.{n // 256}.{n % 256}") for n in range(count)
        ]
        seen = [Sighting(Source.NEIGHBOUR, SiteId(site), START, mac, ip) for mac, ip in rows]
        event.listen(engine, "before_cursor_execute", listen)
        take_in(company.database, seen, "test", START)
        event.remove(engine, "before_cursor_execute", listen)
        return len(sent)

    assert statements("small", 10) == statements("large", 1_000)


def test_senders_made_up_by_the_thousand_behind_one_port_make_no_machines(database: Database):
    """P6.2: a forwarded address alone, at a port that many share, makes nobody; with an IP address it does."""
    flooded = {**switch(), **q_row(MACHINE, 4), **crowd(4, 200), **held((10, 0, 0, 1), MACHINE)}
    with answering(Agent(flooded)) as agent, reading(database, agent) as (reader, _):
        reader.turn()
    (machine,) = machines(database)
    assert (machine.hardware, machine.port) == ((MAC,), "")
