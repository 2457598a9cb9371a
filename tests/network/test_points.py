"""Gateways, commands, RADIUS clients: what is sent, what is refused; and all points together (A8, A13)."""

# ruff: noqa: E501, S324 - a table reads best one row a line; RADIUS signs with MD5

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path

import pytest

from forestall.network import enforcement, radius
from forestall.network.enforcement import Pace, Removed, choose, free, look_at, preview, remove, restore
from forestall.network.hook import HookPoint
from forestall.network.nftables import Change, Element, NftRules, NftSight, elements_of, script
from forestall.network.point import Answer, Plan, Point, Reason, Refusal, Sight, Target
from forestall.network.radius import Code, Kind
from forestall.network.radius_coa import RadiusPoint, RadiusRules, RadiusSight, Way
from forestall.network.switch import SwitchView
from network.made import ACCESS, MACHINE, RULES, US, VICTIM, VIEW, Simulated, changed, port, refusals

NFT = NftRules("gw", "inet", "guests", {"ipv4_addr": "held4", "ether_addr": "held"}, 2, frozenset({US}))
MARK = "forestall m-1 openssl-1"


def refusal(reason: str) -> Refusal:
    return Refusal(Reason(reason), "sw")


PLAN = Plan("sw", "p1", closes=True)


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        pytest.param([PLAN], "sent", id="one point can"),
        pytest.param([refusal("not-seen"), PLAN], "sent", id="one point can, another does not have the machine"),
        pytest.param([refusal("trunk"), refusal("uplink"), PLAN], "sent", id="others see it behind a trunk only"),
        pytest.param([refusal("unreachable"), PLAN], "sent", id="another point is silent"),
        pytest.param([PLAN, refusal("many-addresses")], "many-addresses", id="one must not: nobody does"),
        pytest.param([PLAN, refusal("protected")], "protected", id="one says protected: nobody does"),
        pytest.param([PLAN, refusal("cap")], "cap", id="one has closed enough: nobody does, for now"),
        pytest.param([refusal("not-seen"), refusal("trunk")], "trunk", id="seen behind a trunk only"),
        pytest.param([refusal("not-seen"), refusal("unreachable")], "unreachable", id="it may be at the silent one"),
        pytest.param([], "no-point", id="no point at all"),
    ],
)  # fmt: skip
def test_all_points_answers_make_one_decision(answers: list[Answer], chosen: str):
    found = choose(answers)
    assert (found.reason if isinstance(found, Refusal) else "sent") == chosen


def ordered(
    points: list[Point], target: Target = MACHINE, pace: int = 10, *, simulate: bool = False
) -> Removed | Refusal:
    return asyncio.run(remove(points, target, frozenset(), Pace(pace), simulate=simulate))


def test_in_simulate_mode_nothing_is_sent_and_the_record_says_what_would_be():
    point = Simulated(VIEW)
    said = ordered([point], simulate=True)
    assert isinstance(said, Refusal)
    assert "ifAdminStatus = down" in str(said)
    assert point.view == VIEW


def test_a_point_of_another_site_is_not_asked():
    said = ordered([Simulated(VIEW, sites=frozenset({"osaka"}))])
    assert isinstance(said, Refusal)
    assert said.reason is Reason.NO_POINT


def test_a_point_that_says_yes_and_does_nothing_is_no_removal():
    said = ordered([Simulated(VIEW, obeys=False)])
    assert isinstance(said, Refusal)
    assert said.reason is Reason.NOT_AS_PROMISED


def test_five_thousand_valid_orders_close_no_more_than_the_caps_allow():
    """R6: whatever was decided elsewhere, the driver's own caps hold."""
    ports = {n: port(n) for n in range(101, 141)}
    macs = {n: f"52:54:00:00:01:{n:02x}" for n in ports}
    seen = {mac: frozenset({n}) for n, mac in macs.items()} | {US: frozenset({147})}
    view = replace(VIEW, ports={**VIEW.ports, **ports}, seen=seen, entries={})
    point, pace = Simulated(view, replace(RULES, closed_at_most=12)), Pace(8)
    targets = [Target(f"m-{n}", "c-1", "", (macs[101 + n % 40],)) for n in range(5_000)]

    async def flood(pace: Pace) -> list[Removed | Refusal]:
        return [await remove([point], target, frozenset(), pace, simulate=False) for target in targets]

    said = asyncio.run(flood(pace))
    assert sum(not each.up for each in point.view.ports.values()) == 8, "the cap of a minute"
    assert {each.reason for each in said if isinstance(each, Refusal)} <= {Reason.CAP, Reason.NOT_SEEN}
    asyncio.run(flood(Pace(5_000)))
    assert sum(not each.up for each in point.view.ports.values()) == 12, (
        "the cap of the switch, read from its marks"
    )


