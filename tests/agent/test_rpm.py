"""Machines with rpm: what counts as installed, what dnf's plan says, exact versions.

Lists and plans are written as rpm 4.18 and dnf 4.14 write them; `./lab installers` runs the real ones.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forestall.agent import restarts
from forestall.agent.debian import Debian
from forestall.agent.installers import dnf
from forestall.agent.installers.dnf import Plan
from forestall.agent.installers.packages import RpmPackages
from forestall.agent.inventory import rpm as packages
from forestall.agent.restarts import Stale
from forestall.agent.rpm import NEVRA, Rpm
from forestall.agent.sight import Sight
from forestall.agent.system import system_at
from forestall.domain.errors import AgentError
from forestall.domain.evidence import Status
from forestall.domain.inventory import Inventory, Package, PackageState
from forestall.domain.matching import status_of
from forestall.domain.order import CampaignId, Order, Verb
from forestall.domain.product import ProductName
from forestall.domain.remediation import Remediation

WHOLE = """\
gpg-pubkey\t0\t7fc18616\t6b06ac92\t(none)\t(none)
bind-libs\t32\t9.16.23\t18.el9\tx86_64\tbind-9.16.23-18.el9.src.rpm
bind-utils\t32\t9.16.23\t18.el9\tx86_64\tbind-9.16.23-18.el9.src.rpm
perl-Errno\t0\t1.30\t480.el9\tx86_64\tperl-5.32.1-480.el9.src.rpm
kernel\t0\t5.14.0\t400.el9\tx86_64\tkernel-5.14.0-400.el9.src.rpm
kernel\t0\t5.14.0\t427.el9\tx86_64\tkernel-5.14.0-427.el9.src.rpm
"""
CUT_OFF = f"{WHOLE}bind-libs\t32\t9.16.23\t19.el9\tx86_64\tbind-9.16.23-19.el9.src.rpm\n"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Rpm]:
    """A root whose rpm says what a test tells it."""

    def made(said: str) -> Rpm:
        (tmp_path / "etc").mkdir(exist_ok=True)
        (tmp_path / "etc/os-release").write_text('ID="rhel"\nVERSION_ID="9.4"\n')
        (tmp_path / "said").write_text(said)
        tool = tmp_path / "rpm"
        tool.write_text(
            f'#!/bin/sh\ncase "$*" in *whatprovides*) echo kernel; exit 1;; esac\ncat {tmp_path}/said\n'
        )
        tool.chmod(0o755)
        return Rpm(tmp_path, tmp_path, (str(tool),), ("/bin/false",))

    return made


def states(inventory: Inventory) -> dict[str, str]:
    return {packages.nevra(each): each.state.value for each in inventory.packages}


def test_packages_have_their_epoch_and_their_source(machine: Callable[[str], Rpm]) -> None:
    """The name of a source package has no epoch; what an advisory says of the binary has."""
    inventory = packages.take(machine(WHOLE))
    assert inventory.release == "rhel-9"
    found = {each.name: (each.version, each.source, each.source_version) for each in inventory.packages}
    assert found["bind-libs"] == ("32:9.16.23-18.el9", "bind", "32:9.16.23-18.el9")
    assert found["perl-Errno"] == ("1.30-480.el9", "perl", "5.32.1-480.el9")
    assert "gpg-pubkey" not in found


def test_kernels_stand_side_by_side_and_the_newest_counts(machine: Callable[[str], Rpm]) -> None:
    found = states(packages.take(machine(WHOLE)))
    assert [name for name in found if name.startswith("kernel")] == ["kernel-0:5.14.0-427.el9.x86_64"]
    assert set(found.values()) == {"installed"}


def test_a_package_that_stands_twice_was_cut_off(machine: Callable[[str], Rpm]) -> None:
    """R23: rpm shows the new version before its scripts have run and before the old one is gone."""
    found = states(packages.take(machine(CUT_OFF)))
    assert {name for name, state in found.items() if state == "broken"} == {
        "bind-libs-32:9.16.23-18.el9.x86_64",
        "bind-libs-32:9.16.23-19.el9.x86_64",
    }


def test_what_came_in_an_unfinished_installation_is_broken(machine: Callable[[str], Rpm]) -> None:
    """R23: killed while a new dependency's scripts run, rpm knows nothing of it; the agent's list from before does."""
    rpm = machine(WHOLE)
    rpm.before.write_text("\n".join(name for name in states(packages.take(rpm)) if "perl" not in name))
    found = states(packages.take(rpm))
    assert {name for name, state in found.items() if state == "broken"} == {
        "perl-Errno-0:1.30-480.el9.x86_64"
    }


STANDING = [
    pytest.param(WHOLE, "32:9.16.23-18.el9", Status.FIXED, id="the wanted version"),
    pytest.param(WHOLE, "32:9.16.23-18.el9_4.1", Status.AFFECTED, id="a newer one is wanted"),
    pytest.param(
        WHOLE, "32:9.16.24~rc1-1.el9", Status.AFFECTED, id="a release candidate of the next is newer"
    ),
    pytest.param(CUT_OFF, "32:9.16.23-18.el9", Status.AFFECTED, id="cut off, whatever version shows"),
    pytest.param(WHOLE, "32:9.16.23-18 el9", Status.UNKNOWN, id="a version that cannot be read"),
]


@pytest.mark.parametrize(("said", "wanted", "status"), STANDING)
def test_a_machine_stands_by_rpms_own_order(
    machine: Callable[[str], Rpm], said: str, wanted: str, status: Status
) -> None:
    """A2."""
    update = Remediation("rhel-9", "bind", wanted, (), (), datetime(2026, 11, 24, tzinfo=UTC))
    assert status_of(packages.take(machine(said)), update)[0] is status


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("bash\t0\t5\n", id="too few fields"),
        pytest.param("error: rpmdb open failed\n", id="an error with a good exit code"),
    ],
)
def test_an_answer_that_cannot_be_is_told(machine: Callable[[str], Rpm], said: str) -> None:
    with pytest.raises(AgentError, match="never should"):
        packages.take(machine(said))


HEAD = "Dependencies resolved.\n" + "=" * 80 + "\n Package  Architecture  Version  Repository  Size\n"
PLANS = [
    pytest.param(
        "Transaction Summary\n========\nInstall  1 Package\nUpgrade  2 Packages\n\nOperation aborted.\n",
        Plan({"Install": 1, "Upgrade": 2}, ()),
        id="installs and upgrades",
    ),
    pytest.param(
        f"{HEAD}Upgrading:\n tool  noarch  1.1-1  lab  6.0 k\n     replacing  friend.noarch 1.0-1\n\n"
        "Transaction Summary\n========\nUpgrade  1 Package\n\n",
        Plan({"Upgrade": 1}, ("friend.noarch",)),
        id="what is made obsolete goes",
    ),
    pytest.param(
        "Transaction Summary\n========\nUpgrade  1 Package\nRemove  3 Packages (+2 Dependent packages)\n\n",
        Plan({"Upgrade": 1, "Remove": 3}, ()),
        id="removals",
    ),
    pytest.param("Nothing to do.\nComplete!\n", None, id="nothing to do"),
    pytest.param("Error: Failed to download metadata for repo 'lab'\n", None, id="an error"),
]


@pytest.mark.parametrize(("output", "plan"), PLANS)
def test_a_plan_is_read_from_what_dnf_prints(output: str, plan: Plan | None) -> None:
    assert dnf.read_plan(output) == plan


AGAINST = [
    pytest.param(Plan({"Upgrade": 2, "Install": 1}, ()), "upgrade", "", id="dependencies may come"),
    pytest.param(
        Plan({"Upgrade": 1}, ("friend.noarch",)), "upgrade", "remove friend", id="nothing is made obsolete"
    ),
    pytest.param(Plan({"Upgrade": 1, "Remove": 1}, ()), "upgrade", "Remove", id="nothing is removed"),
    pytest.param(Plan({"Downgrade": 1}, ()), "upgrade", "Downgrade", id="nothing goes back"),
    pytest.param(Plan({"Skip": 1}, ()), "upgrade", "Skip", id="nothing is skipped in silence"),
    pytest.param(Plan({}, ()), "upgrade", "cannot be read", id="a plan without numbers is no plan"),
    pytest.param(Plan({"Downgrade": 1}, ()), "downgrade", "", id="back is back"),
    pytest.param(
        Plan({"Downgrade": 2}, ()), "downgrade", "more would go back", id="but nothing else goes back"
    ),
]


@pytest.mark.parametrize(("plan", "verb", "said"), AGAINST)
def test_a_plan_that_does_more_than_asked_is_refused(plan: Plan, verb: str, said: str) -> None:
    against = dnf._against(plan, verb, 1)
    assert said in against
    assert bool(said) == bool(against)


def test_pins_name_exact_versions() -> None:
    def package(name: str, version: str, architecture: str = "x86_64") -> Package:
        return Package(name, version, architecture, PackageState.INSTALLED, "bind", version)

    inventory = Inventory(
        "rhel-9",
        (package("bind-libs", "32:9-1"), package("bind-libs", "32:9-1", "i686"), package("bind", "32:9-2")),
    )
    pins = dnf.pins_of(inventory, "bind", "32:9-2")
    assert pins == ["bind-libs-32:9-2.x86_64", "bind-libs-32:9-2.i686"]
    assert all(NEVRA.fullmatch(pin) for pin in pins)
    assert dnf.pins_of(inventory, "other", "32:9-2") == []


@pytest.mark.parametrize(
    "pin",
    [
        pytest.param("--nogpgcheck", id="an option"),
        pytest.param("tool", id="a name alone"),
        pytest.param("tool-1.1-1.noarch", id="no epoch"),
        pytest.param("http://192.0.2.1/tool-0:1-1.noarch", id="an address"),
        pytest.param("tool-0:1.1-1.noarch;reboot", id="a shell command"),
        pytest.param("tool-0:*-1.noarch", id="a pattern"),
    ],
)
def test_what_is_no_exact_package_never_reaches_dnf(
    machine: Callable[[str], Rpm], pin: str, tmp_path: Path
) -> None:
    """R38, T15."""
    rpm = machine(WHOLE)
    assert "not exact packages" in dnf.install(rpm, [pin], tmp_path / "log").detail
    assert "not exact packages" in dnf.undo(rpm, [pin], tmp_path / "log").detail
    assert not rpm.before.exists()


# -- orders ---------------------------------------------------------------------------------------------------

SYSTEMS = [
    pytest.param('ID=debian\nVERSION_CODENAME="bookworm"\n', Debian, id="Debian"),
    pytest.param('ID=ubuntu\nID_LIKE="debian"\n', Debian, id="like Debian"),
    pytest.param('ID="rhel"\nID_LIKE="fedora"\n', Rpm, id="Red Hat"),
    pytest.param('ID="rocky"\nID_LIKE="rhel centos fedora"\n', Rpm, id="like Red Hat"),
    pytest.param("ID=fedora\nVERSION_ID=40\n", Rpm, id="Fedora"),
    pytest.param("", Debian, id="it does not say"),
]


@pytest.mark.parametrize(("said", "kind"), SYSTEMS)
def test_a_system_is_told_by_what_it_says_of_itself(tmp_path: Path, said: str, kind: type[object]) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(said)
    assert isinstance(system_at(tmp_path, tmp_path), kind)


NOW = datetime(2026, 11, 24, tzinfo=UTC)


def order(source: str, version: str) -> Order:
    return Order(
        CampaignId("c-1"), 1, Verb.UPGRADE, ProductName.RPM, "rhel-9", source, version, NOW, NOW, NOW, "critical", {}
    )  # fmt: skip


@pytest.fixture
def asked(tmp_path: Path) -> Rpm:
    """A root whose rpm lists one package, its files, and when it came: as long ago as the file `came` says."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID="rhel"\nVERSION_ID="9.4"\n')
    (tmp_path / "came").write_text("1\n")
    tool = tmp_path / "rpm"
    tool.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"*INSTALLTIME*) cat {tmp_path}/came ;;\n"
        "-ql*) echo /usr/lib64/libtool.so.3.0.7 ;;\n"
        '*) printf "%s\\t0\\t3.0.7\\t27.el9\\tx86_64\\t%s-3.0.7-27.el9.src.rpm\\n" $NAME $NAME ;;\n'
        "esac\n"
    )
    tool.chmod(0o755)
    return Rpm(tmp_path, tmp_path, (str(tool),), ("/bin/false",))


