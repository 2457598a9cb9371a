"""Whose is the interface that an agent speaks through? Claims count where connection and network agree (P5.1, A13)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.device import DeviceId, SiteId
from forestall.domain.sighting import Machine, Sighting, Source, merge
from forestall.domain.vouching import STANDS_FOR, Word, borne_out, standing

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SITE, FAR = SiteId("main"), SiteId("far")
MINE, THEIRS, BOX = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:99"
IP, OTHER = "10.0.0.1", "10.0.0.2"
LAPTOP, DESK = DeviceId("m-laptop"), DeviceId("m-desk")
MANAGED = [LAPTOP, DESK]


def word(address=IP, hardware=MINE, *, ago=0, device=LAPTOP, site=SITE) -> Word:
    return Word(device, site, NOW - ago * HOUR, address, hardware)


def seen(mac="", ip="", *, ago=0, by=Source.NEIGHBOUR, site=SITE, **more) -> Sighting:
    return Sighting(by, site, NOW - ago * HOUR, mac, ip, **more)


def machines(words: list[Word], sightings: list[Sighting]) -> list[Machine]:
    return merge([*sightings, *borne_out(words, sightings)], {}, MANAGED).machines


def owned(words: list[Word], sightings: list[Sighting]) -> dict[str, bool]:
    """Hardware address -> whether it is a managed machine's."""
    return {mac: each.managed for each in machines(words, sightings) for mac in each.hardware}


@pytest.mark.parametrize(
    ("words", "sightings", "wanted"),
    [
        pytest.param([word()], [seen(MINE, IP)], {MINE: True}, id="all three agree: one machine"),
        pytest.param(
            [word()],
            [seen(MINE, IP), seen(MINE, by=Source.FORWARDING), seen(ip=IP, by=Source.SWEEP)],
            {MINE: True},
            id="also to switches and sweeps it is one machine",
        ),
        pytest.param(
            [word(site=SITE)], [seen(MINE, "10.0.0.1", site=FAR)], {MINE: True}, id="a laptop that travels"
        ),
        pytest.param(
            [word(IP, THEIRS)],
            [seen(MINE, IP), seen(THEIRS, OTHER)],
            {MINE: False, THEIRS: False},
            id="a hostile agent claims its neighbour's hardware: the network says otherwise",
        ),
        pytest.param(
            [word(IP, THEIRS)],
            [seen(THEIRS, OTHER), seen(THEIRS, by=Source.FORWARDING)],
            {THEIRS: False},
            id="the same where the network does not know who holds its address: nothing bears it out",
        ),
        pytest.param(
            [word(IP, "")], [seen(BOX, IP)], {BOX: False},
            id="an agent claims the address of the box it speaks through: the box stays unmanaged",
        ),
        pytest.param(
            [word("", "")], [seen(BOX, IP)], {BOX: False}, id="behind address translation: the address is not its own"
        ),
        pytest.param(
            [word(IP, MINE), word(OTHER, BOX, device=DESK)],
            [seen(BOX, IP), seen(BOX, OTHER)],
            {BOX: True},
            id="only who really has the hardware that holds the address, not who came through it",
        ),
        pytest.param(
            [word(IP, BOX), word(OTHER, BOX, device=DESK)],
            [seen(BOX, IP), seen(BOX, OTHER)],
            {BOX: False},
            id="two machines that share hardware, as a docking station: it is nobody's",
        ),
        pytest.param(
            [word()], [seen(THEIRS, IP, ago=2), seen(MINE, IP, ago=1)], {MINE: True, THEIRS: False},
            id="an address that changed hands: its last holder counts",
        ),
        pytest.param(
            [word()], [seen(MINE, IP, ago=30)], {MINE: False}, id="who held it the day before yesterday proves nothing"
        ),
        pytest.param(
            [word(hardware="00:00:5e:00:01:07")], [seen("00:00:5e:00:01:07", IP)], {},
            id="routers that stand in for each other are nobody",
        ),
        pytest.param(
            [word()], [seen(MINE, IP, by=Source.LOGIN)], {MINE: True}, id="RADIUS accounting names the holder, too"
        ),
        pytest.param(
            [word()], [seen(MINE, IP, by=Source.BOOKS)], {MINE: False}, id="a list is not what the network says"
        ),
        pytest.param(
            [word()], [seen(MINE, IP), seen(THEIRS, IP, site=FAR)], {MINE: True, THEIRS: False},
            id="another site's 10.0.0.1 is another machine",
        ),
        pytest.param(
            [word()], [seen(MINE, IP), seen(MINE, IP, site=FAR)], {MINE: False},
            id="one hardware address with one IP address at two sites at once: left alone",
        ),
    ],
)  # fmt: skip
def test_hardware_is_a_managed_machines_where_all_three_agree(
    words: list[Word], sightings: list[Sighting], wanted: dict[str, bool]
):
    assert owned(words, sightings) == wanted


