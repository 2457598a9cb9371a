"""Runs a program with a fixed argument list, bounded in time and output; no shell anywhere."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: `trouble` is empty where it went well."""

    output: bytes
    trouble: str = ""


async def run(command: Sequence[str], given: bytes = b"", seconds: float = 10.0) -> Ended:
    """Run a program to its end; what it does not do in time is stopped."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        return Ended(b"", f"{command[0]}: {error.strerror}")
    try:
        output, errors = await asyncio.wait_for(process.communicate(given), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return Ended(b"", f"{command[0]} did not end within {seconds:.0f} s")
    if len(output) > _MOST_BYTES:
        return Ended(b"", f"{command[0]} wrote more than {_MOST_BYTES} bytes")
    if process.returncode:
        # Only its beginning: nft echoes the whole input in front of what it complains of.
        said = " ".join(errors[:300].decode(errors="replace").split())
        return Ended(output, f"{command[0]} ended with {process.returncode}: {said}")
    return Ended(output)
