"""From a forwarding table to commands, or to a refusal with its name (P6.4, A8, A13)."""

# ruff: noqa: E501 - a table reads best one row a line

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.network.mark import read_mark
from forestall.network.point import Marked, Plan, Refusal, Target
from forestall.network.switch import SwitchRules, SwitchSight, SwitchView
from network.made import (
    ACCESS,
    GATEWAY,
    MACHINE,
    OTHER,
    RULES,
    SERVER,
    SWITCH,
    TRUNK,
    UPLINK,
    US,
    VICTIM,
    VIEW,
    VLAN_RULES,
    carried_out,
    changed,
    closing,
    plans,
    port,
    refusals,
    seen_at,
)  # fmt: skip

BRIDGE, ACCESS_POINT, ROUTER, TELEPHONE = 0x20, 0x10, 0x08, 0x04
NOWHERE = replace(VIEW, seen={US: frozenset({UPLINK})})


def texts(answers: tuple[object, ...]) -> list[str]:
    return [step.text for answer in answers if isinstance(answer, Plan) for step in answer.steps]


@pytest.mark.parametrize(
    ("view", "rules", "commands"),
    [
        pytest.param(
            VIEW, RULES,
            ["Gi1/101: ifAlias = “[forestall m-1 openssl-1] desk 101”", "Gi1/101: ifAdminStatus = down",
             f"Gi1/101: {VICTIM} is gone"],
            id="a machine at an access port: marked, shut down, and its address must be gone",
        ),
        pytest.param(
            VIEW, VLAN_RULES,
            ["Gi1/101: ifAlias = “[forestall m-1 openssl-1 vlan 10] desk 101”", "Gi1/101: joins VLAN 99",
             "Gi1/101: joins VLAN 99", "Gi1/101: dot1qPvid = 99", "Gi1/101: leaves VLAN 10",
             "Gi1/101: leaves VLAN 10"],
            id="with a quarantine VLAN: marked, and moved with its membership",
        ),
        pytest.param(
            replace(VIEW, egress={}, untagged={}), VLAN_RULES,
            ["Gi1/101: ifAlias = “[forestall m-1 openssl-1 vlan 10] desk 101”", "Gi1/101: dot1qPvid = 99"],
            id="a switch without membership lists: the PVID alone",
        ),
        pytest.param(
            seen_at(VIEW, VICTIM, 101, 103), replace(RULES, never=frozenset({"Gi1/104"})),
            ["Gi1/101: ifAlias = “[forestall m-1 openssl-1] desk 101”", "Gi1/101: ifAdminStatus = down",
             f"Gi1/101: {VICTIM} is gone",
             "Gi1/103: ifAlias = “[forestall m-1 openssl-1] desk 103”", "Gi1/103: ifAdminStatus = down",
             f"Gi1/103: {VICTIM} is gone"],
            id="a machine at two ports: both are closed",
        ),
        pytest.param(
            seen_at(VIEW, VICTIM, 101, TRUNK), RULES,
            ["Gi1/101: ifAlias = “[forestall m-1 openssl-1] desk 101”", "Gi1/101: ifAdminStatus = down",
             f"Gi1/101: {VICTIM} is gone"],
            id="seen at its port and behind a trunk: only its port is closed",
        ),
        pytest.param(
            changed(VIEW, 101, alias=b"[forestall m-1 squid-1] desk 101", up=False), RULES,
            ["Gi1/101: ifAlias = “[forestall m-1 squid-1,openssl-1] desk 101”"],
            id="closed for another campaign already: this one is added to the mark",
        ),
        pytest.param(
            changed(NOWHERE, 101, alias=b"[forestall m-1 openssl-1] desk 101", up=False), RULES, [],
            id="closed for this campaign already: nothing is sent",
        ),
        pytest.param(
            changed(VIEW, 101, alias=b"[forestall m-9 squid-1] desk 101"), RULES,
            ["Gi1/101: ifAlias = “[forestall m-1 openssl-1] desk 101”", "Gi1/101: ifAdminStatus = down",
             f"Gi1/101: {VICTIM} is gone"],
            id="an old mark on an open port: what stood there before it is kept",
        ),
        pytest.param(
            seen_at(changed(VIEW, 101, alias=b"[forestall m-1 openssl-1] desk 101", up=False), VICTIM, 103), RULES,
            ["Gi1/103: ifAlias = “[forestall m-1 openssl-1] desk 103”", "Gi1/103: ifAdminStatus = down",
             f"Gi1/103: {VICTIM} is gone"],
            id="removed, and seen at another port: that one is closed too",
        ),
        pytest.param(
            changed(VIEW, 101, tagged=frozenset({30})), replace(RULES, voice_vlans=frozenset({30})),
            ["Gi1/101: ifAlias = “[forestall m-1 openssl-1] desk 101”", "Gi1/101: ifAdminStatus = down",
             f"Gi1/101: {VICTIM} is gone"],
            id="the tag of a voice VLAN makes no trunk",
        ),
    ],
)  # fmt: skip
def test_what_is_sent(view: SwitchView, rules: SwitchRules, commands: list[str]):
    answers = closing(view, rules)
    assert refusals(answers) == []
    assert texts(answers) == commands


