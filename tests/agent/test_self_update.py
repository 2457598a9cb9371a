"""The whole agent updates itself: signed, unpacked, started by the launcher, proven or left again (A2, A7, A11)."""

import contextlib
import hashlib
import io
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

import msgspec
import pytest
from laboratory.office import approval_for, paper_of

from agent.company import Clock, Company, order
from agent.rig import Rig
from agent.small_agent import command
from forestall.agent import archive, journal, packing, slots, state
from forestall.agent.archive import About
from forestall.agent.installers.own import running_version
from forestall.agent.service import START_AGAIN
from forestall.agent.slots import platform
from forestall.clock import utc_now
from forestall.domain.errors import AgentError
from forestall.domain.recipe import Payload
from forestall.domain.slot import BASE, STARTS, Slots
from forestall.trust.payloads import payload_of
from forestall.trust.recipe import PayloadMessage, RecipeFile, UpdateAgentMessage, read_recipe_file

SECONDS = 40.0
"""More than a pass takes on a busy machine."""
LOOP = "forestall/agent/loop.py"
RAISES = b"def run_pass(*_, **__): raise SystemError('broken')\ninstall_chosen = run_pass\n"


@cache
def files() -> Mapping[str, bytes]:
    """Of this installation, without what only colours its help."""
    found = packing.files_here("0.2.0")
    return {name: found[name] for name in found if not name.startswith("pygments/")}


