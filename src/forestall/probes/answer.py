"""What a conversation with a machine is made of. All of it is plain values: reading and judging never meet.

A conversation is a pure function: what was heard so far -> the next question, or the answer. It is called with
nothing heard first. Who sends and reads, within bounds, is `talk.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from forestall.domain.evidence import Status

LONGEST_PROOF = 200


class Ended(StrEnum):
    """Why reading stopped."""

    COMPLETE = "complete"
    CLOSED = "closed"
    """The other side ended the connection; what it said before is there."""
    SILENT = "silent"
    """Nothing more came within the time for one question."""
    FULL = "full"
    """More came than is read of anybody."""


class Heard(NamedTuple):
    """What came back on one question."""

    data: bytes
    ended: Ended = Ended.COMPLETE


class Ask(NamedTuple):
    """One question: bytes to send, and a pure test whether what came back is all."""

    send: bytes
    complete: Callable[[bytes], bool]
    fresh: bool = False
    """On a connection of its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe found, in a sentence, with the bytes that say so.

    A version probe knows no flaw; it reads `version` of `package`, and `revision.judge` compares.
    """

    status: Status
    detail: str
    proof: str = ""
    """Printable, at most `LONGEST_PROOF` characters."""
    package: str = ""
    version: str = ""


Conversation = Callable[[tuple[Heard, ...]], Ask | Answer]


def unknown(detail: str, proof: bytes = b"") -> Answer:
    """Say that it cannot be told, and why."""
    return Answer(Status.UNKNOWN, detail, printable(proof))


def printable(data: bytes) -> str:
    """Show bytes of strangers: printable ASCII as it is, everything else as escapes, cut off when long."""
    shown = "".join(
        chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in data[:LONGEST_PROOF]
    )
    return shown if len(shown) <= LONGEST_PROOF else shown[: LONGEST_PROOF - 3] + "..."
