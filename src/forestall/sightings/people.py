"""The company's directory: who uses which account, and where to write to him."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from forestall.domain.person import Person
from forestall.sightings import cell
from forestall.sightings.cell import SHOWN_REFUSALS, Refusal

_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_LANGUAGE = re.compile(r"[a-z]{2}")


@dataclass(slots=True)
class Directory:
    """What was in a directory's CSV."""

    people: dict[str, Person] = field(default_factory=dict[str, Person])
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list[Refusal])


def read(data: bytes) -> Directory:
    """Read CSV with the columns user and mail; language may be there. Of two rows for a user the last counts."""
    directory = Directory()
    for where, row in cell.csv_rows(data, ("user", "mail")):
        try:
            person = _person(row)
        except ValueError as error:
            directory.refused += 1
            if len(directory.refusals) < SHOWN_REFUSALS:
                directory.refusals.append(Refusal(where, str(error)))
            continue
        directory.people[person.user] = person
    return directory


def _person(row: Mapping[str, str]) -> Person:
    user, mail = cell.text(row["user"]), row["mail"].strip()
    language = row.get("language", "").strip().lower() or "en"
    if not user:
        raise ValueError("names no user")
    # What becomes a mail's header must not be able to end one.
    if not _MAIL.fullmatch(mail):
        raise ValueError(f"{cell.text(mail)!r} is no mail address")
    if not _LANGUAGE.fullmatch(language):
        raise ValueError(f"{cell.text(language)!r} is no language; write en or ja")
    return Person(user, mail, language)
