"""People from a directory: what counts as one, which copy is in force; `./lab directory` asks a real slapd (P6.1)."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from forestall.cli.main import app
from forestall.clock import utc_now
from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.domain.events import EventKind
from forestall.domain.notice import Person
from forestall.domain.sighting import Sighting, Source
from forestall.notify import ldap_directory
from forestall.notify.ldap_directory import COPY, Attributes, Entry, LdapServer, filter_of, people_of
from forestall.notify.people import read_people
from forestall.server.directory import NAME, read_directory
from forestall.server.finding import take_in
from forestall.server.settings import Settings, load_settings
from forestall.store import devices, feeds, ledger
from forestall.store.database import Database

SERVER = LdapServer("ldaps://dc1.corp.example", "dc=corp", attributes=Attributes(machines="host"))
MAC = "52:54:00:00:00:11"
P1 = "p1@corp.example"


def entry(number: int, **more: str) -> Entry:
    values = {
        "mail": f"p{number}@corp.example",
        "displayName": f"Person {number}",
        "uid": f"u{number}",
    } | more
    return {name: [value.encode()] for name, value in values.items()}


def people(count: int) -> list[Entry]:
    return [entry(number) for number in range(count)]


def answering(entries: Iterable[Entry]):
    return lambda _server: entries


def refusing(server: LdapServer) -> list[Entry]:
    raise InputError(f"{server.url}: Can't contact LDAP server")


# -- what counts as a person ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_entry", "line"),
    [
        pytest.param(entry(1), (P1, "Person 1", "en", "u1", ""), id="as usual"),
        pytest.param(
            {"MAIL": [b"Asa@Corp.Example"], "PreferredLanguage": [b"ja-JP, en"], "uid": [b"asa"]},
            ("asa@corp.example", "", "ja", "asa", ""),
            id="names of attributes do not know capitals",
        ),
        pytest.param(entry(1, host="52-54-00-00-00-11"), (P1, "Person 1", "en", "u1", MAC), id="a machine"),
        pytest.param(entry(1, host="pc-1"), (P1, "Person 1", "en", "u1", ""), id="a machine's name says nothing"),
        pytest.param(
            entry(1, displayName="a\r\nBcc: x\x00"), (P1, "a Bcc: x", "en", "u1", ""), id="a name in lines"
        ),
        pytest.param({"mail": [b"\xff\xfe"]}, None, id="no text at all"),
        pytest.param(entry(1, mail="p1@corp.example\r\nBcc: all@corp.example"), None, id="more than an address"),
        pytest.param({"uid": [b"none"]}, None, id="no address"),
        pytest.param({"mail": []}, None, id="an empty list"),
        pytest.param(entry(1, mail="x" * 100_000), None, id="an address without end"),
    ],
)  # fmt: skip
def test_an_entry_becomes_a_line_or_is_counted(given_entry: Entry, line: tuple[str, ...] | None):
    found = people_of([given_entry], SERVER.attributes)
    assert found.lines == (() if line is None else (line,))
    assert found.refused == (line is None)


def test_the_copy_reads_back_as_it_was(tmp_path: Path):
    hostile = entry(2, displayName='"; <script>, \n=cmd()', uid="u,2", host=MAC)
    found = people_of([*people(2), hostile, entry(1, displayName="a second of the name")], SERVER.attributes)
    (tmp_path / "people.csv").write_bytes(found.written())
    read = read_people(tmp_path / "people.csv")
    assert [*read.people] == [f"p{n}@corp.example" for n in range(3)]
    assert read.people["p1@corp.example"].name == "Person 1"
    assert read.accounts["u,2"] == read.accounts[MAC] == read.people["p2@corp.example"]


def test_more_people_than_any_company_has_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ldap_directory, "MOST_ENTRIES", 5)
    with pytest.raises(InputError, match="more than 5 entries"):
        people_of(people(6), SERVER.attributes)


@given(st.text())
def test_a_groups_name_is_text_in_the_filter_and_nothing_else(group: str):
    """RFC 4515: no bracket, star or backslash of it is one of the filter's."""
    asked = filter_of(LdapServer("ldaps://x", "dc=x", filter="(mail=*)", group=group))
    if not group:
        assert asked == "(mail=*)"
        return
    inside = asked.removeprefix("(&(mail=*)(memberOf=").removesuffix("))")
    assert re.fullmatch(r"(?:[^\\*()\0]|\\[0-9a-f]{2})*", inside, re.DOTALL)
    plain = re.sub(rb"\\([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), inside.encode())
    assert plain == group.encode("utf-8", "surrogatepass")


def test_who_the_directory_names_for_a_machine_owns_it_whoever_logs_on(database: Database):
    """P6.1."""
    asa, ben = Person("asa@corp.example"), Person("ben@corp.example")
    now = utc_now()
    seen = [
        Sighting(Source.LOGIN, SiteId("tokyo"), now, hardware=mac, address=address, user="ben")
        for mac, address in ((MAC, "10.0.0.1"), ("52:54:00:00:00:12", "10.0.0.2"))
    ]
    take_in(database, seen, "test", now, {"ben": ben, MAC: asa})
    with database.begin() as con:
        owners = [devices.at(con, [address])[0].owner for address in ("10.0.0.1", "10.0.0.2")]
    assert owners == [asa.address, ben.address]


# -- which copy is in force -----------------------------------------------------------------------------------------


def state(database: Database) -> tuple[int, str]:
    with database.begin() as con:
        found = feeds.states(con)[NAME]
    return found.records, found.last_error


@pytest.mark.parametrize(
    ("then", "why"),
    [
        pytest.param(refusing, "Can't contact", id="a server that is gone"),
        pytest.param(answering(people(50)), "50 people where there were 100", id="half of them are missing"),
        pytest.param(answering([]), "0 people where there were 100", id="nobody is left"),
    ],
)
def test_a_directory_that_fails_or_shrinks_leaves_the_last_good_copy(
    database: Database, tmp_path: Path, then, why: str
):
    first = read_directory(database, SERVER, tmp_path, answering(people(100)))
    good = (tmp_path / COPY).read_bytes()
    assert (first.people, first.trouble, (tmp_path / COPY).stat().st_mode & 0o777) == (100, "", 0o600)
    for _ in range(3):
        read = read_directory(database, SERVER, tmp_path, then)
        assert why in read.trouble
        assert (tmp_path / COPY).read_bytes() == good
    assert (state(database)[0], why in state(database)[1]) == (100, True)
    with database.begin() as con:
        kinds = [each.event.kind for each in ledger.about(con, subject=NAME)]
    assert sorted(kinds) == [EventKind.FEED_LOADED, EventKind.FEED_REFUSED], "the same trouble is told once"
    again = read_directory(database, SERVER, tmp_path, answering(people(99)))
    assert (again.people, state(database)) == (99, (99, ""))


def test_a_person_may_believe_that_it_shrank_but_never_that_nobody_is_left(
    database: Database, tmp_path: Path
):
    read_directory(database, SERVER, tmp_path, answering(people(100)))
    assert read_directory(database, SERVER, tmp_path, answering(people(50)), accept=True).people == 50
    assert read_directory(database, SERVER, tmp_path, answering([]), accept=True).trouble
    assert len(read_people(tmp_path / COPY).people) == 50


# -- settings -------------------------------------------------------------------------------------------------------

GOOD = 'url = "ldaps://dc1.corp.example"\nbase = "dc=corp"\n'


def settings(tmp_path: Path, table: str, more: str = "") -> Settings:
    (tmp_path / "forestall.toml").write_text(f"[directory]\n{table}\n{more}")
    return load_settings(tmp_path)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        pytest.param('url = "http://dc1"\nbase = "x"', 'write "ldaps://', id="no LDAP"),
        pytest.param('url = "ldap://dc1"\nbase = "x"', "in clear", id="in clear"),
        pytest.param('url = "ldaps://dc1"', "needs base", id="no base"),
        pytest.param(GOOD + 'bind = "cn=x"', "bind and password_file together", id="no password"),
        pytest.param(GOOD + 'filter = "mail=*"', "in brackets", id="a filter without brackets"),
        pytest.param(GOOD + 'fillter = "(a=b)"', "filter", id="a line misspelt"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, table: str, why: str):
    with pytest.raises(InputError, match=re.escape(why)):
        settings(tmp_path, table)


@pytest.mark.parametrize(
    ("mode", "why"),
    [pytest.param(0o644, "others can read", id="others read it"), pytest.param(None, "cannot be read", id="gone")],
)  # fmt: skip
def test_a_password_that_cannot_be_used_costs_nothing_but_news(
    database: Database, tmp_path: Path, mode: int | None, why: str
):
    """ADR 33: the settings are read, the glass is broken, and the last good copy stays."""
    read_directory(database, SERVER, tmp_path, answering(people(3)))
    secret = tmp_path / "word"
    if mode is not None:
        secret.write_text("secret\n")
        secret.chmod(mode)
    server = settings(tmp_path, GOOD + 'bind = "cn=x"\npassword_file = "word"').ldap
    assert server is not None
    freed = CliRunner().invoke(app, ["network", "free-all", "--by", "asa", "--data", str(tmp_path)])
    assert (freed.exit_code, "0 freed" in freed.stdout) == (0, True), freed
    read = read_directory(database, server, tmp_path)
    assert (read.people, f"{secret}: {why}" in read.trouble) == (3, True), read
    assert len(read_people(tmp_path / COPY).people) == 3


def test_people_come_from_the_copy_and_from_one_place_only(tmp_path: Path):
    mail = (
        '[mail]\nserver = "mail.corp.example"\nsender = "patch@corp.example"\nlink_base = "https://patch"\n'
    )
    found = settings(tmp_path, GOOD, mail)
    with pytest.raises(InputError, match="forestall directory pull"):
        found.accounts()
    (tmp_path / COPY).write_bytes(people_of(people(3), Attributes()).written())
    assert found.accounts()["u2"].address == "p2@corp.example"
    with pytest.raises(InputError, match="remove one"):
        settings(tmp_path, GOOD, mail + 'directory = "people.csv"\n')
