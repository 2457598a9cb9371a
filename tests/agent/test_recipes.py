"""Remediations without a package: payloads, files and kernel parameters, installed, judged and taken back."""

import hashlib
import os
import stat
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from forestall.agent import payloads
from forestall.agent.installers import recipes
from forestall.agent.installers.kept import kept_for
from forestall.agent.installers.steps import Machine
from forestall.agent.trusted import trusted, verified
from forestall.domain.errors import AgentError
from forestall.domain.evidence import Status
from forestall.domain.recipe import (
    PAYLOAD,
    Command,
    Content,
    Payload,
    PutFile,
    Question,
    RunPayload,
    SetKernel,
)
from forestall.domain.remediation import RemediationId

NAME = RemediationId("any/tool/1.1")
LIMIT = timedelta(minutes=1)
ME = (Path("/etc/passwd"), Path("/etc/group"))


def named(path: Path, number: int) -> str:
    lines = (line.split(":") for line in path.read_text().splitlines())
    return next(fields[0] for fields in lines if int(fields[2]) == number)


OWNER, GROUP = named(ME[0], os.geteuid()), named(ME[1], os.getegid())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    directory = tmp_path / "agent"
    directory.mkdir(mode=0o700)
    (tmp_path / "opt").mkdir(mode=0o755)
    return Machine(Path("/"), directory)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def in_store(machine: Machine, content: bytes) -> Payload:
    payload = Payload(hashlib.sha256(content).hexdigest(), len(content))
    assert payloads.receive(machine.directory, payload, [content]).done
    return payload


def tool(machine: Machine, opt: Path, **steps: str) -> RunPayload:
    """An installer that copies its word into place, can ask for it, and can take it away."""
    script = (
        "#!/bin/sh\nset -e\ncase $1 in\n"
        + "".join(f"{name}) {what} ;;\n" for name, what in steps.items())
        + "esac\n"
    )
    payload = in_store(machine, script.encode())
    return RunPayload(
        payload=payload,
        install=Command((PAYLOAD, "install", str(opt / "tool")), LIMIT),
        detect=(
            Question(
                (PAYLOAD, "detect", str(opt / "tool")), LIMIT, frozenset({0}), frozenset({1}), frozenset({9})
            ),
        ),
        undo=Command((PAYLOAD, "undo", str(opt / "tool")), LIMIT) if "undo" in steps else None,
    )


GOOD = {"install": "echo 1.1 > $2", "detect": "grep -qx 1.1 $2 || exit 1", "undo": "rm $2"}


def test_a_payload_is_installed_judged_and_taken_back(machine: Machine, tmp_path: Path, log: Path) -> None:
    """P1.4, A7: affected before, fixed after (P4.3), affected again once it was taken back."""
    recipe = tool(machine, tmp_path / "opt", **GOOD)
    assert recipes.detect(machine, NAME, recipe).status is Status.AFFECTED
    assert recipes.install(machine, NAME, recipe, log).done
    assert recipes.detect(machine, NAME, recipe).status is Status.FIXED
    assert recipes.undo(machine, NAME, recipe, log).done
    assert recipes.detect(machine, NAME, recipe).status is Status.AFFECTED


FAILURES = [
    pytest.param({"install": "echo no way; exit 7"}, "ended with 7: no way", id="an installer that fails"),
    pytest.param({"install": "kill -9 $$"}, "ended with -9", id="one that is killed"),
    pytest.param({"install": ":"}, "ended with 1", id="one that says it worked, and did nothing"),
]


@pytest.mark.parametrize(("steps", "said"), FAILURES)
def test_an_installer_is_not_believed(
    machine: Machine, tmp_path: Path, log: Path, steps: dict[str, str], said: str
) -> None:
    recipe = tool(machine, tmp_path / "opt", **{**GOOD, **steps})
    outcome = recipes.install(machine, NAME, recipe, log)
    assert (outcome.done, said in outcome.detail) == (False, True), outcome
    assert recipes.detect(machine, NAME, recipe).status is Status.AFFECTED


def test_what_was_cut_off_is_not_fixed_whatever_it_says(machine: Machine, tmp_path: Path, log: Path) -> None:
    """R23: the first run dies after its files are in place; the second, after the start, finishes it."""
    steps = {**GOOD, "install": "echo 1.1 > $2; [ -e $2.again ] || { touch $2.again; kill -9 $$; }"}
    recipe = tool(machine, tmp_path / "opt", **steps)
    assert not recipes.install(machine, NAME, recipe, log).done
    assert (tmp_path / "opt/tool").read_text() == "1.1\n"
    assert recipes.detect(machine, NAME, recipe).status is Status.AFFECTED
    assert recipes.install(machine, NAME, recipe, log).done
    assert recipes.detect(machine, NAME, recipe).status is Status.FIXED