@pytest.mark.parametrize(
    ("words", "sightings", "holder"),
    [
        pytest.param([word(IP, "")], [seen(ip=IP, by=Source.SWEEP)], LAPTOP, id="a tunnel: nobody tells hardware"),
        pytest.param([word(IP, "")], [seen(BOX, IP)], f"seen-hardware:{BOX}", id="the network names a holder: its own"),
        pytest.param(
            [word(IP, THEIRS)], [seen(MINE, IP, ago=3)], f"seen-hardware:{MINE}",
            id="a lie about hardware takes no address from anybody",
        ),
    ],
)  # fmt: skip
def test_who_holds_the_address(words: list[Word], sightings: list[Sighting], holder: str):
    assert [each.id for each in machines(words, sightings) if IP in each.addresses] == [holder]


def test_a_machine_vouches_for_hardware_it_no_longer_speaks_through_for_a_week():
    old = seen(MINE, IP, by=Source.CHECK_IN, certificate=LAPTOP, ago=24 * 9)
    silent = [old, seen(MINE, IP)]
    assert standing(silent) == silent, (
        "an agent that fell silent keeps its hardware: A4 is about that very machine"
    )
    for days, stands in ((1, False), (3, True)):
        spoke = seen(THEIRS, OTHER, by=Source.CHECK_IN, certificate=LAPTOP, ago=24 * days)
        assert (old in standing([old, spoke])) is stands
    assert timedelta(days=6) < STANDS_FOR < timedelta(days=8)


MACS = st.sampled_from(["", MINE, THEIRS, BOX])
IPS = st.sampled_from(["", IP, OTHER])
SIGHTINGS = st.lists(
    st.builds(
        Sighting,
        st.sampled_from([Source.NEIGHBOUR, Source.LEASE, Source.FORWARDING, Source.SWEEP]),
        st.sampled_from([SITE, FAR]),
        st.integers(0, 60).map(lambda ago: NOW - ago * HOUR),
        MACS,
        IPS,
    ),
    max_size=7,
)


@given(
    st.lists(st.builds(word, IPS, MACS, ago=st.integers(0, 60), device=st.sampled_from(MANAGED)), max_size=3),
    SIGHTINGS,
)
def test_whatever_agents_claim_the_network_has_seen_it_at_the_address_of_the_connection(
    words: list[Word], sightings: list[Sighting]
):
    for mac, managed in owned(words, sightings).items():
        if managed:
            said = {each.address for each in words if each.hardware == mac}
            assert any(each.hardware == mac and each.address in said for each in sightings)


@given(SIGHTINGS, st.builds(word, IPS, MACS, ago=st.integers(0, 60)))
def test_a_word_never_takes_away_hardware_that_it_does_not_name(sightings: list[Sighting], said: Word):
    """A hostile or mistaken word changes nothing for all hardware but the one it names."""
    before, after = owned([], sightings), owned([said], sightings)
    assert {mac: m for mac, m in after.items() if mac != said.hardware} == {
        mac: m for mac, m in before.items() if mac != said.hardware
    }
