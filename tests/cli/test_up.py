"""`forestall up` as a process of its own: what it prints, and that kill -9 loses nothing that was acknowledged."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forestall.agent import client
from forestall.agent.enrolment import Invitation, join
from forestall.domain.device import DeviceId
from forestall.domain.errors import AgentError
from forestall.protocol import InventoryReport, PackageEntry
from forestall.server.ledger_file import check_database
from forestall.server.trust_place import trust_place
from forestall.server.watermark import Watermark
from forestall.server.wiring import opened
from forestall.store import devices, inventories

ANYWHERE = ("--bind", "127.0.0.1:0", "--agents", "127.0.0.1:0")
FORESTALL = [sys.executable, "-c", "from forestall.cli.main import main; main()"]


def run(directory: Path, *words: str) -> Any:
    done = subprocess.run(
        [*FORESTALL, *words, "--data", directory, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def up(directory: Path) -> "tuple[subprocess.Popen[str], str]":
    """Start a server that stays; returns it with its address."""
    server = subprocess.Popen(
        [*FORESTALL, "up", "--no-demo", *ANYWHERE, "--every", "0.1", "--data", directory],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("Agents reach it at https://"):
            return server, line.split()[4]
    pytest.fail(f"it ended with {server.wait()}")


def signer_of(directory: Path) -> int:
    """A descriptor of the process behind the signer's socket: readable once it has ended."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(trust_place(directory).socket))
        owner = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return os.pidfd_open(struct.unpack("3i", owner)[0])


def test_once_prints_the_summary_and_leaves_nothing_running(tmp_path: Path):
    summary = run(tmp_path, "up", "--once", *ANYWHERE)
    assert set(summary) == {"updates_open", "worst", "url", "agents", "seconds_to_ready", "machine"}
    assert summary["url"].startswith("http://127.0.0.1:")
    assert summary["agents"].startswith("https://127.0.0.1:")
    assert summary["seconds_to_ready"] > 0
    if not summary["machine"] and summary["updates_open"]:
        assert set(summary["worst"]) == {"update", "level", "why"}
        assert summary["worst"]["why"]
        assert len(run(tmp_path, "advisory", "ls")) == summary["updates_open"]
    assert not (tmp_path / "database" / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("victims", [("server",), ("database",), ("server", "database")], ids="+".join)
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, victims: tuple[str, ...]):
    """Machines enrol and report until the blow falls; what was answered is there at the next start."""
    server, address = up(tmp_path)
    signer = signer_of(tmp_path)
    acknowledged: list[str] = []
    try:
        token = run(tmp_path, "enroll", "token", "--uses", "1000", "--by", "aiko")["token"]
        package = PackageEntry("libssl3", "3.0.15-1", "amd64", "installed", "openssl", "3.0.15-1")
        report = InventoryReport("bookworm", [package])
        postmaster = int((tmp_path / "database" / "data" / "postmaster.pid").read_text().split()[0])
        while True:
            try:
                made, _ = join(tmp_path / f"agent-{len(acknowledged)}", Invitation(address, token), "h")
            except AgentError:
                break
            if client.put_inventory(made.line(), report) is not None:
                break
            acknowledged.append(made.device)
            if len(acknowledged) == 10:
                for victim in victims:
                    os.kill(server.pid if victim == "server" else postmaster, signal.SIGKILL)
        if "server" not in victims:
            server.kill()
    finally:
        server.kill()
        server.communicate()
    assert select.select([signer], [], [], 60)[0], "the signer outlives its server"
    os.close(signer)
    with opened(tmp_path) as installation, installation.database.begin() as con:
        known = {device.id for device in devices.everything(con)}
        assert set(acknowledged) <= known
        assert all(inventories.get(con, DeviceId(device)) for device in acknowledged)
        watermark = Watermark(tmp_path / "ledger.jsonl")
        checked = check_database(
            installation.database, [watermark.head()] if watermark.head().sequence else []
        )
        assert checked.flaw is None
        assert watermark.observing(installation.database) == ""
    assert len(acknowledged) >= 10