def test_an_installer_that_hangs_is_stopped(machine: Machine, tmp_path: Path, log: Path) -> None:
    recipe = tool(machine, tmp_path / "opt", **{**GOOD, "install": "sleep 600"})
    brief = Command(recipe.install.arguments, timedelta(milliseconds=200))
    slow = RunPayload(recipe.payload, brief, recipe.detect)
    assert "did not end in time" in recipes.install(machine, NAME, slow, log).detail
    assert "cannot be taken back" in recipes.undo(machine, NAME, slow, log).detail


def test_a_restart_may_be_what_is_missing(machine: Machine, tmp_path: Path, log: Path) -> None:
    """A6."""
    recipe = tool(machine, tmp_path / "opt", **{**GOOD, "detect": "exit 9"})
    assert recipes.install(machine, NAME, recipe, log).done
    assert recipes.detect(machine, NAME, recipe).status is Status.PENDING_RESTART


def test_a_question_that_nobody_answers_leaves_it_unknown(machine: Machine, tmp_path: Path) -> None:
    """A2."""
    odd = tool(machine, tmp_path / "opt", **{**GOOD, "detect": "exit 42"})
    assert recipes.detect(machine, NAME, odd).status is Status.UNKNOWN
    gone = Question(("/nowhere/tool",), LIMIT, frozenset({0}), frozenset({1}))
    assert (
        recipes.detect(machine, NAME, RunPayload(odd.payload, odd.install, (gone,))).status is Status.UNKNOWN
    )


def test_content_of_a_file_may_be_the_proof(machine: Machine, tmp_path: Path, log: Path) -> None:
    recipe = tool(machine, tmp_path / "opt", **GOOD)
    proof = Content(str(tmp_path / "opt/tool"), hashlib.sha256(b"1.1\n").hexdigest())
    by_content = RunPayload(recipe.payload, recipe.install, (proof,))
    assert recipes.detect(machine, NAME, by_content).status is Status.AFFECTED
    assert recipes.install(machine, NAME, by_content, log).done
    (tmp_path / "opt/tool").write_text("1.0\n")
    assert recipes.detect(machine, NAME, by_content).status is Status.AFFECTED


# -- payloads that are not what was signed -------------------------------------------------------------------

STRANGE = [
    pytest.param([b"#!/bin/sh\n", b"exit 0"], "longer", id="more bytes than were signed"),
    pytest.param([b"#!/bin/sh"], "not those that were signed", id="fewer"),
    pytest.param([b"#!/bin/xx\n"], "not those that were signed", id="others"),
]


@pytest.mark.parametrize(("chunks", "said"), STRANGE)
def test_foreign_bytes_are_not_kept(machine: Machine, chunks: Iterable[bytes], said: str) -> None:
    """A10."""
    wanted = b"#!/bin/sh\n"
    payload = Payload(hashlib.sha256(wanted).hexdigest(), len(wanted))
    assert said in payloads.receive(machine.directory, payload, chunks).detail
    assert list((machine.directory / "payloads").iterdir()) == []


def test_a_payload_without_room_is_not_begun(machine: Machine) -> None:
    """R32."""
    assert "too little space" in payloads.receive(machine.directory, Payload("0" * 64, 1 << 60), []).detail


def test_a_payload_changed_after_it_came_does_not_run(machine: Machine, tmp_path: Path, log: Path) -> None:
    """R38: it is verified anew each time, through the open file."""
    recipe = tool(machine, tmp_path / "opt", **GOOD)
    place = payloads.place_of(machine.directory, recipe.payload)
    place.chmod(0o700)
    place.write_bytes(place.read_bytes().replace(b"1.1", b"6.6"))
    assert "its hash is another" in recipes.install(machine, NAME, recipe, log).detail
    assert not (tmp_path / "opt/tool").exists()
    place.unlink()
    assert "No such file" in recipes.install(machine, NAME, recipe, log).detail


