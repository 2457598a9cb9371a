"""Ports freed over SNMP, on made-up switches that answer real packets on loopback, honestly or not (R16, A8)."""

import asyncio
from functools import partial

import pytest
from laboratory.made_up_switches import MadeUp, made_up

from forestall.network import switch_snmp
from forestall.network.enforcement import Freed, free
from forestall.network.point import Reason, Refusal
from forestall.network.snmp import Engines, V2c
from forestall.network.switch import SwitchRules
from forestall.network.switch_snmp import SnmpSwitch

PORTS, MARKED = 30, 10
PATIENCE = {"dead": 0.1, "dying": 4.0}
"""Seconds for an answer; who answers at all is given the time it takes on a busy machine."""


def freed_at(*switches: MadeUp) -> tuple[list[Freed], list[Refusal]]:
    """Break the glass for some switches."""

    async def run() -> tuple[list[Freed], list[Refusal]]:
        loop, engines, points, ends = asyncio.get_running_loop(), Engines(), [], []
        for number, switch in enumerate(switches):
            end, _ = await loop.create_datagram_endpoint(partial(_itself, switch), ("127.0.0.1", 0))
            ends.append(end)
            port = end.get_extra_info("sockname")[1]
            rules = SwitchRules(f"sw-{number}-{switch.kind}")
            points.append(
                SnmpSwitch(
                    rules,
                    "127.0.0.1",
                    V2c("c"),
                    engines,
                    port=port,
                    seconds=PATIENCE.get(switch.kind, 60.0),
                    tries=1,
                )
            )
        try:
            return await free(points)
        finally:
            engines.close()
            for end in ends:
                end.close()

    return asyncio.run(run())


def _itself(switch: MadeUp) -> MadeUp:
    return switch


def test_an_honest_switch_is_freed_and_freed_once():
    switch = made_up("honest", PORTS, MARKED)
    freed, silent = freed_at(switch)
    assert ([each.place for each in freed], silent) == ([f"Gi1/0/{n}" for n in range(1, MARKED + 1)], [])
    assert not any(each.trouble for each in freed)
    assert switch.closed() == 0
    assert freed_at(switch) == ([], [])


def test_switches_in_trouble_are_named_and_the_honest_ones_freed(monkeypatch: pytest.MonkeyPatch):
    """R16: one is silent, one dies half-way, one says yes and does nothing, the tables of one never end."""
    monkeypatch.setattr(switch_snmp, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(switch_snmp, "_MOST_PORTS", 100)
    switches = {kind: made_up(kind, PORTS, 3) for kind in ("dead", "dying", "lying", "endless", "honest")}
    switches["dying"]._asked = 5
    freed, silent = freed_at(*switches.values())
    assert [refusal.point for refusal in silent] == ["sw-0-dead", "sw-1-dying", "sw-3-endless"]
    assert "does not end" in silent[2].detail
    assert {refusal.reason for refusal in silent} == {Reason.UNREACHABLE}
    lied = [each.trouble for each in freed if each.point == "sw-2-lying"]
    assert len(lied) == 3
    assert all(trouble.startswith("not-as-promised") for trouble in lied)
    assert {kind: switch.closed() for kind, switch in switches.items()} == {
        "dead": 3, "dying": 1, "lying": 3, "endless": 3, "honest": 0,
    }  # fmt: skip
