"""`forestall doctor`: is everything here that Forestall needs? Each line has its mend."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from forestall.cli.options import Directory
from forestall.cli.output import Json, print_json, print_line
from forestall.domain.errors import ForestallError

if TYPE_CHECKING:
    from forestall.server.wiring import Installation
    from forestall.store.feeds import FeedState


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` says what to do where it is not well."""

    what: str
    well: bool
    detail: str
    mend: str = ""


def doctor(data: Directory = None, json: Json = False) -> None:
    """Check database, ledger, sources, mail, clock and disk; every trouble comes with its mend."""
    findings = list(_look(data))
    if json:
        print_json(findings)
    else:
        for finding in findings:
            print_line(f"{'ok ' if finding.well else 'NOT'}  {finding.what}: {finding.detail}")
            if not finding.well:
                print_line(f"     mend: {finding.mend}")
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def _look(data: Directory) -> Iterator[Finding]:
    from forestall.server.wiring import opened

    yield Finding(
        "python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer"
    )
    try:
        with opened(data) as installation:
            yield Finding("settings", True, str(installation.settings.directory))
            yield _disk(installation.settings.directory)
            yield _keys(installation.settings.directory)
            yield from _database(installation)
            yield from _mail(installation)
    except ForestallError as error:
        yield Finding("database", False, str(error), "do what the sentence says, then run this again")


def _disk(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    return Finding("disk", free > 2**30, f"{free / 2**30:.1f} GiB free", f"make room below {directory}")


def _keys(directory: Path) -> Finding:
    from forestall.clock import utc_now
    from forestall.server.trust_place import trust_place
    from forestall.trust.standing import standing

    mend = "look at forestall keys status; docs/operate.md says what to do"
    repository = trust_place(directory).repository
    if not repository.exists:
        return Finding("keys", True, "none yet, so no machine obeys: forestall keys ceremony")
    found = standing(repository, utc_now())
    first = min(found.roles, key=lambda role: role.left)
    detail = f"{first.role} is signed until {first.expires_at:%Y-%m-%d %H:%M} UTC"
    return Finding("keys", first.left.total_seconds() > 0, detail, mend)


def _database(installation: "Installation") -> Iterator[Finding]:
    from forestall.clock import utc_now
    from forestall.server.directory import NAME
    from forestall.server.ledger_file import check_database
    from forestall.server.watermark import Watermark
    from forestall.store import feeds, ledger

    database, now = installation.database, utc_now()
    watermark = Watermark(installation.settings.directory / "ledger.jsonl")
    checked = check_database(database, [head] if (head := watermark.head()).sequence else [])
    why = "" if checked.flaw is None else f"entry {checked.flaw.sequence} {checked.flaw.why}"
    yield Finding(
        "ledger",
        not why,
        why or f"{checked.entries} entries are what they were",
        "keep both copies; ask who touched it",
    )
    with database.begin() as con:
        states = feeds.states(con)
        newest = ledger.about(con, limit=1)
    ahead = newest[0].at - now if newest else timedelta()
    yield Finding(
        "clock",
        ahead <= timedelta(minutes=5),
        f"{now:%Y-%m-%d %H:%M:%S} UTC"
        + (f", but the ledger's newest entry is {ahead} ahead of it" if ahead > timedelta() else ""),
        "set this machine's clock: deadlines are counted by it",
    )
    people = states.pop(NAME, None)
    yield Finding("sources", bool(states), f"{len(states)} read", "forestall advisory pull")
    for state in states.values():
        yield _copy(state, now, "forestall advisory pull, or look at the file it names")
    if people and installation.settings.ldap:
        yield _copy(people, now, "forestall directory pull")


def _copy(state: "FeedState", now: datetime, mend: str) -> Finding:
    """Say how what is read from outside stands."""
    trouble = state.held or state.last_error
    age = now - state.last_good_at if state.last_good_at else None
    detail = trouble or f"{state.records} records, last good copy {age.days if age else '?'} day(s) old"
    return Finding(state.name, not trouble, detail, mend)


def _mail(installation: "Installation") -> Iterator[Finding]:
    """Greet the mail server, where one is connected, and read who everybody is."""
    from forestall.notify.smtp import Courier

    mail = installation.settings.mail
    if mail is None:
        return
    try:
        with Courier(mail.server, connections=1) as courier:
            trouble = courier.greet()
        directory = mail.people()
    except ForestallError as error:
        yield Finding("mail", False, str(error), "do what the sentence says, then run this again")
        return
    yield Finding(
        "mail", not trouble, trouble or f"{mail.server} takes us in", "correct [mail] in forestall.toml"
    )
    refused = len(directory.refused)
    detail = f"{len(directory.people)} people" + (
        f"; {refused} lines name nobody: {directory.refused[0]}" if refused else ""
    )
    yield Finding(
        "everybody", bool(directory.people) and not refused, detail, "correct [mail] directory or everybody"
    )