@pytest.mark.parametrize(
    ("view", "rules", "target", "reason"),
    [
        pytest.param(VIEW, RULES, replace(MACHINE, protected=True), "protected", id="a machine that is protected by now"),
        pytest.param(seen_at(VIEW, SERVER, 103), RULES, replace(MACHINE, addresses=(SERVER,)), "protected",
                     id="an address that is protected"),
        pytest.param(VIEW, RULES, replace(MACHINE, addresses=("10.0.0.33",)), "protected",
                     id="a protected address, known by its IP only"),
        pytest.param(seen_at(VIEW, SERVER, 101), replace(RULES, other_addresses=3), MACHINE, "protected",
                     id="a protected machine at the same port"),
        pytest.param(VIEW, RULES, replace(MACHINE, addresses=(US,)), "infrastructure", id="ourselves"),
        pytest.param(VIEW, RULES, replace(MACHINE, addresses=(VICTIM, "10.0.0.10")), "infrastructure", id="our own IP address"),
        pytest.param(VIEW, RULES, replace(MACHINE, addresses=(SWITCH,)), "infrastructure", id="the switch itself"),
        pytest.param(replace(VIEW, gateway=GATEWAY), RULES, replace(MACHINE, addresses=(GATEWAY,)), "infrastructure",
                     id="the switch's gateway"),
        pytest.param(VIEW, RULES, replace(MACHINE, addresses=()), "no-address", id="a machine without addresses"),
        pytest.param(VIEW, RULES, replace(MACHINE, addresses=("10.0.0.77",)), "no-address",
                     id="an IP address that nobody has"),
        pytest.param(NOWHERE, RULES, MACHINE, "not-seen", id="a machine that is at no port"),
        pytest.param(replace(VIEW, seen={VICTIM: frozenset({101})}), RULES, MACHINE, "own-path-unknown",
                     id="nobody knows through which port we come"),
        pytest.param(seen_at(VIEW, VICTIM, UPLINK), RULES, MACHINE, "own-path", id="seen only where we come from"),
        pytest.param(seen_at(VIEW, VICTIM, TRUNK), RULES, MACHINE, "trunk", id="seen only behind a port with tags"),
        pytest.param(seen_at(VIEW, VICTIM, UPLINK, TRUNK), RULES, MACHINE, "trunk",
                     id="seen where we come from and behind a trunk: the trunk tells more"),
        pytest.param(changed(VIEW, 101, kind=161), RULES, MACHINE, "trunk", id="seen only behind a bundle of ports"),
        pytest.param(changed(VIEW, 101, base=None), RULES, MACHINE, "trunk", id="an interface that is no port of the bridge"),
        pytest.param(VIEW, replace(RULES, uplinks=frozenset({"Gi1/101"})), MACHINE, "uplink", id="a port named as an uplink"),
        pytest.param(replace(VIEW, root=101), RULES, MACHINE, "uplink", id="the port towards the root of the spanning tree"),
        pytest.param(changed(VIEW, 101, neighbour=BRIDGE), RULES, MACHINE, "uplink", id="a switch says by LLDP that it is there"),
        pytest.param(changed(VIEW, 101, neighbour=ROUTER), RULES, MACHINE, "uplink", id="a router says so"),
        pytest.param(changed(VIEW, 101, neighbour=BRIDGE | TELEPHONE), RULES, MACHINE, "neighbour",
                     id="a telephone that would lose its line"),
        pytest.param(changed(VIEW, 101, neighbour=ACCESS_POINT), VLAN_RULES, MACHINE, "neighbour", id="an access point"),
        pytest.param(seen_at(VIEW, OTHER, 101), RULES, MACHINE, "many-addresses", id="somebody else is at the port"),
        pytest.param(VIEW, replace(RULES, never=frozenset({"Gi1/101"})), MACHINE, "never", id="a port the settings exclude"),
        pytest.param(changed(VIEW, 101, up=False), RULES, MACHINE, "closed-by-others", id="a port somebody closed by hand"),
        pytest.param(changed(VIEW, 101, alias=b"[forestall m-9 a-1 vlan 10] x", pvid=99), VLAN_RULES, MACHINE,
                     "closed-by-others", id="a port that is closed for another machine"),
        pytest.param(replace(VIEW, egress={10: VIEW.egress[10]}), VLAN_RULES, MACHINE, "no-quarantine-vlan",
                     id="a quarantine VLAN that does not exist there"),
        pytest.param(VIEW, replace(RULES, longest_mark=10), MACHINE, "mark-too-long", id="no room for a mark"),
        pytest.param(
            changed(changed(VIEW, 103, alias=b"[forestall m-7 a-1] x", up=False), 104, alias=b"[forestall m-8 a-1] y", up=False),
            replace(RULES, closed_at_most=2), MACHINE, "cap", id="as many closed as the settings allow"),
    ],
)  # fmt: skip
def test_what_is_refused(view: SwitchView, rules: SwitchRules, target: Target, reason: str):
    answers = closing(view, rules, target, SERVER, "10.0.0.33")
    assert refusals(answers) == [reason]
    assert plans(answers) == []