# -- paths that others could change --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "fits"),
    [
        pytest.param(0o755, True, id="only ours"),
        pytest.param(0o777, False, id="everybody's"),
        pytest.param(0o1777, True, id="everybody's, where nobody moves what is another's"),
    ],
)
def test_what_others_may_write_is_not_trusted(tmp_path: Path, mode: int, fits: bool) -> None:
    """R38."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/tool").touch(mode=0o755)
    (tmp_path / "folder").chmod(mode)
    if fits:
        assert trusted(tmp_path, "/folder/tool") == tmp_path / "folder/tool"
    else:
        with pytest.raises(AgentError, match="written by others"):
            trusted(tmp_path, "/folder/tool")


def test_links_that_lead_round_in_circles_are_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(AgentError, match="too many"):
        trusted(tmp_path, "/loop")


def test_links_are_followed_as_in_the_root_itself(tmp_path: Path) -> None:
    """Neither an absolute link nor `..` leads out of it."""
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/tool").touch(mode=0o755)
    (tmp_path / "lib").symlink_to("/usr/lib")
    (tmp_path / "up").symlink_to("../../../usr")
    assert trusted(tmp_path, "/lib/tool") == tmp_path / "usr/lib/tool"
    assert trusted(tmp_path, "/up/lib/tool") == tmp_path / "usr/lib/tool"


def test_a_folder_is_no_payload(tmp_path: Path) -> None:
    with pytest.raises((AgentError, OSError)):
        verified(tmp_path.parent, f"/{tmp_path.name}", Payload("0" * 64, 1))


# -- files ---------------------------------------------------------------------------------------------------


def definitions(machine: Machine, place: Path, content: bytes, **more: object) -> PutFile:
    return PutFile(in_store(machine, content), str(place), OWNER, GROUP, 0o640, **more)


@pytest.mark.parametrize(
    "old", [pytest.param(b"old", id="one was there"), pytest.param(None, id="none was there")]
)
def test_a_file_is_put_and_the_old_one_comes_back(
    machine: Machine, tmp_path: Path, log: Path, old: bytes | None
) -> None:
    """P1.4, A7."""
    place = tmp_path / "opt/main.cvd"
    if old is not None:
        place.write_bytes(old)
        place.chmod(0o604)
    recipe = definitions(machine, place, b"new")
    assert recipes.detect(machine, NAME, recipe).status is Status.AFFECTED
    assert recipes.install(machine, NAME, recipe, log).done
    assert recipes.detect(machine, NAME, recipe).status is Status.FIXED
    assert (place.read_bytes(), stat.S_IMODE(place.stat().st_mode)) == (b"new", 0o640)
    assert recipes.install(machine, NAME, recipe, log).done  # once more changes nothing, what is kept neither
    assert recipes.undo(machine, NAME, recipe, log).done
    assert (place.read_bytes() if place.exists() else None) == old
    if old is not None:
        assert stat.S_IMODE(place.stat().st_mode) == 0o604
    assert [path.name for path in place.parent.iterdir()] == ([place.name] if old is not None else [])
    assert not recipes.undo(machine, NAME, recipe, log).done


def test_what_somebody_changed_since_is_not_taken_back(machine: Machine, tmp_path: Path, log: Path) -> None:
    place = tmp_path / "opt/main.cvd"
    recipe = definitions(machine, place, b"new")
    assert recipes.install(machine, NAME, recipe, log).done
    place.write_bytes(b"newer still")
    assert "changed since" in recipes.undo(machine, NAME, recipe, log).detail
    assert place.read_bytes() == b"newer still"


def test_two_changes_of_one_file_come_back_one_after_the_other(
    machine: Machine, tmp_path: Path, log: Path
) -> None:
    place, later = tmp_path / "opt/main.cvd", RemediationId("any/tool/1.2")
    place.write_bytes(b"0")
    one, two = definitions(machine, place, b"1"), definitions(machine, place, b"2")
    assert recipes.install(machine, NAME, one, log).done
    assert recipes.install(machine, later, two, log).done
    assert not recipes.undo(machine, NAME, one, log).done
    assert recipes.undo(machine, later, two, log).done
    assert recipes.undo(machine, NAME, one, log).done
    assert place.read_bytes() == b"0"


def test_definitions_that_others_renewed_are_asked_after(machine: Machine, tmp_path: Path, log: Path) -> None:
    """Newer ones than ours must not be called affected, and put back to ours."""
    place = tmp_path / "opt/main.cvd"
    question = Question(
        ("/usr/bin/grep", "-q", "newer", str(place)), LIMIT, frozenset({0}), frozenset({1, 2})
    )
    recipe = definitions(machine, place, b"new", detect=question)
    assert recipes.detect(machine, NAME, recipe).status is Status.AFFECTED
    assert recipes.install(machine, NAME, recipe, log).done
    place.write_bytes(b"newer")
    assert recipes.detect(machine, NAME, recipe).status is Status.FIXED


def test_a_setting_that_its_program_refuses_goes_back(machine: Machine, tmp_path: Path, log: Path) -> None:
    place, told = tmp_path / "opt/site.conf", tmp_path / "opt/told"
    place.write_bytes(b"good 1")
    check = Command(("/usr/bin/grep", "-q", "good", str(place)), LIMIT)
    reload = Command(("/usr/bin/cp", str(place), str(told)), LIMIT)
    bad = definitions(machine, place, b"bad", check=check, reload=reload)
    outcome = recipes.install(machine, NAME, bad, log)
    assert (outcome.done, "the old file is back" in outcome.detail) == (False, True)
    assert place.read_bytes() == told.read_bytes() == b"good 1"
    good = definitions(machine, place, b"good 2", check=check, reload=reload)
    assert recipes.install(machine, NAME, good, log).done
    assert told.read_bytes() == b"good 2"


def test_a_change_cut_off_before_its_check_is_not_fixed_and_is_finished(
    machine: Machine, tmp_path: Path, log: Path
) -> None:
    """R23."""
    place = tmp_path / "opt/site.conf"
    recipe = definitions(machine, place, b"good")
    kept = kept_for(machine.directory, NAME)
    kept.begin()
    kept.keep(place)
    place.write_bytes(b"good")
    place.chmod(0o640)
    assert recipes.detect(machine, NAME, recipe).status is Status.AFFECTED
    assert recipes.install(machine, NAME, recipe, log).done
    assert recipes.detect(machine, NAME, recipe).status is Status.FIXED
    assert recipes.undo(machine, NAME, recipe, log).done
    assert not place.exists()


def test_a_link_or_a_folder_in_the_place_of_a_file_is_left_alone(
    machine: Machine, tmp_path: Path, log: Path
) -> None:
    """R38: root does not write where a link leads."""
    (tmp_path / "opt/secret").write_text("secret")
    (tmp_path / "opt/link").symlink_to("secret")
    for name in ("link", ".."):
        recipe = definitions(machine, tmp_path / "opt" / name, b"new")
        assert not recipes.install(machine, NAME, recipe, log).done
        assert recipes.detect(machine, NAME, recipe).status is Status.UNKNOWN
    assert (tmp_path / "opt/secret").read_text() == "secret"


def test_an_owner_that_the_machine_does_not_know_is_told(machine: Machine, tmp_path: Path, log: Path) -> None:
    recipe = PutFile(in_store(machine, b"new"), str(tmp_path / "opt/main.cvd"), "nosuchuser", GROUP, 0o640)
    assert "knows no nosuchuser" in recipes.install(machine, NAME, recipe, log).detail
    assert not (tmp_path / "opt/main.cvd").exists()


# -- kernel parameters ---------------------------------------------------------------------------------------

SETTING = SetKernel("net.ipv4.tcp_syncookies", "1")


@pytest.fixture
def root(tmp_path: Path) -> Machine:
    """A root with a parameter that is only a file; `./lab installers` sets a real one."""
    live = tmp_path / "proc/sys/net/ipv4"
    live.mkdir(parents=True)
    (live / "tcp_syncookies").write_text("0\n")
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "agent").mkdir()
    return Machine(tmp_path, tmp_path / "agent")


def test_a_kernel_parameter_is_set_now_and_for_the_next_start(root: Machine, log: Path) -> None:
    """P1.4, A7."""
    live = root.root / "proc/sys/net/ipv4/tcp_syncookies"
    drop_in = root.root / "etc/sysctl.d/zz-forestall-net.ipv4.tcp_syncookies.conf"
    assert recipes.detect(root, NAME, SETTING).status is Status.AFFECTED
    assert recipes.install(root, NAME, SETTING, log).done
    assert live.read_text() == "1\n"
    assert "net.ipv4.tcp_syncookies = 1\n" in drop_in.read_text()
    assert recipes.detect(root, NAME, SETTING).status is Status.FIXED
    assert recipes.undo(root, NAME, SETTING, log).done
    assert live.read_text() == "0\n"
    assert not drop_in.exists()
    assert recipes.detect(root, NAME, SETTING).status is Status.AFFECTED


def test_a_parameter_that_lasts_only_until_the_next_start_is_not_fixed(root: Machine) -> None:
    (root.root / "proc/sys/net/ipv4/tcp_syncookies").write_text("1\n")
    answer = recipes.detect(root, NAME, SETTING)
    assert (answer.status, "next start" in answer.reason) == (Status.AFFECTED, True)


def test_a_parameter_that_is_not_there_is_unknown_and_nothing_is_written(root: Machine, log: Path) -> None:
    """A2."""
    missing = SetKernel("net.ipv4.no_such_thing", "1")
    assert recipes.detect(root, NAME, missing).status is Status.UNKNOWN
    assert not recipes.install(root, NAME, missing, log).done
    assert list((root.root / "etc/sysctl.d").iterdir()) == []


def test_a_parameter_that_somebody_changed_since_is_left(root: Machine, log: Path) -> None:
    assert recipes.install(root, NAME, SETTING, log).done
    (root.root / "proc/sys/net/ipv4/tcp_syncookies").write_text("2\n")
    assert "changed since" in recipes.undo(root, NAME, SETTING, log).detail
    assert (root.root / "proc/sys/net/ipv4/tcp_syncookies").read_text() == "2\n"
