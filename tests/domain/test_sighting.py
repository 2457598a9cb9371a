"""Sightings become machines: one machine is all its addresses (A13), and managed is what a certificate says (P5.1)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.domain.device import DeviceId, SiteId
from forestall.domain.sighting import Merged, Sighting, Source, is_shared, merge, way_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SITE = SiteId("main")
MAC, OTHER, DOCK = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:99"
IP, MOVED = "10.0.0.1", "10.0.0.2"
LAPTOP, DESK = DeviceId("m-laptop"), DeviceId("m-desk")


def seen(mac="", ip="", *, ago=0, by=Source.NEIGHBOUR, site=SITE, **more) -> Sighting:
    return Sighting(by, site, NOW - ago * HOUR, mac, ip, **more)


def shapes(merged: Merged) -> set[tuple[frozenset[str], frozenset[str], bool]]:
    return {(frozenset(m.hardware), frozenset(m.addresses), m.managed) for m in merged.machines}


def shape(hardware=(), addresses=(), managed=False):
    return frozenset(hardware), frozenset(addresses), managed


@pytest.mark.parametrize(
    ("sightings", "wanted"),
    [
        pytest.param(
            [seen(MAC, IP), seen(MAC, MOVED, ago=1)],
            {shape([MAC], [IP, MOVED])},
            id="one hardware address, two IP addresses",
        ),
        pytest.param(
            [seen(MAC, IP, ago=2), seen(OTHER, IP)],
            {shape([MAC]), shape([OTHER], [IP])},
            id="an IP address is its last holder's",
        ),
        pytest.param(
            [seen(MAC, IP), seen(ip=IP, by=Source.SWEEP, ago=1)],
            {shape([MAC], [IP])},
            id="a knock answered is the holder's",
        ),
        pytest.param(
            [seen(MAC, IP, ago=40), seen(ip=IP, by=Source.SWEEP)],
            {shape([MAC]), shape([], [IP])},
            id="who held it yesterday but one is nobody's proof",
        ),
        pytest.param(
            [seen(MAC, IP), seen(MAC, IP, site=SiteId("far"))],
            {shape([MAC], [IP])},
            id="the same machine at two sites",
        ),
        pytest.param(
            [seen(MAC, IP), seen(ip=IP, by=Source.SWEEP, site=SiteId("far"))],
            {shape([MAC], [IP]), shape([], [IP])},
            id="another site's 10.0.0.1 is another machine",
        ),
        pytest.param(
            [seen(MAC, IP, name="pc"), seen(OTHER, MOVED, name="pc")],
            {shape([MAC], [IP]), shape([OTHER], [MOVED])},
            id="a name is a claim and joins nobody",
        ),
        pytest.param([seen(MAC, IP, name=LAPTOP)], {shape([MAC], [IP])}, id="nobody is managed by his name"),
        pytest.param(
            [seen(MAC, IP, certificate=LAPTOP, by=Source.LOGIN)],
            {shape([MAC], [IP], managed=True)},
            id="managed by certificate",
        ),
        pytest.param(
            [seen(MAC, IP, certificate="stranger", by=Source.LOGIN)],
            {shape([MAC], [IP])},
            id="a certificate that is none of ours",
        ),
        pytest.param(
            [
                seen(MAC, certificate=LAPTOP, by=Source.LOGIN),
                seen(OTHER, IP, certificate=LAPTOP, by=Source.LOGIN),
            ],
            {shape([MAC, OTHER], [IP], managed=True)},
            id="wired and wireless under one certificate",
        ),
        pytest.param(
            [seen(ip=IP, certificate=LAPTOP, by=Source.CHECK_IN), seen(MAC, IP, ago=1)],
            {shape([], [IP], managed=True), shape([MAC])},
            id="an agent that came from the address that a machine held is not therefore that machine",
        ),
        pytest.param(
            [seen(MAC, IP, certificate=LAPTOP, by=Source.CHECK_IN, ago=1), seen(MAC, by=Source.FORWARDING)],
            {shape([MAC], [IP], managed=True)},
            id="an agent whose hardware was borne out is that machine",
        ),
        pytest.param(
            [seen(ip=IP, certificate=LAPTOP, by=Source.CHECK_IN, ago=1), seen(ip=IP, by=Source.SWEEP)],
            {shape([], [IP], managed=True)},
            id="a knock answered at an agent's own address, where nobody tells hardware, is the agent's",
        ),
        pytest.param(
            [seen(ip=IP, certificate=LAPTOP, by=Source.LOGIN), seen(MAC, IP, ago=1)],
            {shape([MAC], [IP], managed=True)},
            id="whoever logged in by certificate at the address that a machine held is that machine",
        ),
        pytest.param(
            [
                seen(DOCK, IP, certificate=LAPTOP, by=Source.LOGIN, ago=3),
                seen(DOCK, MOVED, certificate=DESK, by=Source.LOGIN),
            ],
            {shape([DOCK], [IP], managed=True), shape([DOCK], [MOVED], managed=True)},
            id="a docking station joins nobody",
        ),
        pytest.param(
            [
                seen(DOCK, IP, certificate=LAPTOP, by=Source.LOGIN, ago=3),
                seen(DOCK, MOVED, certificate=DESK, by=Source.LOGIN, ago=2),
                seen(DOCK, "10.0.0.3"),
            ],
            {
                shape([DOCK], [IP], managed=True),
                shape([DOCK], [MOVED], managed=True),
                shape([DOCK], ["10.0.0.3"]),
            },
            id="whoever is at a shared docking station now is nobody we know",
        ),
        pytest.param(
            [seen("00:00:5e:00:01:07", IP), seen("00:00:5e:00:01:07", MOVED)],
            {shape([], [IP]), shape([], [MOVED])},
            id="routers that stand in for each other",
        ),
    ],
)
def test_sightings_make_machines(sightings: list[Sighting], wanted):
    assert shapes(merge(sightings, {}, [LAPTOP, DESK])) == wanted


def test_a_hardware_address_alone_never_makes_a_machine_managed():
    known = {f"hardware:{MAC}": LAPTOP}
    (machine,) = merge([seen(MAC, IP)], known, [LAPTOP]).machines
    assert (machine.managed, machine.id == LAPTOP) == (False, False)


def test_a_machine_keeps_its_id_and_what_was_known_apart_is_joined_and_logged():
    first = merge([seen(ip=IP, by=Source.SWEEP, ago=2)], {})
    known = {way_of(sighting): device for sighting, device in first.taken.items()}
    sightings = [*first.taken, seen(MAC, IP, ago=1)]
    (machine,) = merge(sightings, known).machines
    assert machine.id == first.machines[0].id
    late = merge([*sightings, seen(MAC, certificate=LAPTOP, by=Source.LOGIN)], known, [LAPTOP])
    assert [(each.kept, each.absorbed) for each in late.log] == [(LAPTOP, machine.id)]
    assert "address:main:10.0.0.1" in late.log[0].because


@pytest.mark.parametrize(
    ("sightings", "port"),
    [
        pytest.param([seen(MAC, port="sw 1", by=Source.FORWARDING)], "sw 1", id="a switch knows the port"),
        pytest.param([seen(MAC, IP, port="eth0")], "", id="a router's interface is nobody's place"),
        pytest.param(
            [seen(MAC, port="sw 1", by=Source.FORWARDING, ago=2), seen(MAC, port="ap 7", by=Source.LOGIN)],
            "ap 7",
            id="it changed from the cable to the air: the newest word counts",
        ),
        pytest.param(
            [seen(MAC, port="room 12", by=Source.BOOKS), seen(MAC, port="sw 1", by=Source.FORWARDING, ago=9)],
            "sw 1",
            id="the company's list only where nobody saw it",
        ),
        pytest.param([seen(MAC, port="room 12", by=Source.BOOKS)], "room 12", id="the list alone"),
    ],
)
def test_a_machine_is_where_it_was_seen_last(sightings: list[Sighting], port: str):
    (machine,) = merge(sightings, {}).machines
    assert machine.port == port


def test_the_newest_word_of_each_kind_is_shown():
    (machine,) = merge(
        [seen(MAC, name="old", user="ann", ago=2), seen(MAC, name="new", ago=1), seen(MAC)], {}
    ).machines
    assert (machine.name, machine.user) == ("new", "ann")
    assert (machine.first_seen_at, machine.last_seen_at) == (NOW - 2 * HOUR, NOW)


@pytest.mark.parametrize(
    ("hardware", "shared"),
    [(MAC, False), ("ff:ff:ff:ff:ff:ff", True), ("01:00:5e:00:00:01", True), ("00:00:0c:07:ac:01", True)],
)
def test_a_hardware_address_that_is_nobodys_own(hardware: str, shared: bool):
    assert is_shared(hardware) is shared


SOME = st.builds(
    Sighting,
    st.sampled_from(Source),
    st.just(SITE),
    st.integers(0, 60).map(lambda ago: NOW - ago * HOUR),
    st.sampled_from(["", MAC, OTHER, DOCK, "00:00:5e:00:01:07"]),
    st.sampled_from(["", IP, MOVED, "10.0.0.3"]),
    certificate=st.sampled_from(["", "", "", LAPTOP, DESK]),
)


@settings(max_examples=300)
@given(st.lists(SOME, max_size=7), st.randoms(use_true_random=False))
def test_whatever_is_seen_in_whatever_order(sightings: list[Sighting], chance):
    merged = merge(sightings, {}, [LAPTOP, DESK])
    shuffled = chance.sample(sightings, len(sightings))
    assert merge(shuffled, {}, [LAPTOP, DESK]) == merged
    held = [address for machine in merged.machines for address in machine.addresses]
    assert len(held) == len(set(held)), "an IP address has one holder"
    assert set(merged.taken) == set(sightings), "every sighting is somebody's"
    assert len({machine.id for machine in merged.machines}) == len(merged.machines)
    certified = {each.certificate for each in sightings} - {""}
    assert {machine.id for machine in merged.machines if machine.managed} == certified


@settings(max_examples=300)
@given(st.lists(SOME, max_size=7))
def test_ids_stay(sightings: list[Sighting]):
    """As the store keeps them: of each way of being seen the newest."""
    kept = {way_of(each): each for each in sorted(sightings, key=lambda each: each.seen_at)}.values()
    first = merge(kept, {}, [LAPTOP, DESK])
    again = merge(kept, {way_of(s): d for s, d in first.taken.items()}, [LAPTOP, DESK])
    assert [m.id for m in again.machines] == [m.id for m in first.machines]


def test_two_that_held_one_address_in_turn_never_share_an_id():
    knocks = [seen(ip=IP, by=Source.SWEEP, ago=60), seen(ip=IP, by=Source.BOOKS)]
    holders = [seen(MAC, IP, ago=60), seen(OTHER, IP)]
    known = {way_of(knocks[0]): DeviceId("seen-earlier")}
    merged = merge([*knocks, *holders], known)
    assert sorted(machine.id for machine in merged.machines) == ["seen-earlier", f"seen-hardware:{OTHER}"]
