"""PostgreSQL for one machine: the wheel brings the programs, we run them.

Reachable only through a Unix socket in a directory of mode 0700, with peer authentication; never by network.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from forestall.clock import stopwatch
from forestall.domain.errors import StoreError
from forestall.store.orphans import stop_orphans
from forestall.store.server_user import ROLE, ServerUser, programs, server_user

SETTINGS = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=40",
    "shared_buffers=192MB",
    "work_mem=16MB",
    "maintenance_work_mem=96MB",
    "effective_cache_size=1GB",
    "max_wal_size=1GB",
    "wal_compression=on",
    "random_page_cost=1.1",
    "jit=off",
    "fsync=on",
    "synchronous_commit=on",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=warning",
)
"""Fine on two cores and 2 GiB; a company's own server has its own settings."""

INITDB = (
    f"--username={ROLE}",
    "--auth-local=peer",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
)

READY_WITHIN_SECONDS = 120.0
"""Crash recovery after heavy writing can take a minute."""
STOP_WITHIN_SECONDS = 30.0
LONGEST_SOCKET_PATH = 107
"""What `sun_path` holds (unix(7)) without its closing zero."""
SOCKET = ".s.PGSQL.5432"


class Embedded:
    """A PostgreSQL of our own in one directory; stops with the process that started it.

    The process that holds the lock on `owner.lock` owns the server; all others use it while it runs.
    """

    def __init__(self, directory: Path, user: str | None = None) -> None:
        self._directory = directory.absolute()
        self._data = self._directory / "data"
        self._user = user
        self._who: ServerUser | None = None
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def owned(self) -> bool:
        """Whether this object started the server, and `stop` will stop it."""
        return self._process is not None

    @property
    def url(self) -> str:
        """The address for `Database`, valid while the server runs."""
        return f"postgresql+psycopg://{ROLE}@/{ROLE}?host={quote(str(self._socket_directory), safe='')}"

    def start(self) -> str:
        """Start the server, or find the one another process runs here, and return its address.

        Called again, it starts a server that was killed, and takes over from a process that has ended.

        Raises:
            StoreError: It cannot run; the message says why and what to do.
        """
        if self._process is not None:
            if self._process.poll() is None:
                return self.url
            self.stop()
        try:
            who = self._who = self._who or server_user(self._user)
            self._prepare_directory(who)
            deadline = stopwatch() + READY_WITHIN_SECONDS
            if self._take_lock(deadline):
                self._start_own(who, deadline)
        except OSError as error:
            self.stop()
            raise StoreError(f"The embedded database in {self._directory} cannot start: {error}.") from error
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server if this object started it; roll back open transactions, keep all committed ones."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _socket_directory(self) -> Path:
        here = self._directory / "socket"
        if len(os.fsencode(here / SOCKET)) <= LONGEST_SOCKET_PATH:
            return here
        short = sha256(os.fsencode(self._directory)).hexdigest()[:16]
        return Path("/tmp") / f"forestall-{os.geteuid()}-{short}"  # noqa: S108 - mode and owner are checked

    def _prepare_directory(self, who: ServerUser) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = self._directory.stat().st_uid
        if owner not in {os.geteuid(), who.owner}:
            raise StoreError(
                f"{self._directory} belongs to another user (id {owner}). Run Forestall as that user, "
                "or name another directory."
            )
        _private(self._directory, who)
        with contextlib.suppress(FileExistsError):
            self._socket_directory.mkdir(mode=0o700)
        _private(self._socket_directory, who)

    def _take_lock(self, deadline: float) -> bool:
        """Become the owner; false when another process is and its server answers."""
        lock = os.open(self._directory / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._lock = lock
                return True
            if self._answers():
                os.close(lock)
                return False
            if stopwatch() > deadline:
                os.close(lock)
                raise StoreError(
                    f"Another process holds the database in {self._directory}, but it does not answer. "
                    "Stop that process, then start again."
                )
            time.sleep(0.05)

    def _start_own(self, who: ServerUser, deadline: float) -> None:
        self._stop_orphan()
        if not self._data.exists():
            self._create(who)
        made_by = (self._data / "PG_VERSION").read_text().strip()
        if made_by != who.major:
            raise StoreError(
                f"The database in {self._directory} was made by PostgreSQL {made_by}, the one installed is "
                f"{who.major}. Install the Forestall that made it, or dump and restore the database."
            )
        _replace(self._data / "pg_hba.conf", f"local all {ROLE} peer map={ROLE}\n")
        _replace(self._data / "pg_ident.conf", f"{ROLE} {who.peer} {ROLE}\n")
        self._spawn(who)
        while not self._ready():
            if self._process is None or self._process.poll() is not None:
                raise StoreError(f"The embedded database did not start: {self._last_words()}")
            if stopwatch() > deadline:
                raise StoreError(
                    f"The embedded database is not ready after {READY_WITHIN_SECONDS:.0f} seconds: "
                    f"{self._last_words()} Look into {self._log}, then start again."
                )
            time.sleep(0.01)
        self._create_database()

    def _create(self, who: ServerUser) -> None:
        """Run initdb beside the final place, so that a cut-off one is never taken for a database."""
        unfinished = self._directory / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        made = who.run(programs() / "initdb", *INITDB, "-D", str(unfinished))
        if made.returncode != 0:
            raise StoreError(f"initdb failed in {self._directory}: {_one_line(made.stderr or made.stdout)}")
        unfinished.rename(self._data)

    def _spawn(self, who: ServerUser) -> None:
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.1"))
        settings = (*SETTINGS, f"unix_socket_directories={self._socket_directory}")
        dies_with_us = threading.current_thread() is threading.main_thread()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                who.command(
                    programs() / "postgres",
                    "-D",
                    str(self._data),
                    *(word for setting in settings for word in ("-c", setting)),
                    # Sent when the starting *thread* ends, so only the main one may ask for it.
                    parent_death_signal="INT" if dies_with_us else None,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=who.environment,
                start_new_session=True,
            )

    def _create_database(self) -> None:
        try:
            with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (ROLE,)).fetchone():
                    connection.execute(f"CREATE DATABASE {ROLE}")
        except psycopg.Error as error:
            raise StoreError(f"The embedded database refuses us: {_one_line(str(error))}") from error

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._conninfo(ROLE), connect_timeout=5).close()
        except psycopg.Error:
            return False
        return True

    def _conninfo(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(host=str(self._socket_directory), user=ROLE, dbname=database)

    def _ready(self) -> bool:
        """Read the status line that the server keeps in `postmaster.pid` (PostgreSQL `miscadmin.h`)."""
        lines = self._pid_file_lines()
        return len(lines) > 7 and lines[7].strip() == "ready" and lines[0] == str(self._server_pid())

    def _server_pid(self) -> int:
        # unshare and setpriv replace themselves by the server, so the child's pid is the server's.
        return self._process.pid if self._process else 0

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    @property
    def _log(self) -> Path:
        return self._directory / "postgres.log"

    def _last_words(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            lines = self._log.read_text(errors="replace").splitlines()
            said = [line for line in lines if "FATAL" in line or "PANIC" in line] or lines
            if said:
                return _one_line(said[-1])
        return "it said nothing."

    def _stop_orphan(self) -> None:
        """Stop what a killed owner left behind; we hold the lock, so nobody is using it."""
        lines = self._pid_file_lines()
        stop_orphans(self._data, postmaster=int(lines[0]) if lines and lines[0].isdigit() else 0)
        # Its number may belong to somebody else by now; PostgreSQL would then refuse to start.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        (self._socket_directory / SOCKET).unlink(missing_ok=True)
        (self._socket_directory / f"{SOCKET}.lock").unlink(missing_ok=True)


def _private(directory: Path, who: ServerUser) -> None:
    """Close a directory to everybody else, or refuse one that is not ours (names in /tmp can be taken)."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), who.owner}:
        raise StoreError(f"{directory} is not a directory of ours. Remove it, then start again.")
    if found.st_uid != who.owner:
        os.chown(directory, who.owner, -1, follow_symlinks=False)
    directory.chmod(0o700)


def _replace(path: Path, text: str) -> None:
    """Write a whole small file, or leave the old one."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(0o644)  # the directory is closed to others; the server may run as another user
    new.replace(path)


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]
