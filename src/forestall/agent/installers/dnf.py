"""Updates through dnf 4: exact versions only, a plan first, refuse what removes packages, install, undo, repair."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from forestall.agent.debian import printable
from forestall.agent.installers.outcome import Outcome, listed
from forestall.agent.inventory import rpm as packages
from forestall.agent.inventory.rpm import nevra
from forestall.agent.program import Ran, run
from forestall.agent.rpm import NEVRA, Rpm
from forestall.domain.inventory import Inventory, PackageState
from forestall.domain.version import Order, compare_keys, rpm_key
from forestall.durable import write_whole

_OPTIONS = (
    "--setopt=best=True",  # not what it finds instead
    "--setopt=gpgcheck=True",
    "--setopt=*.gpgcheck=True",
    "--setopt=keepcache=True",  # what was downloaded ahead stays
    "--setopt=metadata_expire=never",  # refreshed when we say so; offline, the last lists are good enough
    "--setopt=install_weak_deps=False",
    "--setopt=clean_requirements_on_remove=False",
    "--setopt=timeout=30",
    "--setopt=retries=2",
    "--setopt=exit_on_lock=False",
)
_ALLOWED = {"upgrade": {"Upgrade", "Install"}, "downgrade": {"Downgrade"}}
"""What may stand in a plan besides what was asked for."""
_PLAN_LIMIT = timedelta(minutes=5)
_DOWNLOAD_LIMIT = timedelta(hours=2)
_INSTALL_LIMIT = timedelta(hours=2)

_SUMMARY = re.compile(r"^Transaction Summary\n=+\n(?P<counts>(?:\S.*\n)+)", re.MULTILINE)
_COUNT = re.compile(r"^(?P<verb>[A-Z][a-z]+) +(?P<number>\d+)(?: Dependent)? Packages?", re.MULTILINE)
_REPLACED = re.compile(r"^ +replacing +(?P<name>\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Plan:
    """What dnf says it would do: packages by verb (`Upgrade`, `Remove`), and those that others make obsolete."""

    counts: dict[str, int]
    replaced: tuple[str, ...]


def read_plan(output: str) -> Plan | None:
    """Read what `dnf --assumeno` prints; None where it shows no transaction."""
    found = _SUMMARY.search(output)
    if found is None:
        return None
    counts = {each["verb"]: int(each["number"]) for each in _COUNT.finditer(found["counts"])}
    return Plan(counts, tuple(each["name"] for each in _REPLACED.finditer(output)))


def pins_of(inventory: Inventory, source: str, version: str) -> list[str]:
    """Name the installed packages of `source` that are not at `version`, each with that very version."""
    wanted = rpm_key(version)
    epoch, colon, rest = version.rpartition(":")
    return [
        f"{each.name}-{epoch if colon else '0'}:{rest}.{each.architecture}"
        for each in inventory.packages
        if each.source == source
        and compare_keys(rpm_key(each.source_version), wanted) in {Order.LESS, Order.GREATER}
    ]


def download(rpm: Rpm, pins: Sequence[str]) -> Outcome:
    """Fetch what an installation of exactly `pins` needs into dnf's own cache; install nothing (P5.3)."""
    return _download(rpm, "upgrade", pins)


def download_back(rpm: Rpm, pins: Sequence[str]) -> Outcome:
    """Fetch what `undo` to exactly `pins` needs; install nothing."""
    return _download(rpm, "downgrade", pins)


def _download(rpm: Rpm, verb: str, pins: Sequence[str]) -> Outcome:
    refreshed = _dnf(rpm, ("makecache", "--refresh"), _DOWNLOAD_LIMIT)
    if refreshed.status != 0:
        return Outcome(False, f"dnf cannot refresh its package lists: {_complaint(refreshed)}")
    refusal = _refusal(rpm, verb, pins)
    if refusal is not None:
        return refusal
    ran = _dnf(rpm, (verb, "--assumeyes", "--downloadonly", "--", *pins), _DOWNLOAD_LIMIT)
    if ran.status != 0:
        return Outcome(False, f"dnf cannot download: {_complaint(ran)}")
    return Outcome(True, f"downloaded {listed(pins)}")


def install(rpm: Rpm, pins: Sequence[str], transcript: Path) -> Outcome:
    """Bring installed packages to exactly `pins`, up only; new ones come only as dependencies."""
    return _change(rpm, "upgrade", pins, transcript)


