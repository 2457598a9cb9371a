"""What a Windows machine says of a KB, and what follows from it; silence is never an answer (A2, A6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import START
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.inventory import Inventory
from forestall.domain.matching import status_of
from forestall.domain.remediation import Remediation
from forestall.domain.version import Order, compare_keys, windows_key
from forestall.domain.windows import Found, Past, Seen, build_of, release_of, standing

KB = "KB5034441"
OLD, NEW, NEWER, OTHER = "10.0.26100.2000", "10.0.26100.3194", "10.0.26100.4000", "10.0.26200.5000"
HERE, OFFERED, WAITING = Found(200, True, False), Found(200, False, False), Found(200, False, True)
CAME = Past(200, True, True)

STANDING = [
    pytest.param("200", Seen(OLD, False, (HERE,)), Status.FIXED, "revision 200", id="installed"),
    pytest.param("200", Seen(OLD, True, (HERE,)), Status.FIXED, "", id="installed, and another waits for a restart"),
    pytest.param("201", Seen(OLD, False, (HERE,)), Status.AFFECTED, "older than 201", id="installed as it was before"),
    pytest.param(
        "200", Seen(OLD, False, (HERE, HERE._replace(revision=199))), Status.AFFECTED, "199", id="one of two is older"
    ),
    pytest.param("200", Seen(OLD, False, (OFFERED,)), Status.AFFECTED, "not installed", id="offered"),
    pytest.param("200", Seen(OLD, False, (OFFERED, HERE)), Status.AFFECTED, "", id="one of two is there"),
    pytest.param(
        "200", Seen(OLD, False, (OFFERED._replace(hidden=True),)), Status.AFFECTED, "hidden", id="offered, hidden"
    ),
    pytest.param("200", Seen(OLD, True, (WAITING,)), Status.PENDING_RESTART, "restart", id="waits for a restart, A6"),
    pytest.param("201", Seen(OLD, True, (WAITING,)), Status.AFFECTED, "", id="what waits for a restart is older"),
    pytest.param("200", Seen(OLD, True, (WAITING, OFFERED)), Status.AFFECTED, "", id="one of two waits"),
    pytest.param(
        "200", Seen(OLD, True, (OFFERED,), CAME), Status.PENDING_RESTART, "", id="came, not yet counted as installed"
    ),
    pytest.param("200", Seen(OLD, False, (OFFERED,), CAME), Status.AFFECTED, "", id="came once and is offered again"),
    pytest.param("200", Seen(OLD, False, (), CAME), Status.FIXED, "history", id="only the history knows it"),
    pytest.param("200", Seen(OLD, True, (), CAME), Status.PENDING_RESTART, "", id="came, and the machine waits, A6"),
    pytest.param("201", Seen(OLD, False, (), CAME), Status.UNKNOWN, "older than 201", id="the history knows an older"),
    pytest.param(
        "200", Seen(OLD, False, (), Past(200, True, False)), Status.UNKNOWN, "failed", id="its installation failed"
    ),
    pytest.param(
        "200", Seen(OLD, False, (), Past(200, False, True)), Status.UNKNOWN, "taken away", id="it was taken away"
    ),
    pytest.param("200", Seen(OLD, False), Status.UNKNOWN, "knows nothing", id="nobody knows it"),
    pytest.param("200", Seen(OLD, True), Status.UNKNOWN, "", id="nobody knows it, and another waits for a restart"),
    pytest.param("200", Seen("", False), Status.UNKNOWN, "", id="nobody knows anything"),
    pytest.param(NEW, Seen(NEW, False), Status.FIXED, NEW, id="the wanted build runs"),
    pytest.param(NEW, Seen(NEWER, False), Status.FIXED, NEWER, id="replaced by a later one, by the build"),
    pytest.param(NEW, Seen(NEWER, True), Status.FIXED, "", id="the build runs, and another waits for a restart"),
    pytest.param(NEW, Seen(OLD, False), Status.AFFECTED, "older", id="an older build runs"),
    pytest.param(NEW, Seen(OLD, True), Status.AFFECTED, "older", id="an older build runs, another waits"),
    pytest.param(NEW, Seen(OLD, True, (HERE,)), Status.PENDING_RESTART, "", id="there, and the build is the old one"),
    pytest.param(NEW, Seen(OLD, False, (HERE,)), Status.AFFECTED, "older", id="there, and the build says no"),
    pytest.param(NEW, Seen(OLD, True, (), CAME), Status.PENDING_RESTART, "", id="came, and the build is the old one"),
    pytest.param(NEW, Seen(NEWER, False, (OFFERED,)), Status.AFFECTED, "", id="build and search contradict"),
    pytest.param(NEW, Seen(OTHER, False), Status.UNKNOWN, "knows nothing", id="a build of another line"),
    pytest.param(NEW, Seen(OTHER, False, (HERE,)), Status.FIXED, "", id="another line, and the search has it"),
    pytest.param(NEW, Seen("", False), Status.UNKNOWN, "", id="no build can be read"),
]  # fmt: skip


@pytest.mark.parametrize(("version", "seen", "status", "said"), STANDING)
def test_how_a_machine_stands(version: str, seen: Seen, status: Status, said: str) -> None:
    found = standing(KB, version, seen)
    assert found[0] is status
    assert said in found[1]


FOUND = st.builds(Found, st.integers(0, 300), st.booleans(), st.booleans(), st.booleans())
SEEN = st.builds(
    Seen,
    st.sampled_from(["", OLD, NEW, NEWER, OTHER]),
    st.booleans(),
    st.lists(FOUND, max_size=3).map(tuple),
    st.none() | st.builds(Past, st.integers(0, 300), st.booleans(), st.booleans()),
)
VERSION = st.sampled_from([NEW, "200"])


@given(VERSION, SEEN)
def test_nothing_makes_a_machine_not_affected_and_what_is_missing_is_never_fixed(
    version: str, seen: Seen
) -> None:
    """A2."""
    status = standing(KB, version, seen)[0]
    assert status is not Status.NOT_AFFECTED
    if any(not each.installed for each in seen.found):
        assert status in {Status.AFFECTED, Status.PENDING_RESTART}
    if not seen.found and seen.past is None and version == "200":
        assert status is Status.UNKNOWN


@given(VERSION, SEEN)
def test_a_restart_is_awaited_only_where_something_waits_for_one(version: str, seen: Seen) -> None:
    """A6."""
    if standing(KB, version, seen)[0] is Status.PENDING_RESTART:
        assert seen.restart or any(each.restart for each in seen.found)


RELEASES = [
    pytest.param("Windows 10 Pro", "24H2", "26100", "windows-11-24h2", id="Windows 11 calls itself 10"),
    pytest.param("Windows 10 Enterprise", "22H2", "19045", "windows-10-22h2", id="Windows 10"),
    pytest.param(
        "Windows 10 Enterprise LTSC 2019", "1809", "17763", "windows-10-1809", id="of before the halves"
    ),
    pytest.param("Windows Server 2022 Datacenter", "21H2", "20348", "windows-server-2022", id="a server"),
    pytest.param("Windows Server Datacenter", "23H2", "25398", "", id="a server without a year"),
    pytest.param("Windows 10 Pro", "", "26100", "", id="no version"),
    pytest.param("Windows 10 Pro", "24H2", "", "", id="no build"),
    pytest.param("Windows 10 Pro", "24H2/../..", "26100", "", id="a version that is a path"),
    pytest.param("", "", "", "", id="nothing"),
]


@pytest.mark.parametrize(("product", "display", "number", "release"), RELEASES)
def test_a_release_is_named_by_what_the_registry_says(
    product: str, display: str, number: str, release: str
) -> None:
    assert release_of(product, display, number) == release


def test_a_build_is_written_as_advisories_write_it() -> None:
    assert build_of("26100", "3194") == NEW
    assert build_of("26100", "") == build_of("", "3194") == build_of("26100", "x") == ""


@given(st.tuples(*[st.integers(0, 9_999_999)] * 4), st.tuples(*[st.integers(0, 9_999_999)] * 4))
def test_builds_sort_by_their_numbers(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    """A2: as text, revision 10000 would come before 9999, and be called affected for ever."""
    order = compare_keys(*(windows_key(".".join(map(str, each))) for each in (first, second)))
    wanted = Order.LESS if first < second else Order.GREATER if first > second else Order.EQUAL
    assert order is wanted


@given(st.integers(0, 9_999_999), st.integers(0, 9_999_999))
def test_revisions_sort_by_their_numbers(first: int, second: int) -> None:
    assert (compare_keys(windows_key(str(first)), windows_key(str(second))) is Order.LESS) is (first < second)


@pytest.mark.parametrize(
    "text", ["", "1.2", "1.2.3", "1.2.3.4.5", "10.0.x.1", "-1", "1.2.3.", "99999999", "٣"]
)
def test_what_is_no_version_of_windows_has_no_key(text: str) -> None:
    assert windows_key(text) is None


def test_an_inventory_alone_says_nothing_of_a_kb() -> None:
    """A2: it has Windows, and no list of KBs."""
    update = Remediation("windows-11-24h2", KB, "200", (), (), START)
    assert status_of(Inventory("windows-11-24h2", ()), update)[0] is Status.UNKNOWN
    assert status_of(Inventory("windows-11-23h2", ()), update)[0] in CLEAN