def test_a_release_finds_the_mark_wherever_it_is():
    points = [Simulated(VIEW), Simulated(replace(VIEW, seen={}), replace(RULES, name="sw2"))]
    assert isinstance(ordered([points[0]]), Removed)
    sights = asyncio.run(look_at(points))
    assert isinstance(asyncio.run(restore(points, MACHINE, sights)), Removed)
    assert points[0].view.ports == VIEW.ports


def test_a_release_waits_for_a_silent_point_only_where_the_mark_may_be_there():
    held = Simulated(changed(VIEW, 101, alias=b"[forestall m-1 openssl-1] x", up=False))
    silent = Refusal(Reason.UNREACHABLE, "sw2")
    sights = asyncio.run(look_at([held]))
    assert isinstance(asyncio.run(restore([held], MACHINE, {**sights, "sw2": silent})), Removed)
    assert asyncio.run(restore([], MACHINE, {"sw2": silent})) == silent


def test_breaking_the_glass_opens_every_mark_and_nothing_else():
    marked = changed(VIEW, 101, alias=b"[forestall m-1 openssl-1] desk 101", up=False)
    point = Simulated(changed(marked, 103, up=False, alias=b"broken cable"))
    freed, silent = asyncio.run(free([point]))
    assert [(each.place, each.device, each.trouble) for each in freed] == [("Gi1/101", "m-1", "")]
    assert silent == []
    assert point.view == changed(VIEW, 103, up=False, alias=b"broken cable")


@dataclass
class Dying(Simulated):
    """Falls silent after so many commands, until it is mended."""

    commands: int = 1

    async def send(self, plan: Plan) -> Refusal | None:
        self.commands -= 1
        return await super().send(plan) if self.commands >= 0 else Refusal(Reason.UNREACHABLE, self.name)


@dataclass
class Endless(Simulated):
    """Its tables never end."""

    async def look(self, *, marks_only: bool = False) -> Sight | Refusal:  # noqa: ARG002 - it never comes to that
        await asyncio.Event().wait()
        raise AssertionError


def held_ports(count: int) -> SwitchView:
    view = VIEW
    for index in ACCESS[:count]:
        view = changed(view, index, alias=f"[forestall m-{index} openssl-1] desk {index}".encode(), up=False)
    return view


def test_breaking_the_glass_goes_on_past_every_switch_in_trouble_and_names_it(
    monkeypatch: pytest.MonkeyPatch,
):
    """R16: dead, dying, lying and endless ones hold up nobody; a second run does only what is left."""
    monkeypatch.setattr(enforcement, "_FREE_SECONDS", 0.2)
    names = ("dead", "dying", "lying", "endless", "fine")
    rules = {name: replace(RULES, name=name) for name in names}
    dying = Dying(held_ports(3), rules["dying"])
    points = [
        Simulated(held_ports(3), rules["dead"], silent=True),
        dying,
        Simulated(held_ports(2), rules["lying"], obeys=False),
        Endless(held_ports(3), rules["endless"]),
        Simulated(held_ports(3), rules["fine"]),
    ]
    freed, silent = asyncio.run(free(points))
    assert [refusal.point for refusal in silent] == ["dead", "dying", "endless"]
    told = [(each.point, each.trouble.partition(" ")[0]) for each in freed]
    assert told == [
        ("dying", ""), ("dying", "unreachable"), ("lying", "not-as-promised"), ("lying", "not-as-promised"),
        ("fine", ""), ("fine", ""), ("fine", ""),
    ]  # fmt: skip
    dying.commands = 99
    again, silent = asyncio.run(free(points))
    assert [each.point for each in again] == ["dying", "dying", "lying", "lying"]
    assert [refusal.point for refusal in silent] == ["dead", "endless"]


def test_a_preview_sends_nothing():
    point = Simulated(VIEW)
    assert not isinstance(asyncio.run(preview([point], MACHINE, frozenset())), Refusal)
    assert point.view == VIEW


# -- nftables ---------------------------------------------------------------------------------------------------------

HELD = (Element("held4", "10.0.0.11", MARK), Element("held", VICTIM, MARK))