def test_a_telephone_keeps_its_line_in_a_quarantine_vlan():
    view = changed(seen_at(VIEW, OTHER, 101), 101, neighbour=BRIDGE | TELEPHONE)
    assert refusals(closing(view, replace(VLAN_RULES, other_addresses=1))) == []


def test_ip_addresses_alone_are_found_by_the_switchs_own_table():
    (plan,) = plans(closing(VIEW, target=replace(MACHINE, addresses=("10.0.0.11",))))
    assert plan.place == "Gi1/101"


@pytest.mark.parametrize("rules", [RULES, VLAN_RULES], ids=["port down", "quarantine VLAN"])
def test_a_release_puts_everything_back(rules: SwitchRules):
    off = carried_out(VIEW, *plans(closing(VIEW, rules)))
    assert SwitchSight(off, rules).marks() == (Marked("sw1", "Gi1/101", "m-1", ("openssl-1",), closed=True),)
    back = carried_out(off, *SwitchSight(off, rules).release(MACHINE))
    assert (back.ports, back.egress, back.untagged) == (VIEW.ports, VIEW.egress, VIEW.untagged)


def test_a_machine_stays_off_while_another_campaign_holds_it():
    off = carried_out(
        VIEW, *plans(closing(VIEW)), *plans(closing(VIEW, target=replace(MACHINE, campaign="squid-1")))
    )
    off = changed(off, 101, alias=b"[forestall m-1 openssl-1,squid-1] desk 101")
    kept = carried_out(off, *SwitchSight(off, RULES).release(MACHINE))
    assert not kept.ports[101].up
    assert kept.ports[101].alias == b"[forestall m-1 squid-1] desk 101"


