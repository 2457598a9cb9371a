"""Switches' and routers' tables by SNMP: who is there, at which port, and what hostile agents cost (P6.2)."""

import asyncio
import socket
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laboratory.snmp_agent import Agent, Oid, answering

from forestall.clock import stopwatch
from forestall.domain.device import SiteId
from forestall.domain.sighting import Sighting, Source
from forestall.network import snmp
from forestall.network.seen import MOST_AT_A_PORT, neighbours
from forestall.network.snmp import Engines, V2c
from forestall.network.switch import SwitchRules
from forestall.network.tables import Reading, TableSource, read_all

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SITE = SiteId("osaka")
MIB = (1, 3, 6, 1, 2, 1)
IF, BRIDGE, Q, ARP, PHYSICAL = (
    (*MIB, *rest) for rest in ((2, 2, 1), (17,), (17, 7, 1), (4, 22, 1, 2), (4, 35, 1))
)
NAME = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1)
MACHINE, OTHER = (0x52, 0x54, 0, 0, 0, 0x11), (0x52, 0x54, 0, 0, 0, 0x22)
MAC, MAC2 = "52:54:00:00:00:11", "52:54:00:00:00:22"


def switch(ports: int = 4) -> dict[Oid, int | bytes]:
    """A switch with as many ports; base ports are numbered from 1, interfaces from 101."""
    found: dict[Oid, int | bytes] = {}
    for base in range(1, ports + 1):
        found |= {
            (*IF, 7, 100 + base): 1, (*IF, 3, 100 + base): 6, (*NAME, 100 + base): f"Gi1/0/{base}".encode(),
            (*BRIDGE, 1, 4, 1, 2, base): 100 + base, (*Q, 4, 5, 1, 1, base): 10,
        }  # fmt: skip
    return found


def q_row(mac: Oid, base: int, fdb: int = 10) -> dict[Oid, int]:
    return {(*Q, 2, 2, 1, 2, fdb, *mac): base}


def crowd(base: int, count: int) -> dict[Oid, int]:
    rows = [q_row((2, 0, 0, 0, base, n), base) for n in range(count)]
    return {oid: value for row in rows for oid, value in row.items()}


def held(ip: Oid, mac: Oid) -> dict[Oid, bytes]:
    return {(*ARP, 3, *ip): bytes(mac)}


def read(*agents: Agent, seconds: float = 20.0, uplinks: frozenset[str] = frozenset()) -> list[Reading]:
    async def all_of_them() -> list[Reading]:
        engines = Engines()
        try:
            return await read_all(
                [source(agent, n, uplinks) for n, agent in enumerate(agents)], engines, NOW, seconds
            )
        finally:
            engines.close()

    return asyncio.run(all_of_them())


def source(agent: Agent, number: int = 0, uplinks: frozenset[str] = frozenset()) -> TableSource:
    rules = SwitchRules(f"sw{number}", uplinks)
    return TableSource(rules, "127.0.0.1", V2c("readers"), SITE, agent.port, seconds=0.3)


def one(values: Mapping[Oid, int | bytes], **more) -> Reading:
    with answering(Agent(values)) as agent:
        (reading,) = read(agent, **more)
    assert reading.trouble == ""
    assert set(agent.asked) <= {0xA0, 0xA5}, "only GET and GETBULK, never SET"
    return reading


def ports(reading: Reading) -> dict[str, tuple[str, int]]:
    return {each.hardware: (each.port, each.vlan) for each, _ in reading.seen.forwarding}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        pytest.param(q_row(MACHINE, 3), ("sw0 Gi1/0/3", 10), id="a Q-BRIDGE table, with its VLAN"),
        pytest.param(
            {**q_row(MACHINE, 3, fdb=7), (*Q, 4, 2, 1, 3, 0, 42): 7}, ("sw0 Gi1/0/3", 42),
            id="a filtering database that is not numbered as its VLAN",
        ),
        pytest.param(
            {(*BRIDGE, 4, 3, 1, 2, *MACHINE): 2}, ("sw0 Gi1/0/2", 10), id="a BRIDGE table: the VLAN is its port's"
        ),
        pytest.param(
            {**q_row(MACHINE, 4), **crowd(4, MOST_AT_A_PORT)}, ("", 10), id="a port that many share is nobody's place"
        ),
        pytest.param(
            {**q_row(MACHINE, 4), **crowd(4, MOST_AT_A_PORT - 1)}, ("sw0 Gi1/0/4", 10), id="a few share a port"
        ),
        pytest.param(
            {**q_row(MACHINE, 3), (*Q, 4, 3, 1, 2, 20): b"\x20", (*Q, 4, 3, 1, 4, 20): b"\x00"}, ("", 10),
            id="a trunk is nobody's place",
        ),
        pytest.param(
            {**q_row(MACHINE, 3), (1, 0, 8802, 1, 1, 2, 1, 4, 1, 1, 12, 0, 103, 1): b"\x20\x00"}, ("", 10),
            id="nor is a port with a switch at it, by LLDP",
        ),
        pytest.param(
            {**q_row(MACHINE, 3), (*BRIDGE, 2, 7, 0): 3}, ("", 10), id="nor the way to the spanning tree's root"
        ),
        pytest.param({**q_row(MACHINE, 3, fdb=9_999)}, ("sw0 Gi1/0/3", 10), id="a database that is no VLAN"),
    ],
)  # fmt: skip
def test_who_is_at_which_port(values: dict[Oid, int | bytes], wanted: tuple[str, int]):
    assert ports(one({**switch(), **values}))[MAC] == wanted