STATUSES = [
    pytest.param("tool", "3.0.7-27.el9", (), "1", Status.FIXED, id="it is there"),
    pytest.param("tool", "3.0.7-9.el9", (), "1", Status.FIXED, id="a newer one is there, by rpm's order"),
    pytest.param("tool", "3.0.7-28.el9", (), "1", Status.AFFECTED, id="an older one is there"),
    pytest.param(
        "tool", "3.0.7-27.el9", ("/usr/lib64/libtool.so.3.0.1",), "1", Status.PENDING_RESTART,
        id="a process runs the old code, A6",
    ),
    pytest.param(
        "tool", "3.0.7-27.el9", ("/usr/lib64/libother.so",), "1", Status.FIXED, id="a process runs other old code"
    ),
    pytest.param(
        "kernel", "3.0.7-27.el9", (), str(2**40), Status.PENDING_RESTART, id="a kernel came after the start, A6"
    ),
    pytest.param("kernel", "3.0.7-27.el9", (), "1", Status.FIXED, id="the machine started with this kernel"),
    pytest.param("other", "3.0.7-27.el9", (), "1", Status.NOT_AFFECTED, id="nothing of it is installed"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "version", "stale", "came", "status"), STATUSES)
def test_how_a_machine_with_rpm_stands_on_an_order(
    asked: Rpm, source: str, version: str, stale: tuple[str, ...], came: str, status: Status
) -> None:
    """P5.1, A2, A6."""
    (asked.path / "came").write_text(f"{came}\n")
    system = replace(
        asked, environment={"NAME": "tool" if source == "other" else source, "PATH": "/usr/bin:/bin"}
    )
    found = Sight(packages.take(system), "", tuple(Stale(7, "daemon", path) for path in stale))
    assert RpmPackages(system).status(order(source, version), found)[0] is status


def test_without_a_word_on_its_start_a_machine_is_not_called_fixed(tmp_path: Path) -> None:
    assert restarts.older_than_start("kernel", 1, tmp_path)
    assert not restarts.older_than_start("openssl", 2**40, tmp_path)
