"""The order of versions: bytes that sort exactly as dpkg does (Debian policy 5.6.12), as rpm, as builds of Windows."""

import re
from enum import StrEnum

_LONGEST = 255
"""So that the length of a number fits into one byte of the key."""
_LARGEST_EPOCH = 2**31 - 1
_EPOCH = re.compile(r"\+?([0-9]+)")
_VERSION = re.compile(r"([0-9][A-Za-z0-9.+~:-]*)-([A-Za-z0-9.+~]+)|([0-9][A-Za-z0-9.+~:]*)")
_RUNS = re.compile(rb"([^0-9]*)([0-9]*)")

_BY_RANK = b"~\0ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-.:"
"""Every character in dpkg's order; the NUL stands for the end of a part and for a digit."""
_END = 2
_RANKS = bytes.maketrans(_BY_RANK, bytes(range(1, len(_BY_RANK) + 1)))

_RPM_EPOCH = re.compile(r"[0-9]+")
_RPM_LARGEST_EPOCH = 2**32 - 1
_RPM_PART = re.compile(r"[A-Za-z0-9.+_~^]+")
_RPM_RUNS = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
_RPM_TILDE, _RPM_END, _RPM_CARET, _RPM_LETTERS, _RPM_DIGITS = range(1, 6)

_WINDOWS = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,7}){3}|[0-9]{1,7}")


class Order(StrEnum):
    """How the first of two versions stands to the second; UNKNOWN where either cannot be read."""

    LESS = "less"
    EQUAL = "equal"
    GREATER = "greater"
    UNKNOWN = "unknown"


def dpkg_key(text: str) -> bytes | None:
    """Turn a version into bytes that sort as dpkg sorts versions, or None where dpkg would complain about it.

    Versions above 255 characters are not read either.
    """
    if len(text) > _LONGEST:
        return None
    epoch, colon, rest = text.strip(" \t").partition(":")
    if not colon:
        epoch, rest = "0", epoch
    number, found = _EPOCH.fullmatch(epoch), _VERSION.fullmatch(rest)
    if not number or not found or int(number[1]) > _LARGEST_EPOCH:
        return None
    with_revision, revision, alone = found.groups()
    return _number(number[1].encode()) + _part(alone or with_revision) + _part(revision or "")


def rpm_key(text: str) -> bytes | None:
    """Turn `[epoch:]version[-release]` into bytes that sort as rpm sorts them, or None where rpm would refuse it.

    No release sorts before every release: an advisory that names none means all of them.
    """
    if len(text) > _LONGEST:
        return None
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    version, dash, release = rest.rpartition("-")
    if not dash:
        version, release = rest, ""
    if not _RPM_EPOCH.fullmatch(epoch) or int(epoch) > _RPM_LARGEST_EPOCH:
        return None
    if not _RPM_PART.fullmatch(version) or (dash and not _RPM_PART.fullmatch(release)):
        return None
    return _number(epoch.encode()) + _rpm_part(version) + _rpm_part(release)


def windows_key(text: str) -> bytes | None:
    """Turn a build of Windows, `10.0.26100.3194`, or the revision of an update, `200`, into bytes that sort by number.

    None for anything else. What is a build and what is a revision, the caller keeps apart.
    """
    if not _WINDOWS.fullmatch(text):
        return None
    return b"".join(_number(part.encode()) for part in text.split("."))


def compare(first: str, second: str) -> Order:
    """Compare two versions as `dpkg --compare-versions` does."""
    return compare_keys(dpkg_key(first), dpkg_key(second))


def compare_keys(first: bytes | None, second: bytes | None) -> Order:
    """Compare two versions by their keys."""
    if first is None or second is None:
        return Order.UNKNOWN
    if first == second:
        return Order.EQUAL
    return Order.LESS if first < second else Order.GREATER


def _part(text: str) -> bytes:
    """Encode an upstream version or a revision: its runs of other characters and of digits in turn.

    Nothing at all is the same as `0`, so the number of a run is written even where there is none.
    """
    key = bytearray()
    for other, digits in _RUNS.findall(text.encode() or b"0"):
        if other or digits:
            key += other.translate(_RANKS)
            key.append(_END)
            key += _number(digits)
    key.append(_END)
    return bytes(key)


def _rpm_part(text: str) -> bytes:
    """Encode a version or a release: only digits, letters, `~` and `^` count, all else just parts them."""
    key = bytearray()
    for run in _RPM_RUNS.findall(text):
        if run[0] in "~^":
            key.append(_RPM_TILDE if run == "~" else _RPM_CARET)
        elif run.isdigit():
            key.append(_RPM_DIGITS)
            key += _number(run.encode())
        else:
            key.append(_RPM_LETTERS)
            key += run.encode() + b"\0"
    key.append(_RPM_END)
    return bytes(key)


def _number(digits: bytes) -> bytes:
    """Encode a number: how many digits it has, then the digits."""
    digits = digits.lstrip(b"0")
    return bytes((len(digits),)) + digits
