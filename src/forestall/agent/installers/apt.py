"""Updates through apt: plan, refuse what removes packages or does not fit, install, repair."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from forestall.agent.debian import PACKAGE, Debian, printable
from forestall.agent.installers.outcome import Outcome, listed
from forestall.agent.inventory import dpkg
from forestall.agent.program import Ran, run
from forestall.domain.deb822 import source_of, stanzas
from forestall.domain.inventory import Inventory, PackageState

_OPTIONS = (
    "-y",
    "-q",
    "-o=DPkg::Lock::Timeout=120",
    "-o=DPkg::Options::=--force-confdef",
    "-o=DPkg::Options::=--force-confold",
    "-o=Dpkg::Use-Pty=0",
    "-o=APT::Get::AutomaticRemove=false",
    "-o=APT::Get::AllowUnauthenticated=false",
    "-o=Acquire::http::Timeout=30",
    "-o=Acquire::Retries=2",
    "--no-install-recommends",
)
_BACK = ("--allow-downgrades", "--no-remove", "--")
_SPACE_FACTOR = 3
"""Free space wanted, in sizes of what is to be unpacked and downloaded (R32)."""
_PLAN_LIMIT = timedelta(minutes=5)
_DOWNLOAD_LIMIT = timedelta(hours=2)
_INSTALL_LIMIT = timedelta(hours=2)

_CHANGE = re.compile(r"^Inst (?P<name>\S+) (?:\[(?P<old>[^\]]*)\] )?\((?P<new>\S+)", re.MULTILINE)
_REMOVAL = re.compile(r"^Remv (?P<name>\S+)", re.MULTILINE)
_PIN = re.compile(rf"{PACKAGE.pattern}=[0-9][A-Za-z0-9.+~:-]{{0,254}}")
_SIZES = re.compile(r"^(?P<key>Size|Installed-Size): (?P<number>\d{1,12})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Change:
    """One package that apt would install; `old` is empty for one that is not there yet."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What apt says it would do."""

    changes: tuple[Change, ...]
    removals: tuple[str, ...]


def read_plan(output: str) -> Plan:
    """Read what `apt-get --simulate` prints."""
    return Plan(
        tuple(Change(m["name"], m["old"] or "", m["new"]) for m in _CHANGE.finditer(output)),
        tuple(m["name"] for m in _REMOVAL.finditer(output)),
    )


def names_of(inventory: Inventory, source: str) -> list[str]:
    """Name the installed packages of a source, as apt wants them."""
    return [qualified(each.name, each.architecture) for each in inventory.packages if each.source == source]


def download(debian: Debian, names: Sequence[str]) -> Outcome:
    """Fetch what an installation of `names` needs into apt's own cache; install nothing (P5.3)."""
    refreshed = _apt_get(debian, ("update", "-q", "-o=APT::Update::Error-Mode=any"), _DOWNLOAD_LIMIT)
    if refreshed.status != 0:
        return Outcome(False, f"apt cannot refresh its package lists: {_complaint(refreshed)}")
    plan = _accepted_plan(debian, names)
    if isinstance(plan, Outcome):
        return plan
    ran = _apt_get(debian, ("install", "--download-only", "--no-remove", *_only(names)), _DOWNLOAD_LIMIT)
    if ran.status != 0:
        return Outcome(False, f"apt cannot download: {_complaint(ran)}")
    return Outcome(True, f"downloaded {listed(change.name for change in plan.changes)}")


def install(debian: Debian, names: Sequence[str], transcript: Path) -> Outcome:
    """Bring the installed packages `names` to what the archive offers; new ones come only as dependencies."""
    transcript.unlink(missing_ok=True)
    repaired = repair(debian, transcript)
    if not repaired.done:
        return repaired
    _apt_get(debian, ("update", "-q"), _DOWNLOAD_LIMIT)  # offline, what was downloaded ahead is enough
    plan = _accepted_plan(debian, names)
    if isinstance(plan, Outcome):
        return plan
    ran = _apt_get(debian, ("install", "--no-remove", *_only(names)), _INSTALL_LIMIT, transcript)
    if ran.status != 0:
        return Outcome(False, f"apt failed: {_complaint(ran)}")
    return Outcome(True, f"installed {listed(f'{c.name} {c.new}' for c in plan.changes)}")


