"""Everybody: who gets the announcements (P6.1) and who uses which account, from a company's directory as a CSV file."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from forestall.domain.address import canonical
from forestall.domain.errors import InputError
from forestall.domain.notice import Person, address_of, spoken

_MOST_BYTES = 256 * 1024 * 1024
_LONGEST_CELL = 1_000


@dataclass(frozen=True, slots=True)
class Directory:
    """The people of a file by address, and the lines that name nobody."""

    people: dict[str, Person]
    refused: tuple[str, ...] = ()
    accounts: dict[str, Person] = field(default_factory=dict[str, Person])
    """The same people by the name each logs on with, and by their machines' addresses, where the file tells it."""


def read_people(path: Path) -> Directory:
    """Read a CSV file with a header: `address`, and if it likes `name`, `language` (en, ja), `user` and `machines`.

    `machines` are the MAC and IP addresses of a person's machines, with spaces between.

    Raises:
        InputError: the file cannot be read, or has no column `address`.
    """
    people: dict[str, Person] = {}
    accounts: dict[str, Person] = {}
    refused: list[str] = []
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: longer than {_MOST_BYTES} bytes; is it a directory of people?")
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if "address" not in (lines.fieldnames or ()):
                raise InputError(f"{path}, line 1: no column “address”; write address,name,language")
            for line in lines:
                person = _person(line)
                if person is None:
                    refused.append(
                        f"line {lines.line_num}: “{(line['address'] or '')[:60]}” is no mail address"
                    )
                else:
                    people.setdefault(person.address, person)
                    if user := (line.get("user") or "")[:_LONGEST_CELL].strip():
                        accounts.setdefault(user, people[person.address])
                    for machine in filter(
                        None, map(canonical, (line.get("machines") or "")[:_LONGEST_CELL].split())
                    ):
                        accounts.setdefault(machine, people[person.address])
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV file in UTF-8: {error}") from error
    return Directory(people, tuple(refused), accounts)


def listed(addresses: list[str]) -> dict[str, Person]:
    """Take addresses as they stand in the settings, mailing lists for example.

    Raises:
        InputError: one is none.
    """
    found = {}
    for text in addresses:
        address = address_of(text)
        if not address:
            raise InputError(f"“{text[:80]}” is no mail address")
        found[address] = Person(address)
    return found


def _person(line: dict[str, str | None]) -> Person | None:
    address = address_of((line["address"] or "")[:_LONGEST_CELL])
    name = " ".join((line.get("name") or "")[:_LONGEST_CELL].split())
    return Person(address, name, spoken(line.get("language") or "")) if address else None
