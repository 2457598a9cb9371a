"""One channel: unattended-upgrades leaves alone what a campaign covers, and gets it back afterwards (P5.5).

The silence is a lease. The agent renews it at every pass; where no agent does, it ends by itself: right before
unattended-upgrades starts, systemd removes a drop-in that nobody renewed for a day.
"""

import contextlib
import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from forestall.agent.debian import PACKAGE, Debian
from forestall.agent.installers.outcome import Outcome, listed
from forestall.agent.program import run
from forestall.durable import write_whole

COVERED = "etc/apt/apt.conf.d/52forestall-covered"
"""After unattended-upgrades' own file (50): lists of apt grow, nothing of the administrator's is overruled."""
LEASE = "etc/systemd/system/apt-daily-upgrade.service.d/forestall.conf"
_LEASE_MINUTES = 24 * 60
_SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs (sd_booted(3))."""


def keep(debian: Debian, names: Iterable[str]) -> Outcome:
    """Silence unattended-upgrades for exactly these packages, for another day; none gives all back."""
    covered = sorted({name.partition(":")[0] for name in names if PACKAGE.fullmatch(name)})
    try:
        return _silence(debian, covered) if covered else give_back(debian)
    except OSError as error:
        return Outcome(False, f"unattended-upgrades cannot be told: {error.filename}: {error.strerror}")


def give_back(debian: Debian) -> Outcome:
    """End the silence.

    Raises:
        OSError: a file cannot be removed.
    """
    (debian.path / COVERED).unlink(missing_ok=True)
    lease = debian.path / LEASE
    if lease.exists():
        lease.unlink()
        with contextlib.suppress(OSError):  # there may be drop-ins of others
            lease.parent.rmdir()
        _reload(debian)
    return Outcome(True, "unattended-upgrades has all packages")


def _silence(debian: Debian, covered: list[str]) -> Outcome:
    # The lease first: there must be no silence that does not end.
    lease = debian.path / LEASE
    lease.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if _changed(lease, _lease()):
        _reload(debian)
    drop_in = debian.path / COVERED
    if not _changed(drop_in, _covered(covered)):
        os.utime(drop_in)
    return Outcome(True, f"unattended-upgrades leaves alone {listed(covered)}")


def _changed(path: Path, wanted: bytes) -> bool:
    """Write a file where it is not as wanted; say whether it was."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == wanted:
            return False
    write_whole(path, wanted, 0o644)
    return True


def _covered(names: list[str]) -> bytes:
    # Matched from the beginning of a name, by Python and by POSIX: brackets mean the same to both.
    patterns = (name.replace(".", "[.]").replace("+", "[+]") for name in names)
    lines = "".join(f'  "{pattern}$";\n' for pattern in patterns)
    why = "// Forestall brings these to their campaign's version (P5.5)."
    return f"{why}\nUnattended-Upgrade::Package-Blacklist {{\n{lines}}};\n".encode()


def _lease() -> bytes:
    expire = f"/usr/bin/find /{COVERED} -mmin +{_LEASE_MINUTES} -delete"
    return f"# Forestall's silence ends where nobody renews it.\n[Service]\nExecStartPre=-{expire}\n".encode()


def _reload(debian: Debian) -> None:
    if debian.path == Path("/") and _SYSTEMD.is_dir():
        run(debian.environment, ("/usr/bin/systemctl", "daemon-reload"), timedelta(minutes=1))
