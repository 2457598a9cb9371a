"""Knocking on many addresses: found, closed, silent, unknown, and nothing out of scope (P6.2, A2)."""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from itertools import accumulate, chain, repeat
from pathlib import Path

from forestall.domain.device import SiteId
from forestall.domain.scope import Area, Scope
from forestall.probes.sweep import HERE, LAG_SECONDS, TRIES, Presence, allow_many_files, sweep

NETWORK = ip_network("127.9.0.0/22")
SCOPE = Scope(
    (Area(SiteId("here"), (ip_network("127.0.0.0/8"), ip_network("::1/128")), per_second=1_000_000),)
)


@contextmanager
def listening(*addresses: str) -> Iterator[int]:
    """Listen on one port of some addresses of this machine."""
    with contextlib.ExitStack() as stack:
        port = 0
        for address in addresses:
            listener = stack.enter_context(socket.socket())
            listener.bind((address, port))
            listener.listen(1_000)
            port = listener.getsockname()[1]
        yield port


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """Make an address answer no knock on a port: its queue is full, and the kernel drops what comes."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(3):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex((address, port))
        yield


def test_open_closed_and_silent_are_told_apart():
    live = [str(address) for address in list(NETWORK)[::4]]
    slow = accumulate(repeat(1e-5))  # a clock of our own: a busy machine does not make the loop lag
    with listening(*live) as port, silent("127.9.0.1", port):
        swept = sweep(NETWORK, port, SCOPE, patience=0.02, clock=lambda: next(slow))
    assert {str(address) for address, found in swept.found.items() if found is Presence.OPEN} == {*live}
    assert swept.found[ip_address("127.9.0.1")] is Presence.SILENT
    assert swept.counts == {Presence.OPEN: 256, Presence.CLOSED: 767, Presence.SILENT: 1}


def test_ipv6():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        swept = sweep([ip_address("::1")], listener.getsockname()[1], SCOPE)
    assert swept.counts == {Presence.OPEN: 1}


def test_more_addresses_than_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (320, hard))
    try:
        with listening("127.9.0.0", "127.9.3.255") as port:
            swept = sweep(NETWORK, port, SCOPE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert swept.counts == {Presence.OPEN: 2, Presence.CLOSED: 1_022}


def test_what_runs_out_while_the_loop_lags_is_unknown_never_gone():
    """The clock jumps once at each look: nobody was there to hear."""
    steps = chain([0.0, 0.0], repeat(LAG_SECONDS + 0.1))
    clock = accumulate(steps)
    with listening("127.9.0.1") as port, silent("127.9.0.2", port):
        swept = sweep(
            [ip_address("127.9.0.1"), ip_address("127.9.0.2")], port, SCOPE, clock=lambda: next(clock)
        )
    assert swept.found[ip_address("127.9.0.2")] is Presence.UNKNOWN
    assert swept.found[ip_address("127.9.0.1")] is Presence.OPEN, (
        "an answer that lay there counts, however late"
    )
    assert swept.longest_lag > LAG_SECONDS


def test_what_lagged_once_is_tried_again():
    """The clock jumps during the first round only; then silence is silence."""
    steps = chain([0.0] * 3, [LAG_SECONDS + 0.6] * 2, repeat(0.02))
    clock = accumulate(steps)
    with listening("127.9.0.1") as port, silent("127.9.0.2", port):
        swept = sweep([ip_address("127.9.0.2")], port, SCOPE, clock=lambda: next(clock))
    assert swept.found[ip_address("127.9.0.2")] is Presence.SILENT
    assert TRIES > 1


def test_many_files_are_allowed_up_to_the_hard_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


COUNT_PACKETS = Path(__file__).with_name("count_packets.py")
OWN_NETWORK = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--net")


def test_out_of_scope_0_packets_leave():
    """In a network namespace of its own the kernel counts every packet that leaves; nothing else runs there."""
    done = subprocess.run(
        [*OWN_NETWORK, sys.executable, COUNT_PACKETS], capture_output=True, text=True, check=True
    )
    sent = json.loads(done.stdout)
    assert sent.pop("in scope, swept") >= 4
    assert sent.pop("in scope, probed") >= 13
    assert sent == {
        "out of scope, swept": 0,
        "out of scope, probed": 0,
        "out of scope, by nmap": 0,
        "no scope": 0,
    }
    assert {Presence.OPEN, Presence.CLOSED} == HERE
