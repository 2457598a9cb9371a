"""One channel where packages are rpm's: dnf-automatic leaves alone what a campaign covers, and gets it back (P5.5).

Its services see a copy of the administrator's automatic.conf with these packages excluded, in the place of the file
itself; nothing else does, neither dnf nor its administrator. The silence is a lease, as in `channel`.
"""

import configparser
import contextlib
import io
import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from forestall.agent.installers.outcome import Outcome, listed
from forestall.agent.program import run
from forestall.agent.rpm import NAME, Rpm
from forestall.durable import write_whole

AUTOMATIC = "etc/dnf/automatic.conf"
COPY = "etc/dnf/automatic-forestall.conf"
LEASES = tuple(f"etc/systemd/system/dnf-automatic{kind}.service.d/forestall.conf" for kind in ("", "-"))
"""Of `dnf-automatic.service` and, by their common beginning, of its kin that only notify, download or install."""
_HEADING = f"# Forestall shows this to the services of dnf-automatic, instead of {AUTOMATIC} (P5.5).\n"
_LEASE_MINUTES = 24 * 60
_SYSTEMD = Path("/run/systemd/system")
_DROP_IN = f"""# Forestall's silence ends where nobody renews it.
[Service]
ExecStartPre=-/usr/bin/find /{COPY} -mmin +{_LEASE_MINUTES} -delete
BindReadOnlyPaths=-/{COPY}:/{AUTOMATIC}
"""
"""What is deleted before the start is not there to be bound any more: each of a service's programs has its own view."""


def keep(rpm: Rpm, names: Iterable[str]) -> Outcome:
    """Silence dnf-automatic for exactly these packages, for another day; none gives all back."""
    covered = sorted({name for name in names if NAME.fullmatch(name)})
    try:
        if not covered or not (rpm.path / AUTOMATIC).exists():
            return _give_back(rpm)
        return _silence(rpm, covered)
    except OSError as error:
        return Outcome(False, f"dnf-automatic cannot be told: {error.filename}: {error.strerror}")
    except (configparser.Error, UnicodeDecodeError) as error:
        return Outcome(False, f"dnf-automatic cannot be told: {AUTOMATIC} cannot be read: {error}")


def _give_back(rpm: Rpm) -> Outcome:
    (rpm.path / COPY).unlink(missing_ok=True)
    leases = [lease for lease in (rpm.path / each for each in LEASES) if lease.exists()]
    for lease in leases:
        lease.unlink()
        with contextlib.suppress(OSError):  # there may be drop-ins of others
            lease.parent.rmdir()
    if leases:
        _reload(rpm)
    return Outcome(True, "dnf-automatic has all packages")


def _silence(rpm: Rpm, covered: list[str]) -> Outcome:
    text = excluding((rpm.path / AUTOMATIC).read_text(encoding="utf-8"), covered)
    # The leases first: there must be no silence that does not end.
    changed = [_changed(rpm.path / lease, _DROP_IN) for lease in LEASES]
    if any(changed):
        _reload(rpm)
    if not _changed(rpm.path / COPY, text):
        os.utime(rpm.path / COPY)
    return Outcome(True, f"dnf-automatic leaves alone {listed(covered)}")


def excluding(text: str, covered: Iterable[str]) -> str:
    """Write an automatic.conf anew that excludes these packages beside those that it excludes already.

    Raises:
        configparser.Error: it is no such file.
    """
    read = configparser.RawConfigParser(strict=False, delimiters=("=",), default_section="")
    read.optionxform = str  # type: ignore[assignment,method-assign]  # how configparser is told to keep capitals
    read.read_string(text)
    if not read.has_section("base"):
        read.add_section("base")
    base = read["base"]
    already = [name for key in ("excludepkgs", "exclude") for name in _names(base.pop(key, ""))]
    base["excludepkgs"] = " ".join(dict.fromkeys([*already, *covered]))
    written = io.StringIO()
    read.write(written)
    return f"{_HEADING}{written.getvalue()}"


def _names(value: str) -> list[str]:
    return value.replace(",", " ").split()


def _changed(path: Path, wanted: str) -> bool:
    """Write a file where it is not as wanted; say whether it was."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == wanted.encode():
            return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_whole(path, wanted.encode(), 0o644)
    return True


def _reload(rpm: Rpm) -> None:
    if rpm.path == Path("/") and _SYSTEMD.is_dir():
        run(rpm.environment, ("/usr/bin/systemctl", "daemon-reload"), timedelta(minutes=1))
