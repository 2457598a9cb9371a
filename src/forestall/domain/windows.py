"""How a machine stands to an update of Windows, by what its update agent and its build say (A2, A6)."""

import re
from typing import NamedTuple

from forestall.domain.evidence import Status
from forestall.domain.version import Order, compare_keys, windows_key

_FIRST_BUILD_OF_11 = 22_000
_SERVER = re.compile(r"Server ([0-9]{4})\b")
_VERSION = re.compile(r"[0-9]{2}(?:[0-9]{2}|H[12])")


class Found(NamedTuple):
    """An update of the wanted KB that a search named."""

    revision: int
    installed: bool
    restart: bool
    """Only a restart completes it."""
    hidden: bool = False


class Past(NamedTuple):
    """The newest word of the machine's history on the wanted KB."""

    revision: int
    installation: bool
    """Or else it was taken away."""
    succeeded: bool


class Seen(NamedTuple):
    """All that a machine says of one KB."""

    build: str
    """`10.0.26100.3194`; empty where it cannot be read."""
    restart: bool
    """Some update or other waits for a restart."""
    found: tuple[Found, ...] = ()
    past: Past | None = None


def build_of(number: str, revision: str) -> str:
    """Write the build as advisories do, by what the registry says; empty where it says no numbers."""
    build = f"10.0.{number}.{revision}"
    return build if windows_key(build) else ""


def release_of(product: str, display: str, number: str) -> str:
    """Name the release as updates do, by what the registry says; empty where it says nothing that is known.

    `product` is `Windows Server 2022 Datacenter`, `display` `24H2`, `number` `26100`. Windows 11
    calls itself Windows 10 there, so the number decides.
    """
    server = _SERVER.search(product)
    if server:
        return f"windows-server-{server[1]}"
    if "Server" in product or not _VERSION.fullmatch(display) or not number.isdecimal():
        return ""
    return f"windows-{11 if int(number) >= _FIRST_BUILD_OF_11 else 10}-{display.lower()}"


def standing(kb: str, version: str, seen: Seen) -> tuple[Status, str]:
    """Say how a machine stands to a KB, with the reason; the worst that is known counts, and silence is no answer.

    `version` is the build that a cumulative update brings, which later ones bring too, or the update's own revision.
    """
    if _waiting(version, seen):
        return Status.PENDING_RESTART, f"{kb} is installed, and in force after a restart"
    missing = [each for each in seen.found if not each.installed]
    if missing:
        hidden = ", and somebody has hidden it" if all(each.hidden for each in missing) else ""
        return Status.AFFECTED, f"{kb} is offered and not installed{hidden}"
    if _comparable(version, seen.build):
        return _by_build(version, seen.build)
    if seen.found:
        return _by_revision(kb, version, min(each.revision for each in seen.found))
    return _by_history(kb, version, seen.past)


def _waiting(version: str, seen: Seen) -> bool:
    """Say whether it came and only a restart is missing; with nothing better, the machine's own wish for one counts."""
    by_search = bool(seen.found) and all(
        (each.installed or each.restart) and _enough(version, each.revision) for each in seen.found
    )
    if not by_search and not (seen.past and _came(version, seen.past)):
        return False
    return any(each.restart for each in seen.found) or (seen.restart and not _in_force(version, seen))


def _in_force(version: str, seen: Seen) -> bool:
    if _comparable(version, seen.build):
        return compare_keys(windows_key(seen.build), windows_key(version)) is not Order.LESS
    return bool(seen.found) and all(each.installed for each in seen.found)


def _by_build(version: str, build: str) -> tuple[Status, str]:
    if compare_keys(windows_key(build), windows_key(version)) is Order.LESS:
        return Status.AFFECTED, f"build {build} is older than {version}"
    return Status.FIXED, f"build {build} has the fix of {version}"


def _by_revision(kb: str, version: str, revision: int) -> tuple[Status, str]:
    if _enough(version, revision):
        return Status.FIXED, f"{kb} is installed, revision {revision}"
    return Status.AFFECTED, f"{kb} is installed in revision {revision}, which is older than {version}"


def _by_history(kb: str, version: str, past: Past | None) -> tuple[Status, str]:
    if past is None:
        return (
            Status.UNKNOWN,
            f"Windows knows nothing of {kb}: not offered, not installed, not in its history",
        )
    if not past.succeeded:
        return Status.UNKNOWN, f"{kb} is not offered, and its last installation or removal failed"
    if not past.installation:
        return Status.UNKNOWN, f"{kb} was taken away and is not offered any more"
    if not _enough(version, past.revision):
        return (
            Status.UNKNOWN,
            f"{kb} was installed in revision {past.revision}, which is older than {version}",
        )
    return Status.FIXED, f"{kb} was installed, revision {past.revision}, by the history of Windows"


def _came(version: str, past: Past) -> bool:
    return past.succeeded and past.installation and _enough(version, past.revision)


def _enough(version: str, revision: int) -> bool:
    """Say whether this is what was approved; a build says nothing of revisions."""
    return _is_build(version) or revision >= int(version)


def _is_build(version: str) -> bool:
    return "." in version


def _comparable(version: str, build: str) -> bool:
    """Say whether both are builds of one line: only within it do later ones contain earlier ones."""
    return _is_build(version) and version.rpartition(".")[0] == build.rpartition(".")[0]
