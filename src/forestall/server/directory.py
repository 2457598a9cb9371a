"""The company's directory: the table [directory], and the last good copy of its people, which is what counts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from forestall.clock import utc_now
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.durable import write_whole
from forestall.feeds.merge import shrank
from forestall.notify.ldap_directory import COPY, Attributes, Entry, LdapServer, people_of, search
from forestall.store import feeds, ledger
from forestall.store.database import Database
from forestall.store.feeds import FeedState

NAME = "directory"


class DirectoryFile(msgspec.Struct, forbid_unknown_fields=True):
    """What may stand in the table; without `url` there is no directory."""

    url: str = ""
    base: str = ""
    filter: str = "(mail=*)"
    group: str = ""
    bind: str = ""
    password_file: str = ""
    ca_file: str = ""
    start_tls: bool = False
    seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    page: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500
    mail: str = "mail"
    name: str = "displayName"
    language: str = "preferredLanguage"
    user: str = "uid"
    machines: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What came of reading the directory."""

    people: int
    refused: int
    trouble: str = ""
    """Why the last good copy stays in force."""


def directory_settings(found: DirectoryFile, directory: Path, path: Path) -> LdapServer | None:
    """Check the table; None where no directory is named.

    Raises:
        InputError: something in it cannot be used, with what to write instead.
    """
    if not found.url:
        return None
    parts = urlsplit(found.url)
    if parts.scheme not in {"ldap", "ldaps"} or not parts.hostname or parts.path.strip("/"):
        raise InputError(f'{path}: [directory] url: write "ldaps://dc1.your.domain"')
    if parts.scheme == "ldap" and not found.start_tls:
        raise InputError(f"{path}: [directory] would be read in clear; write ldaps://, or start_tls = true")
    if not found.base:
        raise InputError(f'{path}: [directory] needs base, where people are: base = "ou=people,dc=..."')
    if bool(found.bind) != bool(found.password_file):
        raise InputError(f"{path}: [directory] needs bind and password_file together")
    if not (found.filter.startswith("(") and found.filter.endswith(")")):
        raise InputError(f'{path}: [directory] filter: write it in brackets: "(objectClass=person)"')
    return LdapServer(
        url=found.url,
        base=found.base,
        filter=found.filter,
        group=found.group,
        bind=found.bind,
        password_file=directory / found.password_file if found.password_file else None,
        ca_file=directory / found.ca_file if found.ca_file else None,
        start_tls=found.start_tls,
        seconds=found.seconds,
        page=found.page,
        attributes=Attributes(found.mail, found.name, found.language, found.user, found.machines),
    )


def read_directory(
    database: Database,
    server: LdapServer,
    directory: Path,
    ask: Callable[[LdapServer], Iterable[Entry]] = search,
    *,
    accept: bool = False,
) -> Read:
    """Read everybody and put the copy in force; one that fails or shrank leaves the last good one (P6.1).

    `accept` is a person's word that it is right for it to have shrunk.
    """
    with database.begin() as con:
        before = feeds.states(con).get(NAME, FeedState(NAME))
    try:
        found = people_of(ask(server), server.attributes)
    except InputError as error:
        return _refused(database, before, str(error))
    people = len(found.lines)
    if not people or (shrank(before.records, people) and not accept):
        why = f"{people} people where there were {before.records}"
        return _refused(database, before, f"{why}. If that is right: forestall directory pull --accept")
    content = found.written()
    write_whole(directory / COPY, content, 0o600)
    now = utc_now()
    with database.begin() as con:
        feeds.loaded(con, NAME, now, sha256(content).hexdigest(), people)
        body: dict[str, JsonValue] = {"records": people, "refused": found.refused}
        ledger.append(con, [Event(EventKind.FEED_LOADED, "forestall", NAME, body=body)], now)
    return Read(people, found.refused)


def _refused(database: Database, before: FeedState, why: str) -> Read:
    """Note why, once: the same trouble every hour is one entry."""
    now = utc_now()
    with database.begin() as con:
        if before.last_error != why:
            body: dict[str, JsonValue] = {"why": why}
            ledger.append(con, [Event(EventKind.FEED_REFUSED, "forestall", NAME, body=body)], now)
        feeds.failed(con, NAME, now, why)
    return Read(before.records, 0, why)