def undo(debian: Debian, pins: Sequence[str], transcript: Path) -> Outcome:
    """Bring installed packages down to exactly `pins` (`name=version`) and change nothing else (A7)."""
    transcript.unlink(missing_ok=True)
    repaired = repair(debian, transcript)
    if not repaired.done:
        return repaired
    plan = _plan_back(debian, pins)
    if isinstance(plan, Outcome):
        return plan
    ran = _apt_get(debian, ("install", *_BACK, *pins), _INSTALL_LIMIT, transcript)
    if ran.status != 0:
        return Outcome(False, f"apt failed: {_complaint(ran)}")
    return Outcome(True, f"brought back {listed(f'{c.name} {c.new}' for c in plan.changes)}")


def download_back(debian: Debian, source: str, version: str) -> Outcome:
    """Fetch what `undo` of `source` to `version` needs into apt's own cache; install nothing."""
    _apt_get(debian, ("update", "-q"), _DOWNLOAD_LIMIT)  # offline, the last lists are good enough
    pins = way_back(debian, source, version)
    plan = _plan_back(debian, pins)
    if isinstance(plan, Outcome):
        return plan
    ran = _apt_get(debian, ("install", "--download-only", *_BACK, *pins), _DOWNLOAD_LIMIT)
    if ran.status != 0:
        return Outcome(False, f"apt cannot download: {_complaint(ran)}")
    return Outcome(True, f"downloaded {listed(change.name for change in plan.changes)}")


def _plan_back(debian: Debian, pins: Sequence[str]) -> Plan | Outcome:
    """Say what apt would do for `pins`, or why that is not to be done."""
    if not pins:
        return Outcome(False, "the archive has the version to go back to no more: a person looks")
    odd = [pin for pin in pins if not _PIN.fullmatch(pin)]
    if odd:
        return Outcome(False, f"not exact packages: {printable(listed(odd), 300)}")
    ran = _apt_get(debian, ("install", "--simulate", *_BACK, *pins), _PLAN_LIMIT)
    plan = read_plan(ran.output)
    if ran.status != 0 or plan.removals:
        return Outcome(False, f"apt finds no way back: {_complaint(ran)}")
    named = {pin.partition("=")[0].partition(":")[0] for pin in pins}
    more = [change.name for change in plan.changes if change.name.partition(":")[0] not in named]
    if more or not plan.changes:
        return Outcome(False, f"refused: the way back would change {listed(more) or 'nothing'}")
    return plan


def way_back(debian: Debian, source: str, version: str) -> list[str]:
    """Name the packages to `undo` so that `source` is at `version`; empty where the archive has it no more."""
    installed = [each for each in dpkg.take(debian).packages if each.source == source]
    names = [qualified(each.name, each.architecture) for each in installed]
    if not names:
        return []
    shown = run(debian.environment, (*debian.apt_cache, "show", "--all-versions", "--", *names), _PLAN_LIMIT)
    offered = {
        (stanza["Package"], stanza["Architecture"]): stanza["Version"]
        for _, stanza in stanzas(shown.output)
        if {"Package", "Architecture", "Version"} <= stanza.keys() and source_of(stanza) == (source, version)
    }
    pins = [
        f"{name}={offered[each.name, each.architecture]}"
        for name, each in zip(names, installed, strict=True)
        if (each.name, each.architecture) in offered
    ]
    return pins if len(pins) == len(names) else []


