"""Through which interface the agent speaks: what the kernel says, and a change is told at once (P5.1)."""

import socket
from pathlib import Path

import pytest

from forestall.agent import interface
from forestall.agent.interface import interface_towards


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_towards_this_machine_it_is_the_loopback_which_has_no_hardware(host: str):
    found = interface_towards(host, 9)
    assert found is not None
    assert (found.address in {"127.0.0.1", "::1"}, found.hardware) == (True, "")


def test_an_address_is_found_at_the_interface_that_has_it():
    assert "lo" in list(interface._holders("127.0.0.1"))
    if "lo" in Path("/proc/net/if_inet6").read_text().split():
        assert list(interface._holders("::1")) == ["lo"]
    assert list(interface._holders("192.0.2.1")) == []
    assert list(interface._holders("2001:db8::1")) == []


def test_hardware_is_read_of_every_interface_that_has_some():
    for _, name in socket.if_nameindex():
        shown = Path("/sys/class/net", name, "address").read_text().strip()
        assert interface._hardware(name) in {shown, ""}
    assert interface._hardware("no-such-interface") == ""


def test_a_name_that_nobody_knows_is_no_interface():
    assert interface_towards("no-such-host.invalid", 9) is None