def undo(rpm: Rpm, pins: Sequence[str], transcript: Path) -> Outcome:
    """Bring installed packages down to exactly `pins`, where an archive still has them (A7)."""
    return _change(rpm, "downgrade", pins, transcript)


def repair(rpm: Rpm, transcript: Path) -> Outcome:
    """Finish a transaction that was cut off: what stands twice, and what came whose scripts may never have run."""
    broken = _broken(rpm)
    if not broken:
        rpm.before.unlink(missing_ok=True)
        return Outcome(True, "nothing to repair")
    # Of what stands twice the older goes and the newer is installed anew; then all that came is, so that scripts run.
    last = _dnf(rpm, ("remove", "--assumeyes", "--duplicates"), _INSTALL_LIMIT, transcript)
    before, left = packages.unfinished(rpm), _broken(rpm)
    came = [name for name in left if before is not None and name not in before]
    if came:
        last = _dnf(rpm, ("reinstall", "--assumeyes", "--", *came), _INSTALL_LIMIT, transcript)
    if came == left and (not came or last.status == 0):
        rpm.before.unlink(missing_ok=True)
        left = _broken(rpm)
    if left:
        return Outcome(False, f"cannot repair {listed(left)}: {_complaint(last)}")
    return Outcome(True, f"repaired {listed(broken)}")


def _change(rpm: Rpm, verb: str, pins: Sequence[str], transcript: Path) -> Outcome:
    transcript.unlink(missing_ok=True)
    repaired = repair(rpm, transcript)
    if not repaired.done:
        return repaired
    _dnf(rpm, ("makecache", "--refresh"), _DOWNLOAD_LIMIT)  # offline, what was downloaded ahead is enough
    refusal = _refusal(rpm, verb, pins)
    if refusal is not None:
        return refusal
    installed = sorted(nevra(each) for each in packages.take(rpm).packages)
    write_whole(rpm.before, "\n".join(installed).encode(), 0o644)
    ran = _dnf(rpm, (verb, "--assumeyes", "--", *pins), _INSTALL_LIMIT, transcript)
    if ran.status != 0:
        return Outcome(False, f"dnf failed: {_complaint(ran)}")
    rpm.before.unlink()
    return Outcome(True, f"installed {listed(pins)}")


def _refusal(rpm: Rpm, verb: str, pins: Sequence[str]) -> Outcome | None:
    """Say why what dnf would do for `pins` is not to be done."""
    odd = [pin for pin in pins if not NEVRA.fullmatch(pin)]
    if odd or not pins:
        return Outcome(False, f"not exact packages: {printable(listed(odd) or 'none at all', 300)}")
    ran = _dnf(rpm, (verb, "--assumeno", "--", *pins), _PLAN_LIMIT)
    plan = read_plan(ran.output)
    if plan is not None:
        against = _against(plan, verb, len(pins))
        return Outcome(False, f"refused: {against}") if against else None
    if ran.status == 0:
        return Outcome(False, f"dnf has nothing to do for {listed(pins)}; is the content store up to date?")
    return Outcome(False, f"dnf finds no way: {_complaint(ran)}")


def _against(plan: Plan, verb: str, pins: int) -> str:
    if plan.replaced:
        return f"the update would remove {listed(plan.replaced)}"
    odd = plan.counts.keys() - _ALLOWED[verb]
    if odd or not plan.counts:
        return f"dnf would not only {verb}, but {listed(odd) or 'do what cannot be read'}"
    if verb == "downgrade" and plan.counts["Downgrade"] != pins:
        return "more would go back than what was asked for"
    return ""


def _broken(rpm: Rpm) -> list[str]:
    return [nevra(each) for each in packages.take(rpm).packages if each.state is PackageState.BROKEN]


def _dnf(rpm: Rpm, arguments: Sequence[str], limit: timedelta, transcript: Path | None = None) -> Ran:
    verb, *rest = arguments
    return run(rpm.environment, (*rpm.dnf, *_OPTIONS, verb, *rest), limit, transcript)


def _complaint(ran: Ran) -> str:
    lines = [line.strip() for line in printable(f"{ran.output}\n{ran.errors}", 20_000).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Last metadata")]
    # The line above an error often is the one that says what it is about.
    first = next((place for place, line in enumerate(lines) if line.startswith("Error")), len(lines) - 1)
    return " ".join(lines[max(0, first - 1) :])[:600] or f"status {ran.status}, without a word"
