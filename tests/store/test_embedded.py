"""The database that comes along: closed to everybody else, found by the second process, whole after kill -9."""

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from forestall.domain.errors import StoreError
from forestall.store.embedded import LONGEST_SOCKET_PATH, SOCKET, Embedded

OWNER = """
import sys, threading
from pathlib import Path
from forestall.store.embedded import Embedded

def own():
    print(Embedded(Path(sys.argv[1])).start(), flush=True)

{start}
sys.stdin.read()
"""
TIED = OWNER.format(start="own()")
"""The server is told to end when its owner does."""
UNTIED = OWNER.format(start="thread = threading.Thread(target=own); thread.start(); thread.join()")
"""Nobody tells the server: it stays behind as an orphan."""


def connect(embedded: Embedded) -> psycopg.Connection:
    return psycopg.connect(embedded.url.replace("+psycopg", ""), autocommit=True)


def postmaster(directory: Path) -> int:
    return int((directory / "data" / "postmaster.pid").read_text().split()[0])


def owner_in(directory: Path, program: str) -> "subprocess.Popen[str]":
    """Start another process that owns the database, and wait until it says so."""
    owner = subprocess.Popen(
        [sys.executable, "-c", program, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline().startswith("postgresql")
    return owner


def kill(owner: "subprocess.Popen[str]") -> None:
    owner.kill()
    owner.communicate()


def await_end(pid: int) -> None:
    """Wait until a process that is not our child is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 30)[0], f"{pid} is still there"
    finally:
        os.close(handle)


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o777:o}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "database"


def test_nobody_else_can_reach_it(directory: Path):
    """Not by name in the file system, not by network."""
    directory.mkdir(mode=0o755)
    with Embedded(directory) as embedded, connect(embedded) as connection:
        assert {mode(directory), mode(directory / "data"), mode(directory / "socket")} == {"700"}
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW unix_socket_permissions").fetchone() == ("0700",)
        pid = postmaster(directory)
        files = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        sockets = {name.removeprefix("socket:[").removesuffix("]") for name in files}
        for table in ("tcp", "tcp6", "udp", "udp6"):
            rows = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
            assert not sockets & {row.split()[9] for row in rows}


def test_it_has_none_of_roots_powers(directory: Path):
    with Embedded(directory):
        status = Path(f"/proc/{postmaster(directory)}/status").read_text()
        assert "CapEff:\t0000000000000000\n" in status
        assert "CapPrm:\t0000000000000000\n" in status


def test_nothing_outside_its_directory_changes(tmp_path: Path):
    home, neighbour = tmp_path / "home", tmp_path / "home" / "neighbour"
    for each in (home, neighbour):
        each.mkdir(mode=0o750)
    with Embedded(home / "database"):
        pass
    assert (mode(home), mode(neighbour)) == ("750", "750")
    assert sorted(path.name for path in home.iterdir()) == ["database", "neighbour"]


def test_a_second_user_finds_it_and_leaves_it_running(directory: Path):
    with Embedded(directory) as first:
        with Embedded(directory) as second:
            assert (first.owned, second.owned) == (True, False)
            assert second.url == first.url
        with connect(first) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert first.start() == first.url


def test_a_second_process_finds_it(directory: Path):
    owner = owner_in(directory, TIED)
    try:
        with Embedded(directory) as found:
            assert not found.owned
            connect(found).close()
    finally:
        kill(owner)


def test_who_found_it_takes_over_when_its_owner_has_ended(directory: Path):
    with Embedded(directory) as second:
        second.stop()
        first = Embedded(directory)
        first.start()
        second.start()
        assert not second.owned
        first.stop()
        second.start()
        assert second.owned
        connect(second).close()


@pytest.mark.parametrize(
    "program",
    [pytest.param(TIED, id="the server ends with it"), pytest.param(UNTIED, id="the server is left behind")],
)
def test_after_kill_9_of_its_owner_everything_committed_is_there(directory: Path, program: str):
    owner = owner_in(directory, program)
    with Embedded(directory) as found, connect(found) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS answer")
        orphan = postmaster(directory)
        kill(owner)
        if program is TIED:
            await_end(orphan)
    with Embedded(directory) as again:
        await_end(orphan)
        assert again.owned
        assert postmaster(directory) != orphan
        with connect(again) as connection:
            assert connection.execute("SELECT answer FROM t").fetchone() == (42,)


def test_a_server_that_was_killed_is_started_again(directory: Path):
    with Embedded(directory) as embedded:
        with connect(embedded) as connection:
            connection.execute("CREATE TABLE t AS SELECT 42 AS answer")
        killed = postmaster(directory)
        os.kill(killed, signal.SIGKILL)
        await_end(killed)
        embedded.start()
        with connect(embedded) as connection:
            assert connection.execute("SELECT answer FROM t").fetchone() == (42,)


def test_a_number_that_belongs_to_somebody_else_by_now_harms_nobody(directory: Path):
    """The process id in a stale postmaster.pid is ours here: we must survive."""
    with Embedded(directory):
        pass
    (directory / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{directory}/data\n")
    with Embedded(directory) as embedded:
        connect(embedded).close()


def test_a_cut_off_initdb_is_never_taken_for_a_database(directory: Path):
    (directory / "data.new").mkdir(parents=True)
    (directory / "data.new" / "PG_VERSION").write_text("18\n")
    with Embedded(directory) as embedded:
        connect(embedded).close()
    assert not (directory / "data.new").exists()


def test_a_path_too_long_for_a_socket_gets_one_elsewhere_and_closed(tmp_path: Path):
    directory = tmp_path / ("long" * 25) / "data base"
    with Embedded(directory) as embedded:
        elsewhere = embedded._socket_directory
        try:
            assert len(str(elsewhere / SOCKET)) <= LONGEST_SOCKET_PATH
            assert mode(elsewhere) == "700"
            connect(embedded).close()
        finally:
            embedded.stop()
            shutil.rmtree(elsewhere)


def test_a_socket_directory_that_somebody_else_made_is_refused(tmp_path: Path):
    embedded = Embedded(tmp_path / ("long" * 25))
    trap = embedded._socket_directory
    trap.symlink_to(tmp_path)
    try:
        with pytest.raises(StoreError, match="is not a directory of ours"):
            embedded.start()
    finally:
        trap.unlink()


def test_a_directory_of_another_user_is_refused(directory: Path):
    if os.geteuid() == 0:
        directory.mkdir()
        os.chown(directory, 54_321, 54_321)
    else:
        directory = Path("/usr")
    with pytest.raises(StoreError, match="belongs to another user"):
        Embedded(directory).start()


def test_a_file_in_its_place_is_refused_in_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot start"):
        Embedded(tmp_path / "file").start()


def test_a_database_of_another_major_version_is_left_alone(directory: Path):
    with Embedded(directory):
        pass
    (directory / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(StoreError, match="was made by PostgreSQL 14, the one installed is"):
        Embedded(directory).start()


def test_a_server_that_does_not_start_says_why(directory: Path):
    with Embedded(directory):
        pass
    (directory / "data" / "global" / "pg_control").unlink()
    with pytest.raises(StoreError, match=r"did not start: .*PANIC|did not start: .*could not"):
        Embedded(directory).start()


@pytest.mark.parametrize(
    ("user", "says"),
    [
        pytest.param("no-such-user", "there is no such user here", id="nobody of that name"),
        pytest.param("root", "names root", id="root never runs it"),
    ],
)
def test_a_user_who_cannot_run_it_is_refused(directory: Path, user: str, says: str):
    with pytest.raises(StoreError, match=says):
        Embedded(directory, user).start()