def test_all_addresses_of_a_machine_go_into_the_sets():
    (plan,) = NftSight((), NFT).close(MACHINE, frozenset())
    assert isinstance(plan, Plan)
    assert [step.text for step in plan.steps] == [
        f"nft add element held4 10.0.0.11 “{MARK}”", f"nft add element held {VICTIM} “{MARK}”",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "target", "reason"),
    [
        pytest.param((), replace(MACHINE, protected=True), "protected", id="a protected machine"),
        pytest.param((), replace(MACHINE, addresses=(US,)), "infrastructure", id="ourselves"),
        pytest.param((), replace(MACHINE, addresses=("fe80::1",)), "no-address", id="no set for its addresses"),
        pytest.param((Element("held", VICTIM),), MACHINE, "closed-by-others", id="somebody else put it there"),
        pytest.param((Element("held", "a", "forestall m-8 a"), Element("held", "b", "forestall m-9 a")), MACHINE, "cap",
                     id="as many held as the settings allow"),
    ],
)  # fmt: skip
def test_a_gateway_refuses(elements: tuple[Element, ...], target: Target, reason: str):
    assert refusals(NftSight(elements, NFT).close(target, frozenset())) == [reason]


def test_a_second_campaign_is_added_to_the_mark_and_the_last_one_frees():
    (plan,) = NftSight(HELD, NFT).close(replace(MACHINE, campaign="squid-1"), frozenset())
    assert isinstance(plan, Plan)
    both = tuple(step.element for step in plan.steps if isinstance(step, Change))
    assert {each.comment for each in both} == {"forestall m-1 openssl-1,squid-1"}
    (kept,) = NftSight(both, NFT).release(MACHINE)
    assert kept.steps[0].text == "nft add element held4 10.0.0.11 “forestall m-1 squid-1”"
    (freed,) = NftSight(HELD, NFT).release(MACHINE)
    assert [step.present for step in freed.steps if isinstance(step, Change)] == [False, False]


def test_other_peoples_elements_are_never_freed():
    assert NftSight((Element("held", VICTIM), Element("held", "x", "by hand")), NFT).free() == ()


def test_changes_are_one_transaction_of_elements_only():
    commands = json.loads(script([Change(HELD[0], present=True, replaces=True)], NFT))["nftables"]
    place = {"family": "inet", "table": "guests", "name": "held4"}
    assert commands == [
        {"delete": {"element": {**place, "elem": ["10.0.0.11"]}}},
        {"add": {"element": {**place, "elem": [{"elem": {"val": "10.0.0.11", "comment": MARK}}]}}},
    ]


def test_a_listing_is_read_with_and_without_marks():
    listing = {
        "nftables": [
            {"metainfo": {}},
            {"set": {"elem": ["10.0.0.9", {"elem": {"val": "10.0.0.11", "comment": MARK}}]}},
        ]
    }
    assert elements_of("held4", json.dumps(listing).encode()) == [Element("held4", "10.0.0.9"), HELD[0]]
    assert elements_of("held4", b"{]") == []


# -- a command of the company's own --------------------------------------------------------------------------------------

HOOK = """#!/bin/sh
case $1 in
list) cat "$0.closed" 2>/dev/null ;;
close) echo "$2 $3" >>"$0.closed" ;;
free) : >"$0.closed" ;;
esac
exit 0
"""


@pytest.fixture
def hook(tmp_path: Path) -> HookPoint:
    path = tmp_path / "ports"
    path.write_text(HOOK)
    path.chmod(0o700)
    return HookPoint("wifi", (str(path),), closed_at_most=1)


def test_a_command_closes_lists_and_frees(hook: HookPoint):
    assert isinstance(ordered([hook]), Removed)
    sights = asyncio.run(look_at([hook]))
    sight = sights["wifi"]
    assert not isinstance(sight, Refusal)
    assert [(mark.device, mark.campaigns) for mark in sight.marks()] == [("m-1", ("openssl-1",))]
    assert refusals(sight.close(replace(MACHINE, device="m-2"), frozenset())) == ["cap"]
    assert isinstance(asyncio.run(restore([hook], MACHINE, sights)), Removed)
    assert asyncio.run(free([hook])) == ([], [])


def test_a_command_that_claims_to_have_done_it_is_found_out(hook: HookPoint):
    Path(hook.command[0]).write_text("#!/bin/sh\nexit 0\n")
    said = ordered([hook])
    assert isinstance(said, Refusal)
    assert said.reason is Reason.NOT_AS_PROMISED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("#!/bin/sh\nexit 3\n", "ended with 3", id="it fails"),
        pytest.param("#!/bin/sh\necho one two three\n", "one two three", id="it lists something else"),
        pytest.param("#!/nowhere\n", "No such file", id="it cannot be started"),
    ],
)
def test_a_command_that_cannot_be_used_is_silent(hook: HookPoint, text: str, says: str):
    Path(hook.command[0]).write_text(text)
    said = ordered([hook])
    assert isinstance(said, Refusal)
    assert said.reason is Reason.UNREACHABLE
    assert says in said.detail


