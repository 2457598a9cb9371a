"""Makes or refreshes the environment in `.venv` from the lock files; standard library only (ADR 7).

`.venv.lock` is held while somebody works on `.venv`, and says in JSON what `.venv` was made from: `{}` while
unfinished.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = {
    "run": ("requirements-build.lock", "requirements.lock"),
    "check": ("requirements-dev.lock",),
}


class SetupError(Exception):
    """Set-up cannot go on; the message says why and what to do next."""


def main(kind: str) -> int:
    """Bring `.venv` up to date for `run` or `check`; quick when it already is."""
    try:
        with (ROOT / ".venv.lock").open("a+", encoding="utf-8") as lock:
            if not up_to_date(lock, kind):
                wait_for_turn(lock)
                if not up_to_date(lock, kind):
                    make(lock, kind)
    except SetupError as error:
        say(f"forestall: set-up failed: {error}")
        return 1
    except OSError as error:
        say(f"forestall: set-up failed: {error}")
        say(f"Next: start it as the owner of {ROOT}, with space on its disk.")
        return 1
    return 0


def up_to_date(lock: IO[str], kind: str) -> bool:
    """Tell whether `.venv` is whole and made from today's files."""
    made = read(lock) or {}
    return made.get("root") == str(ROOT) and made.get(kind) == fingerprint(kind) and PYTHON.exists()


def make(lock: IO[str], kind: str) -> None:
    """Make or refresh `.venv`: from scratch after a cut-off set-up or a moved checkout, else in place."""
    made = read(lock)
    keep = PYTHON.exists() and (made is None or made.get("root") == str(ROOT))
    before = made if made and keep else {}
    write(lock, {})
    uv = shutil.which("uv")
    if not keep:
        say(f"Making .venv with Python {sys.version.split()[0]} ({'uv' if uv else 'venv and pip'})")
        shutil.rmtree(VENV, ignore_errors=True)
        create(lock, uv)
    say("Installing the locked packages")
    locks = [word for name in LOCKS[kind] for word in ("-r", str(ROOT / name))]
    install(lock, uv, ["--require-hashes", "--only-binary", ":all:", *locks])
    install(lock, uv, ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    done = {**before, "root": str(ROOT), "run": fingerprint("run"), kind: fingerprint(kind)}
    write(lock, done)
    say("Set-up is complete.")


def create(lock: IO[str], uv: str | None) -> None:
    """Make an empty environment."""
    if uv:
        call(lock, [uv, "venv", "--quiet", "--python", sys.executable, str(VENV)])
        return
    if importlib.util.find_spec("ensurepip") is None:
        add_debian_package(lock, f"python3.{sys.version_info.minor}-venv")
    call(lock, [sys.executable, "-m", "venv", str(VENV)])


def add_debian_package(lock: IO[str], package: str) -> None:
    """Install the half of Python that Debian packs apart, if we may."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(
            f"{sys.executable} cannot make environments, because the package {package} is missing.\n"
            f"Next: sudo apt-get install {package}   and start this again."
        )
    say(f"Installing the Debian package {package}: {sys.executable} cannot make environments without it")
    call(lock, ["apt-get", "-q", "update"])
    call(lock, ["apt-get", "-q", "install", "--yes", "--no-install-recommends", package])


def install(lock: IO[str], uv: str | None, arguments: list[str]) -> None:
    """Install with uv where it is there, with the environment's pip otherwise."""
    if uv:
        call(lock, [uv, "pip", "install", "--python", str(PYTHON), *arguments])
        return
    if not any((VENV / "lib").glob("python3*/site-packages/pip")):
        call(lock, [str(PYTHON), "-m", "ensurepip"])
    call(lock, [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *arguments], brief=True)


def call(lock: IO[str], command: list[str], *, brief: bool = False) -> None:
    """Run a command, showing its output; `brief` shows only pip's package names, and the end if it fails.

    The command inherits the lock: should we be killed, the next set-up waits until it is over.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not os.access(os.environ.get("HOME", "/nonexistent"), os.W_OK):
        environment["UV_NO_CACHE"] = "1"  # uv gives up where it cannot write its cache
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        pass_fds=(lock.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        lines = []
        packages = 0
        for line in process.stdout or ():
            lines.append(line)
            if not brief:
                say(line.rstrip())
            elif line.startswith(("Collecting ", "Processing ")):
                packages += 1
                say(f"  {packages:2} {Path(line.split()[1]).name}")
    if process.returncode:
        if brief:
            say("".join(lines[-15:]))
        raise SetupError(
            f"this command ended with {process.returncode}: {' '.join(command)}\n"
            "Next: read its last lines above (mostly the network or a full disk), then start this again."
        )


def wait_for_turn(lock: IO[str]) -> None:
    """Take the lock; it is free again as soon as its holder and the holder's commands are gone."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another set-up is at work here; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


def fingerprint(kind: str) -> str:
    """Hash all that the environment of this kind depends on."""
    names = ("pyproject.toml", "scripts/setup.py", *LOCKS[kind])
    return hashlib.sha256(b"\0".join((ROOT / name).read_bytes() for name in names)).hexdigest()


def read(lock: IO[str]) -> dict[str, str] | None:
    """Read what `.venv` was made from: None where nobody wrote it, `{}` where unfinished or unreadable."""
    lock.seek(0)
    text = lock.read()
    try:
        return dict(json.loads(text)) if text else None
    except (ValueError, TypeError):
        return {}


def write(lock: IO[str], made: dict[str, str]) -> None:
    """Replace what `.venv.lock` says."""
    lock.truncate(0)
    lock.write(json.dumps(made))
    lock.flush()
    os.fsync(lock.fileno())


def say(text: str) -> None:
    """Tell the person on stderr: stdout belongs to the command that follows."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