def test_what_is_not_marked_is_never_opened():
    view = changed(VIEW, 103, up=False, alias=b"broken cable")
    assert SwitchSight(view, RULES).free() == ()
    assert SwitchSight(view, RULES).release(MACHINE) == ()


def test_a_marked_port_that_somebody_opened_reads_as_open():
    view = changed(VIEW, 101, alias=b"[forestall m-1 openssl-1] desk 101")
    assert [mark.closed for mark in SwitchSight(view, RULES).marks()] == [False]
    back = carried_out(view, *SwitchSight(view, RULES).free())
    assert back.ports[101] == VIEW.ports[101]


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "up": st.booleans(),
        "kind": st.sampled_from([6, 161, 53]),
        "tagged": st.frozensets(st.sampled_from([10, 20, 30]), max_size=2),
        "neighbour": st.sampled_from([0, BRIDGE, ACCESS_POINT, ROUTER, TELEPHONE, BRIDGE | TELEPHONE]),
        "alias": st.sampled_from(
            [b"", "Büro".encode(), b"\xff\xfe", b"[forestall m-9 a-1] x", b"[forestall m-1 a-1 vlan 10]"]
        ),
        "pvid": st.sampled_from([10, 20, 99]),
    },
)
MACS = (US, GATEWAY, SWITCH, VICTIM, OTHER, SERVER)


@st.composite
def views(draw: st.DrawFn) -> SwitchView:
    """Any switch at all."""
    ports = {index: port(index, **draw(FACTS)) for index in (*ACCESS, UPLINK, TRUNK)}
    at = st.frozensets(st.sampled_from(sorted(ports)), max_size=2)
    seen = {mac: found for mac in MACS if (found := draw(at))}
    root = draw(st.none() | st.sampled_from(sorted(ports)))
    return replace(VIEW, ports=ports, seen=seen, root=root, gateway=draw(st.sampled_from(["", GATEWAY])))


@settings(max_examples=1_500, deadline=None)
@given(
    views(), st.sampled_from([RULES, VLAN_RULES]), st.lists(st.sampled_from(MACS), max_size=3), st.booleans()
)
def test_whatever_is_ordered_nothing_that_must_stay_is_closed(
    view: SwitchView, rules: SwitchRules, addresses: list[str], strict: bool
):
    rules = rules if strict else replace(rules, other_addresses=2)
    target = replace(MACHINE, addresses=tuple(addresses))
    answers = closing(view, rules, target, SERVER)
    for plan in plans(answers):
        (index,) = [each.index for each in view.ports.values() if each.name == plan.place]
        at, here = view.ports[index], {mac for mac, ports in view.seen.items() if index in ports}
        closes = any("ifAdminStatus = down" in step.text or "dot1qPvid" in step.text for step in plan.steps)
        if closes:
            assert at.up
            assert at.kind == 6
            assert not at.tagged
            assert index != view.root
            assert not here & {US, SERVER, *([GATEWAY] if view.gateway else [])}
            assert len(here - {SWITCH} - set(addresses)) <= rules.other_addresses
            assert set(addresses).isdisjoint({US, SWITCH, SERVER})
            mark = read_mark(plan.steps[0].value)  # type: ignore[attr-defined]  # the mark comes first
            assert mark is not None
            assert mark.device == "m-1"
    assert answers, "every order gets an answer"
    assert all(isinstance(answer, Plan | Refusal) for answer in answers)


@settings(max_examples=500, deadline=None)
@given(views(), st.sampled_from([RULES, VLAN_RULES]))
def test_freeing_a_freed_switch_changes_nothing(view: SwitchView, rules: SwitchRules):
    freed = carried_out(view, *SwitchSight(view, rules).free())
    assert SwitchSight(freed, rules).marks() == ()
    assert carried_out(freed, *SwitchSight(freed, rules).free()) == freed