def repair(debian: Debian, transcript: Path) -> Outcome:
    """Finish an installation that was cut off; `dpkg --configure -a` alone leaves `iHR` as it is (R23)."""
    broken = _broken(debian)
    journal = debian.admindir / "updates"
    if not broken and not (journal.is_dir() and any(journal.iterdir())):
        return Outcome(True, "nothing to repair")
    configured = run(
        debian.environment, (*debian.dpkg, *_DPKG_OPTIONS, "--configure", "-a"), _INSTALL_LIMIT, transcript
    )
    left, last = _broken(debian), configured
    if left:
        last = _heal(debian, transcript)
        left = _broken(debian)
    if left or (last is configured and configured.status != 0):
        return Outcome(False, f"cannot repair {listed(left) or 'the package list'}: {_complaint(last)}")
    return Outcome(True, f"repaired {listed(broken)}" if broken else "finished dpkg's own journal")


def _heal(debian: Debian, transcript: Path) -> Ran:
    """Unpack once more what lost files, together with what the cut-off installation had not reached yet.

    apt takes neither alone: it calls the first unresolvable without the second, and configures what it should
    unpack when it is only asked to mend dependencies.
    """
    lost = dpkg.to_reinstall(debian)
    fixed = ("install", "--fix-broken", "--no-remove")
    if lost:
        missing = read_plan(_apt_get(debian, (*fixed, "--simulate"), _PLAN_LIMIT).output).changes
        names = sorted({*lost, *(change.name for change in missing)})
        _apt_get(debian, (*fixed, "--reinstall", "--", *names), _INSTALL_LIMIT, transcript)
    return _apt_get(debian, fixed, _INSTALL_LIMIT, transcript)


_DPKG_OPTIONS = ("--force-confdef", "--force-confold")


def _broken(debian: Debian) -> list[str]:
    inventory = dpkg.take(debian)
    return [qualified(p.name, p.architecture) for p in inventory.packages if p.state is PackageState.BROKEN]


def qualified(name: str, architecture: str) -> str:
    """Name a package for apt, with its architecture where it has one."""
    return name if architecture == "all" else f"{name}:{architecture}"


def _accepted_plan(debian: Debian, names: Sequence[str]) -> Plan | Outcome:
    refused = [name for name in names if not PACKAGE.fullmatch(name)]
    if refused or not names:
        return Outcome(False, f"not names of packages: {printable(listed(refused) or 'none at all', 300)}")
    ran = _apt_get(debian, ("install", "--simulate", *_only(names)), _PLAN_LIMIT)
    plan = read_plan(ran.output)
    if plan.removals:
        return Outcome(False, f"refused: the update would remove {listed(plan.removals)}")
    if ran.status != 0:
        return Outcome(False, f"apt finds no way: {_complaint(ran)}")
    if not plan.changes:
        return Outcome(False, f"apt has nothing newer for {listed(names)}; is the content store up to date?")
    return _short_of_space(debian, plan) or plan


def _short_of_space(debian: Debian, plan: Plan) -> Outcome | None:
    exact = [f"{change.name}={change.new}" for change in plan.changes]
    shown = run(debian.environment, (*debian.apt_cache, "show", "--", *exact), _PLAN_LIMIT)
    wanted = _SPACE_FACTOR * sum(
        int(found["number"]) * (1024 if found["key"] == "Installed-Size" else 1)
        for found in _SIZES.finditer(shown.output)
    )
    for place in (debian.path, debian.path / "usr", debian.path / "var"):
        if not place.exists():
            continue
        free = shutil.disk_usage(place).free
        if free < wanted:
            return Outcome(
                False, f"too little space on {place}: {free >> 20} MiB free, {wanted >> 20} MiB wanted first"
            )
    return None


def _only(names: Sequence[str]) -> tuple[str, ...]:
    return ("--only-upgrade", "--", *names)


def _apt_get(
    debian: Debian, arguments: Sequence[str], limit: timedelta, transcript: Path | None = None
) -> Ran:
    verb, *rest = arguments
    return run(debian.environment, (*debian.apt_get, *_OPTIONS, verb, *rest), limit, transcript)


def _complaint(ran: Ran) -> str:
    lines = [
        line.strip() for line in printable(f"{ran.output}\n{ran.errors}", 20_000).splitlines() if line.strip()
    ]
    errors = [line for line in lines if line.startswith(("E:", "dpkg:", "W:"))] or lines[-2:]
    return " ".join(errors[-3:])[:600] or f"status {ran.status}, without a word"
