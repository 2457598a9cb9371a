"""Figures for machines that sleep on wake-up streams: memory for each, and how soon all have heard.

`benchmarks/checkin.py` prints them with its own. The clients live in another process; both read the same clock.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE, Popen

from starlette.types import ASGIApp

from forestall import protocol
from forestall.agent.client import pinned
from forestall.clock import stopwatch
from forestall.domain.device import DeviceId
from forestall.probes.sweep import allow_many_files
from forestall.trust.device_ca import DeviceCa
from forestall.web.serve import serving
from forestall.web.streams import Streams

_AT_ONCE = 32
"""Handshakes under way."""


def slept(
    app: ASGIApp, streams: Streams, folder: Path, authority: DeviceCa, machines: Sequence[DeviceId]
) -> dict[str, float]:
    """Let machines connect, whose files lie in `folder` by number, and wake them all at once."""
    allow_many_files()
    context = authority.context(folder, ["127.0.0.1"])
    with serving(app, "127.0.0.1", 0, context) as url:
        before = resident_kb()
        command = [sys.executable, __file__, str(folder), url, str(len(machines))]
        with Popen(command, stdout=PIPE, text=True) as clients:
            if clients.stdout is None:
                raise TypeError("the clients are not connected")
            clients.stdout.readline()  # all sleep
            each = (resident_kb() - before) / len(machines)
            rung_at = stopwatch()
            streams.wake(machines)
            heard = sorted(float(at) - rung_at for at in clients.stdout.readline().split())
    if len(heard) != len(machines):
        raise SystemExit(f"{len(heard)} of {len(machines)} have heard")
    return {
        "streams": len(machines),
        "stream_kb": each,
        "wake_p99_ms": heard[len(heard) * 99 // 100] * 1e3,
        "wake_last_ms": heard[-1] * 1e3,
    }


def resident_kb() -> int:
    """Memory of this process, the server's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def sleep_all(folder: Path, url: str, count: int) -> None:
    """Open a stream for each machine; once all stand, say when each has heard."""
    host, _, port = url.removeprefix("https://").rstrip("/").partition(":")
    authority = (folder / "authority.pem").read_text()
    few = asyncio.Semaphore(_AT_ONCE)

    async def opened(number: int) -> asyncio.StreamReader:
        async with few:
            context = pinned(authority, folder / f"{number}.pem")
            reader, writer = await asyncio.open_connection(host, int(port), ssl=context, limit=4_096)
            writer.write(f"GET {protocol.WAKE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readuntil(b":\n\n")
            _kept.append(writer)
            return reader

    async def heard(reader: asyncio.StreamReader) -> float:
        await reader.readuntil(protocol.LOOK_NOW.rstrip())
        return stopwatch()

    streams = await asyncio.gather(*map(opened, range(count)))
    print("asleep", flush=True)
    print(*await asyncio.gather(*map(heard, streams)), flush=True)


_kept: list[asyncio.StreamWriter] = []


if __name__ == "__main__":
    allow_many_files()
    asyncio.run(sleep_all(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
