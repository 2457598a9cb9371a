"""The launcher with real agents in real processes: it starts the one in force, tries a new one, falls back (A7)."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.small_agent import HANGS, PROVES, command, write_small
from forestall.agent import archive, slots
from forestall.agent.launcher import directory_of
from forestall.domain.slot import BASE, STARTS, Slots, fallen_back, ordered, proven

HOUR = 3_600.0
CRASH = "raise SystemError('broken')\n"
IN_PASS = "sys.exit(3)\n"
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HANGS
TORN = [
    pytest.param(
        lambda slot: (slot / "__main__.py").chmod(0o666),
        "can be changed by others",
        id="a file that others may write",
    ),
    pytest.param(
        lambda slot: (slot / "forestall").chmod(0o777),
        "can be changed by others",
        id="others may write a folder",
    ),
    pytest.param(lambda slot: slot.chmod(0o777), "may be written by others", id="others may write the slot"),
    pytest.param(
        lambda slot: slot.joinpath("x.py").symlink_to("/tmp/x.py"),
        "neither file nor folder",
        id="a link lies in it",
    ),
    pytest.param(
        lambda slot: (slot / "agent.json").unlink(), "No such file", id="it does not say what it is"
    ),
    pytest.param(lambda slot: (slot / "agent.json").write_text("{"), "Expecting", id="what it says is torn"),
    pytest.param(
        lambda slot: (slot / "agent.json").write_text('{"platform": "cpython-999"}'),
        "cpython-999",
        id="for another Python",
    ),
]


class Machine:
    """A machine's agent's directory, and what was started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "agent"
        self.directory.mkdir(mode=0o755)
        self.said = folder / "said"

    def put(self, name: str, does: str, **about: str) -> str:
        """Put an agent into a slot."""
        payload = write_small(self.folder / "archive", name, does, **about)
        slots.folder_of(self.directory).mkdir(exist_ok=True)
        archive.unpack(self.folder / "archive", slots.place_of(self.directory, payload.sha256))
        return payload.sha256

    def order(self, slot: str) -> None:
        slots.change(self.directory, lambda now: ordered(now, slot))

    def in_force(self, name: str) -> str:
        slot = self.put(name, "")
        slots.change(self.directory, lambda now: proven(ordered(now, slot)))
        return slot

    def start(self, *arguments: str, seconds: float = HOUR) -> subprocess.CompletedProcess[str]:
        """Start it once, as the service manager does; the agent that came along says so by refusing."""
        words = (*(arguments or ("run",)), "--state", str(self.directory), str(self.said))
        return subprocess.run(command(seconds, *words), capture_output=True, text=True, check=False)

    @property
    def started(self) -> list[str]:
        """Who has put down a name."""
        return self.said.read_text().split() if self.said.exists() else []

    @property
    def record(self) -> Slots:
        return slots.load(self.directory)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_launcher_needs_nothing_but_the_standard_library_and_a_few_plain_modules() -> None:
    """What is not imported cannot be broken."""
    code = "import sys; import forestall.agent.launcher; print(*sorted(sys.modules))"
    src = Path(slots.__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(src)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = ran.stdout.split()
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"__main__"}
    assert foreign == {"forestall"}
    ours = {
        name for name in loaded if name.startswith("forestall.") and not name.startswith("forestall.domain")
    }
    assert ours == {
        "forestall.agent", "forestall.agent.launcher", "forestall.agent.slots", "forestall.agent.trusted",
        "forestall.durable",
    }  # fmt: skip


def test_without_slots_the_agent_that_came_along_runs(machine: Machine) -> None:
    ran = machine.start("status")
    assert (machine.started, "Usage: forestall-agent status" in ran.stderr) == ([], True)


def test_a_new_agent_that_proves_itself_is_in_force(machine: Machine) -> None:
    """A2."""
    machine.in_force("A")
    slot = machine.put("B", PROVES)
    machine.order(slot)
    assert machine.start().returncode == 0
    assert machine.start("status").returncode == 0
    assert (machine.started, machine.record.current, machine.record.trial) == (["B", "B"], slot, None)


@pytest.mark.parametrize(
    "does", [CRASH, IN_PASS, "os._exit(0)\n"], ids=["crashes", "ends badly", "just ends"]
)
def test_one_that_ends_without_proof_is_left_for_good_after_three_starts(machine: Machine, does: str) -> None:
    """A7: by itself, nobody has to be asked."""
    old = machine.in_force("A")
    new = machine.put("C", f"import os\n{does}")
    machine.order(new)
    for _ in range(STARTS + 2):
        machine.start()
    assert machine.started == ["C"] * STARTS + ["A", "A"]
    assert (machine.record.current, machine.record.trial) == (old, None)
    assert "never proven" in machine.record.failed[new]


@pytest.mark.parametrize("does", [HANGS, IGNORES], ids=["hangs", "hangs and hears nothing"])
def test_one_that_hangs_is_ended_within_its_time(machine: Machine, does: str) -> None:
    """The kernel keeps the time, across exec."""
    machine.in_force("A")
    machine.order(machine.put("C", does))
    ends = [machine.start(seconds=6).returncode for _ in range(STARTS)]
    assert ends == [-signal.SIGALRM] * STARTS
    assert machine.start().returncode == 0
    assert machine.started == ["C"] * STARTS + ["A"]


