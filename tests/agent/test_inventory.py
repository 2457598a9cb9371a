"""The package list as dpkg has it: what counts as installed, and the processes that run what is no longer there."""

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.rig import Rig
from forestall.agent import restarts
from forestall.agent.inventory import dpkg
from forestall.agent.inventory.dpkg_status import read_status
from forestall.agent.restarts import Stale
from forestall.domain.inventory import Inventory, Package, PackageState, hash_of

MACHINE = Path(__file__).parents[1] / "data/machine/dpkg-status.gz"
TRIGGERED = (
    "\nPackage: other\nStatus: install ok triggers-pending\nMaintainer: x <x@example.com>\nVersion: 1\n"
)
STATES = [
    pytest.param("install ok installed", "", "installed", id="installed"),
    pytest.param("hold ok installed", "", "installed", id="held is installed"),
    pytest.param(
        "deinstall ok config-files", "Config-Version: 1", None, id="removed, its configuration left"
    ),
    pytest.param("unknown ok not-installed", "", None, id="never installed"),
    pytest.param("install ok unpacked", "", "broken", id="unpacked only"),
    pytest.param("install ok half-configured", "Config-Version: 1", "broken", id="iF shows the new version"),
    pytest.param("install reinstreq half-installed", "", "broken", id="iHR shows the old version"),
    pytest.param("install reinstreq installed", "", "broken", id="installed, but must be reinstalled"),
    pytest.param("install ok triggers-pending", "Triggers-Pending: x", "broken", id="triggers pending"),
    pytest.param(
        "install ok triggers-awaited",
        f"Triggers-Awaited: other\n{TRIGGERED}Architecture: all\nDescription: x\nTriggers-Pending: y",
        "broken",
        id="triggers awaited",
    ),
    pytest.param(
        "install ok installed", "No-Maintainer: here", "installed", id="a stanza that dpkg warns about"
    ),
]


@pytest.mark.parametrize(("status", "more", "state"), STATES)
def test_only_what_is_wholly_installed_counts(rig: Rig, status: str, more: str, state: str | None) -> None:
    """A2: a version proves nothing where the installation was cut off."""
    maintainer = "" if more.startswith("No-Maintainer") else "Maintainer: x <x@example.com>\n"
    stanza = f"Package: tool\nStatus: {status}\n{maintainer}Architecture: all\nVersion: 1.1\nDescription: x\n{more}\n"
    (rig.debian.admindir / "status").write_text(stanza)
    found = {package.name: package.state.value for package in dpkg.take(rig.debian).packages}
    assert found.get("tool") == state


def test_source_and_release_are_read_from_dpkg_and_os_release(rig: Rig) -> None:
    rig.offer("tool", "1.0+b1", source="tool-suite (1.0)")
    rig.offer("plain", "2:2.0-1")
    rig.have("tool", "plain")
    assert dpkg.take(rig.debian) == Inventory(
        "bookworm",
        (
            Package("plain", "2:2.0-1", "all", PackageState.INSTALLED, "plain", "2:2.0-1"),
            Package("tool", "1.0+b1", "all", PackageState.INSTALLED, "tool-suite", "1.0"),
        ),
    )


def test_the_hash_names_the_content_not_the_order() -> None:
    one = Package("a", "1", "all", PackageState.INSTALLED, "a", "1")
    two = Package("b", "1", "all", PackageState.INSTALLED, "b", "1")
    broken = Package("b", "1", "all", PackageState.BROKEN, "b", "1")
    assert hash_of(Inventory("bookworm", (one, two))) == hash_of(Inventory("bookworm", (two, one)))
    others = [
        Inventory("trixie", (one, two)),
        Inventory("bookworm", (one,)),
        Inventory("bookworm", (one, broken)),
    ]
    assert len({hash_of(other) for other in [Inventory("bookworm", (one, two)), *others]}) == 4