# -- RADIUS ------------------------------------------------------------------------------------------------------------

SECRET = b"not-a-word-from-a-list"
RADIUS = RadiusRules("nas", ours=frozenset({US}))


@contextmanager
def nas(code: int, cause: int = 0, secret: bytes = SECRET) -> Iterator[tuple[int, list[bytes]]]:
    """A RADIUS client that answers every request with one code, by the letters of RFC 5176 and nothing of ours."""
    got: list[bytes] = []
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)

        def serve() -> None:
            packet, peer = server.recvfrom(4096)
            while packet:
                got.append(packet)
                body = struct.pack("!BBI", 101, 6, cause) if cause else b""
                head = struct.pack("!BBH", code, packet[1], 20 + len(body))
                server.sendto(b"noise", peer)
                server.sendto(head + md5(head + packet[4:20] + body + secret).digest() + body, peer)
                packet, peer = server.recvfrom(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], got
        with socket.socket(type=socket.SOCK_DGRAM) as end:
            end.sendto(b"", server.getsockname())
        thread.join()


def told(
    code: int, cause: int = 0, secret: bytes = SECRET, rules: RadiusRules = RADIUS
) -> tuple[Removed | Refusal, list[bytes]]:
    with nas(code, cause, secret) as (number, got):
        point = RadiusPoint(rules, "127.0.0.1", SECRET, port=number, seconds=0.3, tries=2)
        return ordered([point]), got


def test_a_session_is_ended_and_the_request_is_signed():
    said, (packet, *_) = told(Code.DISCONNECT_ACK)
    assert isinstance(said, Removed)
    code, _, length = struct.unpack("!BBH", packet[:4])
    assert (code, length) == (Code.DISCONNECT_REQUEST, len(packet))
    assert packet[4:20] == md5(packet[:4] + bytes(16) + packet[20:] + SECRET).digest()
    assert b"52-54-00-00-00-11" in packet


def test_a_session_is_moved_to_the_quarantine_vlan():
    rules = replace(RADIUS, way=Way.COA, quarantine_vlan="99")
    said, (packet, *_) = told(Code.COA_ACK, rules=rules)
    assert isinstance(said, Removed)
    assert packet[0] == Code.COA_REQUEST
    assert struct.pack("!BB2s", Kind.TUNNEL_PRIVATE_GROUP_ID, 4, b"99") in packet


@pytest.mark.parametrize(
    ("code", "cause", "secret", "reason"),
    [
        pytest.param(Code.DISCONNECT_NAK, 503, SECRET, "not-seen", id="no such session there"),
        pytest.param(Code.DISCONNECT_NAK, 501, SECRET, "not-as-promised", id="it is not allowed to"),
        pytest.param(
            Code.DISCONNECT_ACK,
            0,
            b"another",
            "unreachable",
            id="an answer signed with another secret is none",
        ),
    ],
)
def test_what_is_no_acknowledgement_is_no_removal(code: int, cause: int, secret: bytes, reason: str):
    said, _ = told(code, cause, secret)
    assert isinstance(said, Refusal)
    assert said.reason == reason


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        pytest.param(replace(MACHINE, protected=True), "protected", id="a protected machine"),
        pytest.param(replace(MACHINE, addresses=(US,)), "infrastructure", id="ourselves"),
        pytest.param(replace(MACHINE, addresses=("10.0.0.11",)), "no-address", id="no hardware address"),
    ],
)
def test_a_radius_client_is_not_asked_for(target: Target, reason: str):
    assert refusals(RadiusSight(RADIUS).close(target, frozenset())) == [reason]


@pytest.mark.parametrize("length", [0, 19, 20, 21, 400])
def test_noise_is_no_answer(length: int):
    asked = radius.request(Code.DISCONNECT_REQUEST, [], SECRET)
    assert radius.reply(bytes([41, asked[1]]) + bytes(length), asked, SECRET) is None


def test_a_wrong_message_authenticator_is_no_answer():
    asked = radius.request(Code.DISCONNECT_REQUEST, [], SECRET)
    body = struct.pack("!BB16s", 80, 18, b"wrong")
    head = struct.pack("!BBH", Code.DISCONNECT_ACK, asked[1], 20 + len(body))
    packet = head + md5(head + asked[4:20] + body + SECRET).digest() + body
    assert radius.reply(packet, asked, SECRET) is None