def test_an_agent_that_cannot_even_be_read_falls_back_too(machine: Machine) -> None:
    machine.in_force("A")
    slot = machine.put("C", "")
    slots.place_of(machine.directory, slot).joinpath("__main__.py").write_bytes(b"\0 no program (")
    machine.order(slot)
    for _ in range(STARTS + 1):
        machine.start()
    assert (machine.started, list(machine.record.failed)) == (["A"], [slot])


def test_a_persons_command_never_tries_a_new_agent(machine: Machine) -> None:
    machine.in_force("A")
    machine.order(machine.put("B", PROVES))
    for words in (("status",), ("check",), ("run", "--once"), ("install", "c-1")):
        machine.start(*words)
    assert (machine.started, machine.record.starts) == (["A"] * 4, 0)


@pytest.mark.parametrize(("touch", "why"), TORN)
def test_a_slot_that_was_touched_is_not_tried(machine: Machine, touch: object, why: str) -> None:
    """R38: nothing runs as root that others could change."""
    assert callable(touch)
    machine.in_force("A")
    slot = machine.put("B", PROVES)
    machine.order(slot)
    touch(slots.place_of(machine.directory, slot))
    machine.start()
    assert machine.started == ["A"]
    assert why in machine.record.failed[slot]


@pytest.mark.parametrize(("touch", "why"), TORN)
def test_a_slot_in_force_that_was_touched_is_not_run_either(
    machine: Machine, touch: object, why: str
) -> None:
    """The one before it runs, and says why; what is remembered stays."""
    assert callable(touch)
    machine.in_force("A")
    slot = machine.in_force("B")
    touch(slots.place_of(machine.directory, slot))
    ran = machine.start()
    assert (machine.started, machine.record.current) == (["A"], slot)
    assert why in ran.stderr


def test_the_agent_that_came_along_is_the_last_resort(machine: Machine) -> None:
    for name in ("A", "B"):
        slots.place_of(machine.directory, machine.in_force(name)).joinpath("__main__.py").chmod(0o666)
    ran = machine.start("status")
    assert (machine.started, "slot base runs" in ran.stderr) == ([], True)


def test_a_start_that_cannot_be_counted_is_not_made(machine: Machine) -> None:
    """Otherwise a full disk would start it for ever."""
    machine.in_force("A")
    machine.order(machine.put("C", CRASH))
    (slots.folder_of(machine.directory) / ".record.json.new").mkdir()
    for _ in range(STARTS + 1):
        machine.start()
    assert (machine.started, machine.record.starts) == (["A"] * (STARTS + 1), 0)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"current": "../../evil"}', b'{"current": 7}', b'{"starts": "x"}', b"\xff"],
)
def test_a_damaged_record_means_the_agent_that_came_along(machine: Machine, content: bytes) -> None:
    machine.in_force("A")
    slots.folder_of(machine.directory).joinpath("record.json").write_bytes(content)
    machine.start("status")
    assert (machine.started, machine.record) == ([], Slots())


def test_what_a_newer_agent_added_to_the_record_stays_there(machine: Machine) -> None:
    """This launcher is older than every agent it will ever start."""
    machine.in_force("A")
    place = slots.folder_of(machine.directory) / "record.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "of_tomorrow": {"x": 1}}))
    machine.order(machine.put("B", PROVES))
    machine.start()
    assert json.loads(place.read_text())["of_tomorrow"] == {"x": 1}


def test_one_that_failed_may_be_followed_by_a_better_one(machine: Machine) -> None:
    machine.in_force("A")
    bad = machine.put("C", CRASH)
    slots.change(machine.directory, lambda now: fallen_back(ordered(now, bad), "bad"))
    good = machine.put("D", PROVES)
    machine.order(good)
    machine.start()
    assert (machine.started, machine.record.current, list(machine.record.failed)) == (["D"], good, [bad])


def test_the_directory_is_the_one_that_the_commands_take() -> None:
    place = Path("/var/lib/forestall-agent")
    cases = {
        (): place,
        ("run", "--state", "/a"): Path("/a"),
        ("run", "--state=/a", "--root", "/r"): Path("/a"),
        ("run", "--root", "/r"): Path("/r/var/lib/forestall-agent"),
        ("run", "--root"): place,
    }
    assert {words: directory_of(words, {}) for words in cases} == cases
    assert directory_of((), {"FORESTALL_ROOT": "/r"}) == Path("/r/var/lib/forestall-agent")
    assert directory_of(("--state", "/a"), {"FORESTALL_STATE": "/b"}) == Path("/a")
    assert directory_of((), {"FORESTALL_STATE": "b"}) == Path.cwd() / "b"


def test_the_base_is_never_a_slot(machine: Machine) -> None:
    assert (slots.running(machine.directory), slots.next_start(machine.directory)) == (BASE, BASE)
    assert list(machine.directory.iterdir()) == []
