"""Debian machines: one base from the main archive, kept as a tar; each machine is an overlay of a few kB on it."""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forestall.clock import utc_now
from laboratory.host import CODENAME, Archive, run

_INCLUDE = "ca-certificates,iproute2,openssh-server,openssl,python3-minimal"
_FRESH_FOR = timedelta(days=30)


def cached_base(archive: Archive, more: Sequence[str] = ()) -> tuple[Path, bool]:
    """Find the base, or bootstrap it from the main archive only; tell whether it had to be made.

    `more` names Debian packages that are in it besides.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    cache = Path(home) / "forestall/lab"
    base = cache / f"{'-'.join(('base', CODENAME, *more))}.tar"
    if base.exists() and utc_now() - datetime.fromtimestamp(base.stat().st_mtime, UTC) < _FRESH_FOR:
        return base, False
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f".{os.getpid()}-{base.name}"
    options = [f"--aptopt={line}" for line in archive.options]
    line = f"deb {archive.main} {CODENAME} main"
    made = (
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--mode=root",
        "--format=tar",
        f"--include={','.join((_INCLUDE, *more))}",
    )
    try:
        run(*made, *options, CODENAME, unfinished, line, limit=900)
        unfinished.replace(base)
    finally:
        unfinished.unlink(missing_ok=True)
    return base, True


def unpack(base: Path, directory: Path) -> Path:
    """Unpack the base once; no machine ever writes to it."""
    directory.mkdir()
    run("tar", "--numeric-owner", "--xattrs", "-xf", base, "-C", directory)
    return directory


def clone(base: Path, directory: Path, name: str) -> Path:
    """Make one machine over the base and return its root."""
    root = directory / "root"
    for part in ("up", "work", "root"):
        (directory / part).mkdir(parents=True)
    layers = f"lowerdir={base},upperdir={directory / 'up'},workdir={directory / 'work'}"
    run("mount", "-t", "overlay", "overlay", "-o", layers, root)
    run("mount", "-t", "proc", "proc", root / "proc")
    run("mount", "--rbind", "/dev", root / "dev")
    (root / "etc/hostname").write_text(f"{name}\n")
    # No init runs here: package scripts must not try to start services.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    return root


def set_sources(root: Path, *lines: str) -> None:
    """Make these the only places where the machine's apt looks."""
    for path in (root / "etc/apt/sources.list.d").iterdir():
        path.unlink()
    (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in lines))


def open_to(root: Path, archive: Archive, *lines: str) -> None:
    """Let a machine's apt reach the real archive, over the host's own network."""
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    (root / "etc/apt/apt.conf.d/00host").write_text("".join(f"{line}\n" for line in archive.options))
    set_sources(root, *lines)


def install(root: Path, archive: Archive, packages: Sequence[str]) -> None:
    """Give a machine packages of the main archive that the base has not."""
    open_to(root, archive, f"deb {archive.main} {CODENAME} main")
    apt = ("chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y")
    run(*apt, "update")
    run(*apt, "install", "--no-install-recommends", *packages, limit=900)
    (root / "etc/apt/apt.conf.d/00host").unlink()