@pytest.fixture
def program(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A process whose program file can be replaced."""
    path = tmp_path / "libthing.so.1.2"
    shutil.copy(shutil.which("sleep") or "", path)
    with subprocess.Popen([path, "1000"]) as process:
        yield path, process.pid
        process.kill()


def of_process(pid: int, root: Path = Path("/")) -> list[str]:
    return [stale.path for stale in restarts.scan(root) if stale.pid == pid]


def test_a_process_with_a_replaced_program_is_found_and_a_touched_one_is_not(
    program: tuple[Path, int],
) -> None:
    """A6."""
    path, pid = program
    assert of_process(pid) == []
    os.utime(path)
    assert of_process(pid) == []
    path.unlink()
    assert of_process(pid) == [str(path)]
    (stale,) = (one for one in restarts.scan(Path("/")) if one.pid == pid)
    assert restarts.unchanged(Path("/"), [stale])
    assert not restarts.unchanged(Path("/"), [Stale(pid, stale.name, "/other")])


def test_processes_of_another_root_are_not_ours(program: tuple[Path, int], tmp_path: Path) -> None:
    path, pid = program
    path.unlink()
    assert of_process(pid, tmp_path) == []


STALE = (Stale(7, "sshd", "/usr/lib/x86_64-linux-gnu/libthing.so.1.2"), Stale(9, "cron", "/usr/sbin/cron"))
FILES = [
    pytest.param("/usr/lib/x86_64-linux-gnu/libthing.so.1.2", ("sshd (7)",), id="the same file"),
    pytest.param("/usr/lib/x86_64-linux-gnu/libthing.so.1.9", ("sshd (7)",), id="the new package renamed it"),
    pytest.param("/lib/libthing.so.1.2", ("sshd (7)",), id="listed below /lib, mapped below /usr/lib"),
    pytest.param("/usr/sbin/cron", ("cron (9)",), id="a program"),
    pytest.param("/usr/lib/libthing2.so.1", (), id="another library whose name begins the same"),
]


@pytest.mark.parametrize(("file", "running"), FILES)
def test_replaced_files_are_told_by_package(rig: Rig, file: str, running: tuple[str, ...]) -> None:
    (rig.debian.admindir / "info/thing:amd64.list").write_text(f"/.\n{file}\n")
    inventory = Inventory("bookworm", (Package("thing", "1", "amd64", PackageState.INSTALLED, "suite", "1"),))
    assert restarts.still_running(rig.root, inventory, "suite", STALE).names == running
    assert restarts.still_running(rig.root, inventory, "other", STALE).names == ()


ASKING = [
    pytest.param("linux", None, True, id="a kernel with a bare request"),
    pytest.param("openssl", None, False, id="a library with a bare request of somebody else"),
    pytest.param("openssl", "libssl3\n", True, id="the package that asked"),
    pytest.param("linux", "libssl3\n", False, id="a kernel, but another package asked"),
]


@pytest.mark.parametrize(("source", "packages", "waits"), ASKING)
def test_a_package_may_ask_for_a_restart_of_the_machine(
    rig: Rig, source: str, packages: str | None, waits: bool
) -> None:
    """A6."""
    name = "libssl3" if source == "openssl" else "linux-image-amd64"
    inventory = Inventory("bookworm", (Package(name, "1", "amd64", PackageState.INSTALLED, source, "1"),))
    assert restarts.still_running(rig.root, inventory, source, ()).names == ()
    (rig.root / "run").mkdir()
    (rig.root / "run/reboot-required").touch()
    if packages is not None:
        (rig.root / "run/reboot-required.pkgs").write_text(packages)
    assert restarts.still_running(rig.root, inventory, source, ()).machine is waits


UNITS = [
    pytest.param("0::/system.slice/ssh.service\n", "ssh.service", id="a service"),
    pytest.param(
        "3:cpu:/\n1:name=systemd:/system.slice/a.service\n0::/\n", "a.service", id="the old hierarchy"
    ),
    pytest.param("0::/system.slice/system-web.slice/web@1.service\n", "web@1.service", id="a template's"),
    pytest.param("0::/system.slice/run.service/worker\n", "run.service", id="a part of a service"),
    pytest.param("0::/user.slice/user-1000.slice/session-3.scope\n", "", id="a login"),
    pytest.param(
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service\n",
        "",
        id="a person's own service",
    ),
    pytest.param("0::/init.scope\n", "", id="systemd itself"),
    pytest.param("0::/system.slice/--force.service\n", "--force.service", id="a name like an option"),
    pytest.param("0::/system.slice/two words.service\n", "", id="no name of a unit"),
    pytest.param("0::/system.slice/_odd.service\n", "", id="a name that was changed on its way"),
    pytest.param("0::\n", "", id="nothing"),
    pytest.param("", "", id="no groups at all"),
]


@pytest.mark.parametrize(("cgroups", "unit"), UNITS)
def test_a_process_belongs_to_the_service_that_its_group_names(cgroups: str, unit: str) -> None:
    assert restarts.unit_of(cgroups) == unit


def test_dpkg_query_and_the_reader_of_status_files_agree_on_a_real_machine(rig: Rig) -> None:
    """Two ways to the same list: each is the other's oracle on 694 real packages."""
    text = gzip.decompress(MACHINE.read_bytes()).decode()
    (rig.debian.admindir / "status").write_text(text)
    by_query, by_reading = dpkg.take(rig.debian), read_status(text, "bookworm")
    assert set(by_query.packages) == set(by_reading.packages)
    assert hash_of(by_query) == hash_of(by_reading)
    assert len(by_query.packages) > 600