def test_a_port_that_people_name_as_uplink_is_nobodys_place():
    reading = one({**switch(), **q_row(MACHINE, 3)}, uplinks=frozenset({"Gi1/0/3"}))
    assert ports(reading) == {MAC: ("", 10)}


def test_the_switch_itself_and_groups_are_not_seen():
    values = {
        **switch(),
        (*IF, 6, 101): bytes(OTHER),
        **q_row(OTHER, 1),
        **q_row((1, 0, 0x5E, 0, 0, 1), 2),
        **q_row(MACHINE, 3),
    }
    assert list(ports(one(values))) == [MAC]


@pytest.mark.parametrize(
    ("values", "lively", "stale"),
    [
        pytest.param(held((10, 0, 0, 1), MACHINE), [(MAC, "10.0.0.1")], [], id="ipNetToMedia"),
        pytest.param(
            {(*PHYSICAL, 4, 3, 2, 16, *bytes.fromhex("20010db8000000000000000000000001")): bytes(MACHINE)},
            [(MAC, "2001:db8::1")], [], id="ipNetToPhysical: IPv6",
        ),
        pytest.param(
            {(*PHYSICAL, 4, 3, 2, 16, *bytes.fromhex("fe800000000000000000000000000001")): bytes(MACHINE)},
            [(MAC, "")], [], id="a link-local address is nobody's alone",
        ),
        pytest.param(
            {**held((10, 0, 0, 1), MACHINE), (*PHYSICAL, 4, 3, 1, 4, 10, 0, 0, 1): bytes(MACHINE),
             (*PHYSICAL, 7, 3, 1, 4, 10, 0, 0, 1): 2},
            [], [(MAC, "10.0.0.1")], id="an entry that is only stale, whatever the older table says",
        ),
        pytest.param(
            {(*PHYSICAL, 4, 3, 1, 4, 10, 0, 0, 1): bytes(MACHINE), (*PHYSICAL, 7, 3, 1, 4, 10, 0, 0, 1): 7},
            [], [], id="an incomplete entry is nobody",
        ),
        pytest.param(held((10, 0, 0, 1), (0,) * 6), [], [], id="no hardware address"),
        pytest.param({(*ARP, 3, 10, 0, 0, 1): b"too long a value"}, [], [], id="a value that is no hardware address"),
        pytest.param({(*ARP, 3, 10, 0, 900, 1): bytes(MACHINE)}, [], [], id="an index that is no address"),
    ],
)  # fmt: skip
def test_who_holds_which_address(values, lively, stale):
    seen = one(values).seen
    assert [(each.hardware, each.address) for each in seen.neighbours] == lively
    assert [(each.hardware, each.address) for each in seen.stale] == stale
    assert {each.source for each in (*seen.neighbours, *seen.stale)} <= {Source.NEIGHBOUR}


ROWS = st.dictionaries(
    st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 20), min_size=1, max_size=24).map(tuple),
    st.integers(-(2**31), 2**31 - 1) | st.binary(max_size=20),
    max_size=6,
)


@given(ROWS, ROWS, ROWS)
def test_no_rows_break_the_reader_of_neighbours(old, new, states):
    seen = neighbours(old, new, states, SITE, NOW)
    assert all(isinstance(each, Sighting) for each in (*seen.neighbours, *seen.stale))


def test_no_rows_break_the_reader_of_a_switch():
    """Wherever a switch should have a number it has text, and the other way round; indexes are of any length."""
    values: dict[Oid, int | bytes] = {}
    for oid, value in {**switch(), **q_row(MACHINE, 3), **held((10, 0, 0, 1), MACHINE)}.items():
        values |= {oid: b"\xff\x00 text" if isinstance(value, int) else 7, (*oid, 1): value, oid[:-1]: value}
    with answering(Agent(values)) as agent:
        (reading,) = read(agent)
    assert reading.name == "sw0"


def test_silent_endless_slow_and_garbled_agents_cost_the_others_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(snmp, "_MOST_ROWS", 2_000)
    good = {**switch(), **q_row(MACHINE, 3)}

    class Garbled(Agent):
        def answer(self, datagram: bytes) -> bytes | None:
            return b"\x30\x84\xff\xff\xff\xff" + datagram

    with (
        answering(Agent(good, endless=True, )) as endless,
        answering(Agent(good, community=b"others")) as stranger,
        answering(Agent({**good, **crowd(2, 200)}, pause=0.2)) as slow,
        answering(Garbled(good)) as garbled,
        answering(Agent(good)) as well,
    ):  # fmt: skip
        began = stopwatch()
        readings = read(endless, stranger, slow, garbled, well, seconds=3.0)
        took = stopwatch() - began
    assert [bool(reading.trouble) for reading in readings] == [True, True, True, True, False]
    assert "does not end" in readings[0].trouble
    assert "no answer" in readings[1].trouble
    assert "not read to the end within 3 s" in readings[2].trouble
    assert MAC in ports(readings[4])
    assert readings[4].seconds < 3.0
    assert took < 10.0


def test_an_agent_that_goes_round_in_circles_ends():
    class Circle(Agent):
        def answer(self, datagram: bytes) -> bytes | None:
            self._order = [*sorted(self.values), *sorted(self.values)]
            return super().answer(datagram)

    with answering(Circle({**switch(), **q_row(MACHINE, 3)})) as agent:
        (reading,) = read(agent)
    assert MAC in ports(reading)


def test_nobody_at_the_address_is_no_answer():
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        agent = Agent({}, port=sock.getsockname()[1])
        (reading,) = read(agent)
    assert "no answer" in reading.trouble
