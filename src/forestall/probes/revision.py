"""A version that a service tells of itself, against the version that mends the flaw."""

import re
from dataclasses import replace

from forestall.domain.evidence import Status
from forestall.domain.version import Order, compare
from forestall.probes.answer import Answer

_RELEASE = re.compile(r"[+~]deb([0-9]+)")


def judge(answer: Answer, package: str, fixed: str) -> Answer:
    """Turn a version that was read into a status against `fixed`, a Debian version of the same source package.

    Unknown where it is another package's or another release's, or told without the distribution's revision: fixes
    are taken back into old versions, so the upstream version alone proves nothing. Services do not tell the epoch;
    it is taken from `fixed`.
    """
    if answer.package != package or not answer.version:
        return Answer(Status.UNKNOWN, answer.detail, answer.proof)
    told = answer.version
    epoch, colon, rest = fixed.rpartition(":")
    if "-" not in told:
        why = f"{package} tells {told} without the distribution's revision, which decides"
        return replace(answer, status=Status.UNKNOWN, detail=why)
    if not _same_line(told, rest):
        return replace(
            answer, status=Status.UNKNOWN, detail=f"{package} {told} is of another release than {fixed}"
        )
    match compare(f"{epoch}{colon}{told}", fixed):
        case Order.LESS:
            return replace(answer, status=Status.AFFECTED, detail=f"{package} {told} is older than {fixed}")
        case Order.EQUAL | Order.GREATER:
            return replace(answer, status=Status.FIXED, detail=f"{package} {told} is not older than {fixed}")
        case Order.UNKNOWN:
            return replace(
                answer, status=Status.UNKNOWN, detail=f"{package} {told!r} is no version that dpkg reads"
            )


def _same_line(told: str, fixed: str) -> bool:
    """Say whether both are of one release: both marked with it, or of one upstream version."""
    of_told, of_fixed = _RELEASE.search(told), _RELEASE.search(fixed)
    if of_told and of_fixed:
        return of_told[1] == of_fixed[1]
    return told.rpartition("-")[0] == fixed.rpartition("-")[0]