@dataclass
class Place:
    """A machine with the agent that came along, and a company that has a new one rolled out."""

    company: Company
    directory: Path
    root: Path
    recipes: list[UpdateAgentMessage] = field(default_factory=list)

    def publish(self, campaign: str, version: str, changed: Mapping[str, bytes] | None = None) -> str:
        """Have an agent approved and ordered; gives its slot."""
        place = self.root.parent / f"{version}.zip"
        own = {f"forestall-{version}.dist-info/METADATA": f"Name: forestall\nVersion: {version}\n".encode()}
        kept = {name: content for name, content in files().items() if "forestall-0.2.0" not in name}
        archive.write(place, About(version, platform()), {**kept, **own, **(changed or {})})
        content = place.read_bytes()
        payload = Payload(hashlib.sha256(content).hexdigest(), len(content))
        now = self.company.clock()
        self.company.orders += [
            order(
                campaign=campaign, product="recipe", release="any", source="forestall-agent", version=version,
                offered_at=now - timedelta(minutes=1), force_at=now + timedelta(hours=5),
                expires_at=now + timedelta(hours=20),
            )
        ]  # fmt: skip
        papers = [*map(paper_of, self.company.orders)]
        self.recipes.append(UpdateAgentMessage(PayloadMessage(payload.sha256, payload.length), platform()))
        approvals = [approval_for(paper, recipe=one) for paper, one in zip(papers, self.recipes, strict=True)]
        self.company.office.sign(papers, approvals, now)
        self.company.office.repository.put_payload(payload, io.BytesIO(content))
        self.company.publish = lambda: None
        return payload.sha256

    def take_back(self, campaign: str, back_to: str) -> None:
        """Have the one agent that was ordered taken back instead."""
        (before,), (recipe,) = self.company.orders, self.recipes
        self.company.orders = [msgspec.structs.replace(before, campaign=campaign, verb="undo")]
        (paper,) = map(paper_of, self.company.orders)
        approval = approval_for(paper, recipe=recipe, back_to=back_to)
        self.company.office.sign([paper], [approval], self.company.clock())

    def start(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Start the launcher once and wait until what it started has ended."""
        arguments = (*words, "--root", str(self.root))
        return subprocess.run(
            command(SECONDS, *arguments), capture_output=True, text=True, check=False, timeout=SECONDS * 3
        )

    @contextlib.contextmanager
    def service(self) -> Iterator[subprocess.Popen[str]]:
        """Run the service while the test looks; then ask it to end."""
        words = command(SECONDS, "run", "--root", str(self.root))
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.communicate(timeout=SECONDS)

    @property
    def record(self) -> Slots:
        return slots.load(self.directory)

    def said(self) -> tuple[str, str, str]:
        """What the server heard last of the newest order: version, status and why."""
        about = self.company.reports[-1].states[-1]
        return self.company.reports[-1].agent_version, about.status, about.detail


@pytest.fixture
def place(rig: Rig) -> Iterator[Place]:
    with Company(clock=Clock(utc_now())) as company:
        directory = rig.root / "var/lib/forestall-agent"
        directory.mkdir(mode=0o755, parents=True)
        company.enrol(directory)
        yield Place(company, directory, rig.root)


def until(met: object, process: subprocess.Popen[str]) -> None:
    """Wait for it while the service lives; each look is a look at the disk."""
    assert callable(met)
    for _ in range(int(SECONDS * 10)):
        if met():
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    assert met(), f"it was not so, and the service {process.poll()}"


def test_a_good_agent_proves_itself_and_says_so_by_where_it_runs(place: Place) -> None:
    """A2, A10: from the papers to the running agent, and not fixed before it runs."""
    slot = place.publish("c-1", "0.2.0")
    assert place.start("install", "c-1").returncode == 0
    assert place.said()[:2] == (running_version(), "pending_restart")
    with place.service() as process:
        until(lambda: place.record.current == slot, process)
        until(lambda: place.said()[1] == "fixed", process)
    assert place.said() == ("0.2.0", "fixed", "agent 0.2.0 runs, from the archive that was signed")
    assert (place.record.previous, place.record.trial) == (BASE, None)
    assert "this agent is in force" in [entry.event for entry in journal.tail(place.directory, 50)]
    assert not (place.directory / "state.kept.json").exists()
    assert '"status": "fixed"' in place.start("status", "--json").stdout


def test_an_agent_is_taken_back_to_the_approved_version_and_to_no_other(place: Place) -> None:
    """A7: from its slot it asks which version came along; what was approved is not here, or is that very one."""
    slot = place.publish("c-1", "0.2.0")
    place.start("install", "c-1")
    with place.service() as process:
        until(lambda: place.record.current == slot, process)
    place.take_back("u-1", "0.1.5")
    refused = place.start("install", "u-1")
    assert (refused.returncode, "agent 0.1.5 is not on this machine" in refused.stdout) == (1, True), refused
    assert place.said()[:2] == ("0.2.0", "affected")
    assert (place.record.current, place.record.trial) == (slot, None)
    place.take_back("u-2", running_version())
    place.start("install", "u-2")
    assert place.record.trial == BASE
    with place.service() as process:
        until(lambda: place.record == Slots(), process)
        until(lambda: place.said()[:2] == (running_version(), "fixed"), process)


BROKEN = [
    pytest.param({"forestall/agent/main.py": b"import nothing_of_the_kind\n"}, id="it crashes at import"),
    pytest.param({LOOP: RAISES}, id="it crashes in its pass"),
]  # fmt: skip


@pytest.mark.parametrize("changed", BROKEN)
def test_a_broken_agent_is_left_by_itself_and_the_server_hears_why(
    place: Place, changed: Mapping[str, bytes]
) -> None:
    """A7: three starts, then the old one reports that it is affected, so that its ring halts."""
    slot = place.publish("c-1", "0.3.0", changed)
    assert place.start("install", "c-1").returncode == 0
    ends = [place.start("run").returncode for _ in range(STARTS)]
    assert 0 not in ends
    with place.service() as process:
        until(lambda: place.said()[1] == "affected", process)
    version, _, why = place.said()
    assert (version, "failed: started three times" in why) == (running_version(), True)
    assert (place.record.current, list(place.record.failed)) == (BASE, [slot])
    again = place.start("install", "c-1")
    assert (again.returncode, "not tried again" in again.stdout) == (1, True)


def test_a_good_agent_gives_way_to_the_next_and_is_there_again_when_that_is_broken(place: Place) -> None:
    """A7: back to the last good one, not to the first."""
    good = place.publish("c-1", "0.2.0")
    place.start("install", "c-1")
    with place.service() as process:
        until(lambda: place.record.current == good, process)
        bad = place.publish("c-2", "0.3.0", {LOOP: RAISES})
        assert place.start("install", "c-2").returncode == 0
        assert process.wait(SECONDS) == START_AGAIN
    assert [each.status for each in place.company.reports[-1].states] == ["fixed", "pending_restart"]
    for _ in range(STARTS):
        place.start("run")
    with place.service() as process:
        until(lambda: place.said()[1] == "affected", process)
    assert place.said()[0] == "0.2.0"
    assert place.record == Slots(good, BASE, None, 0, place.record.failed)
    assert list(place.record.failed) == [bad]


def test_the_service_itself_makes_way_for_a_new_agent_after_its_pass(place: Place) -> None:
    """A person installs it by another command; the service ends so that it is started again."""
    with place.service() as process:
        until(lambda: place.company.reports, process)
        slot = place.publish("c-1", "0.2.0")
        assert place.start("install", "c-1").returncode == 0
        assert process.wait(SECONDS) == START_AGAIN
    assert (place.record.trial, place.record.starts) == (slot, 0)


def test_an_agent_that_nobody_can_ask_goes_on_without_a_proof_and_without_an_end(place: Place) -> None:
    """A11: offline is no trap; the proof waits for the network."""
    slot = place.publish("c-1", "0.2.0")
    place.start("install", "c-1")
    place.company.close()
    with place.service() as process:
        until(lambda: place.record.starts == 1, process)
        until(lambda: place.record.starts == 0, process)
        assert process.poll() is None
    assert (place.record.trial, place.record.failed) == (slot, {})
    assert list(state.load(place.directory)[0].held) == ["c-1"], "the last valid order stays"


def test_an_agent_that_is_not_answered_where_others_are_has_proven_nothing(place: Place) -> None:
    """It may be the server's trouble or its own: its time runs on."""
    slot = place.publish("c-1", "0.2.0")
    place.start("install", "c-1")
    place.company.refuse = (400, {}, b"")
    heard = len(place.company.heard)
    with place.service() as process:
        until(lambda: len(place.company.heard) > heard, process)
        until(lambda: state.load(place.directory)[0].silent_checks, process)
    assert (place.record.trial, place.record.starts, place.record.current) == (slot, 1, BASE)


def test_the_archive_of_this_installation_works_alone_and_has_a_recipe(tmp_path: Path) -> None:
    """All that is its own was imported from it alone; what would be missing there is said."""
    made = packing.make(tmp_path, utc_now())
    assert archive.about(made.archive) == About(running_version(), platform())
    found = read_recipe_file(made.recipe.read_bytes())
    assert isinstance(found, RecipeFile)
    assert (found.update, found.recipe) == (
        f"any/forestall-agent/{running_version()}",
        UpdateAgentMessage(PayloadMessage(*astuple(payload_of(made.archive))), platform()),
    )
    packed = zipfile.ZipFile(made.archive).namelist()
    assert [name for name in packed if name.startswith("forestall/server")] == [], "nothing of the server"


@pytest.mark.parametrize("lost", ["jinja2", "pydantic"])
def test_an_archive_that_lacks_something_is_not_handed_out(tmp_path: Path, lost: str) -> None:
    """One is imported by ours, the other only once a command runs."""
    lacking = {name: content for name, content in files().items() if not name.startswith(f"{lost}/")}
    archive.write(tmp_path / "a", About("0.2.0", platform()), lacking)
    with pytest.raises(AgentError, match=f"does not start.*No module named '{lost}'"):
        packing._started(tmp_path / "a")
