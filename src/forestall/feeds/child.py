"""Parsing in a process of its own, which may use so much memory, processor and wall time and no more.

What strangers wrote is unpacked and parsed there and nowhere else. The child gets the raw bytes as its standard
input and answers with one MessagePack value, a `FeedResult` or a complaint.
"""

import resource
import subprocess
import sys
from typing import IO

import msgspec

from forestall.domain.errors import FeedError
from forestall.feeds.document import unpack
from forestall.feeds.feed import Feed, feed_named
from forestall.feeds.result import FeedResult

MEMORY_BYTES = 600_000_000
PROCESSOR_SECONDS = 30

_MEGABYTES = MEMORY_BYTES // 1_000_000


class _Answer(msgspec.Struct):
    """Exactly one of the two."""

    result: FeedResult | None = None
    complaint: str = ""


def parse_in_child(feed: Feed, raw: IO[bytes]) -> FeedResult:
    """Parse an open file in a bounded child.

    Raises:
        FeedError: the file cannot be used, or reading it costs more than the limits.
    """
    command = [sys.executable, "-I", "-X", "utf8", "-m", "forestall.feeds.child", feed.name]
    with subprocess.Popen(
        command, stdin=raw, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", env={}
    ) as child:
        try:
            output, _ = child.communicate(timeout=feed.limits.parse_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise FeedError(f"reading it took more than {feed.limits.parse_seconds:.0f} s") from None
    if child.returncode < 0:
        raise FeedError(
            f"reading it needs more than {_MEGABYTES} MB or {PROCESSOR_SECONDS} s of processor time"
        )
    if child.returncode:
        raise FeedError("the parser failed on it; please report this file as a bug")
    answer = msgspec.msgpack.decode(output, type=_Answer)
    if answer.result is None:
        raise FeedError(answer.complaint)
    return answer.result


def main(name: str) -> None:
    """Be the child: read standard input as the named feed, answer on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    feed = feed_named(name)
    try:
        answer = msgspec.msgpack.encode(_Answer(result=_parse(feed)))
    except FeedError as error:
        answer = msgspec.msgpack.encode(_Answer(complaint=str(error)))
    except MemoryError:
        answer = msgspec.msgpack.encode(_Answer(complaint=f"reading it needs more than {_MEGABYTES} MB"))
    sys.stdout.buffer.write(answer)


def _parse(feed: Feed) -> FeedResult:
    raw = sys.stdin.buffer.read(feed.limits.packed_bytes + 1)
    if len(raw) > feed.limits.packed_bytes:
        raise FeedError(f"larger than {feed.limits.packed_bytes // 1_000_000} MB")
    return feed.parse(unpack(raw, feed.limits.unpacked_bytes))


if __name__ == "__main__":
    main(sys.argv[1])
