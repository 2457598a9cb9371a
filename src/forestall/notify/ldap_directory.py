"""People from a company's LDAP directory: read-only, over verified TLS, in pages, within bounds; an extra (`ldap`)."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestall.domain.address import canonical
from forestall.domain.errors import InputError
from forestall.domain.notice import address_of, spoken
from forestall.private_file import password_in

COPY = "people.last-good.csv"
"""The copy that is in force, in the server's directory."""
MOST_ENTRIES = 1_000_000
_LONGEST = 1_000
_MOST_MACHINES = 50

Entry = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Attributes:
    """How this directory calls what we ask for; an empty name is not asked for."""

    mail: str = "mail"
    name: str = "displayName"
    language: str = "preferredLanguage"
    user: str = "uid"
    machines: str = ""
    """MAC and IP addresses of the machines that are the person's."""

    @property
    def asked(self) -> list[str]:
        """List what the server is asked to send."""
        return [each for each in (self.mail, self.name, self.language, self.user, self.machines) if each]


@dataclass(frozen=True, slots=True)
class LdapServer:
    """Where the directory is and what is asked of it."""

    url: str
    base: str
    filter: str = "(mail=*)"
    group: str = ""
    """Only members of this group, by `memberOf`; empty: all."""
    bind: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    start_tls: bool = False
    seconds: float = 30.0
    page: int = 500
    attributes: Attributes = field(default_factory=Attributes)


@dataclass(frozen=True, slots=True)
class Found:
    """The lines of the people's file, and how many entries name nobody."""

    lines: tuple[tuple[str, str, str, str, str], ...]
    refused: int

    def written(self) -> bytes:
        """Write the file that `notify.people` reads."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("address", "name", "language", "user", "machines"))
        writer.writerows(self.lines)
        return text.getvalue().encode()


def search(server: LdapServer) -> Iterator[Entry]:
    """Ask for everybody, page by page; referrals are not followed.

    Raises:
        InputError: the password's file or the extra cannot be used, or the server refuses, is silent, or cannot
            prove who it is.
    """
    password = password_in(server.password_file) if server.password_file else ""
    ldap, controls = _library()
    try:
        link = _connected(ldap, server, password)
        try:
            yield from _pages(ldap, controls, link, server)
        finally:
            link.unbind_ext()
    except ldap.LDAPError as error:
        raise InputError(f"{server.url}: {_explained(error)}") from None


def filter_of(server: LdapServer) -> str:
    """Give the search filter; what names a group is text in it and nothing else (RFC 4515)."""
    if not server.group:
        return server.filter
    group = "".join(
        f"\\{byte:02x}" if chr(byte) in "\\*()\0" or byte > 126 else chr(byte)
        for byte in server.group.encode()
    )
    return f"(&{server.filter}(memberOf={group}))"


def people_of(entries: Iterable[Entry], attributes: Attributes) -> Found:
    """Make lines of entries: one a mail address, the first of it counts.

    Raises:
        InputError: there are more entries than any company has.
    """
    lines: dict[str, tuple[str, str, str, str, str]] = {}
    refused = 0
    for number, entry in enumerate(entries, 1):
        if number > MOST_ENTRIES:
            raise InputError(
                f"The directory sends more than {MOST_ENTRIES} entries: narrow [directory] filter"
            )
        address = address_of(_first(entry, attributes.mail))
        if not address:
            refused += 1
            continue
        name = _first(entry, attributes.name)
        language = spoken(_first(entry, attributes.language))
        machines = " ".join(_machines(entry, attributes.machines))
        lines.setdefault(address, (address, name, language, _first(entry, attributes.user), machines))
    return Found(tuple(lines.values()), refused)


def _library() -> tuple[Any, Any]:
    try:
        import ldap  # type: ignore[import-not-found,unused-ignore]
        from ldap import controls  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise InputError(
            "Reading an LDAP directory needs python-ldap: pip install 'forestall[ldap]' (or Debian's python3-ldap)"
        ) from None
    return ldap, controls


def _connected(ldap: Any, server: LdapServer, password: str) -> Any:  # noqa: ANN401 - a library without types
    link = ldap.initialize(server.url)
    link.protocol_version = ldap.VERSION3
    link.set_option(ldap.OPT_REFERRALS, 0)
    link.set_option(ldap.OPT_NETWORK_TIMEOUT, server.seconds)
    link.set_option(ldap.OPT_TIMEOUT, server.seconds)
    link.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
    if server.ca_file is not None:
        link.set_option(ldap.OPT_X_TLS_CACERTFILE, str(server.ca_file))
    link.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    if server.start_tls:
        link.start_tls_s()
    link.simple_bind_s(server.bind, password)
    return link


def _pages(ldap: Any, controls: Any, link: Any, server: LdapServer) -> Iterator[Entry]:  # noqa: ANN401 - as above
    control = controls.SimplePagedResultsControl(True, size=server.page, cookie="")
    for _ in range(MOST_ENTRIES):
        asked = link.search_ext(
            server.base, ldap.SCOPE_SUBTREE, filter_of(server), server.attributes.asked, serverctrls=[control]
        )
        _, rows, _, answered = link.result3(asked, timeout=server.seconds)
        # A row without a name is a referral to another server: who that is, nobody has verified.
        yield from (entry for name, entry in rows if name is not None)
        pages = [each for each in answered if each.controlType == control.controlType]
        if not pages or not pages[0].cookie:
            return
        control.cookie = pages[0].cookie


def _first(entry: Entry, attribute: str) -> str:
    """Read an attribute's first value, in one line that prints; names of attributes do not know capitals."""
    values = next((values for name, values in entry.items() if name.casefold() == attribute.casefold()), ())
    text = values[0][:_LONGEST].decode("utf-8", "replace") if values else ""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _machines(entry: Entry, attribute: str) -> Iterator[str]:
    """Read addresses; what is none is left out: a machine's name is only what it says of itself."""
    values = next((values for name, values in entry.items() if name.casefold() == attribute.casefold()), ())
    for value in values[:_MOST_MACHINES]:
        if address := canonical(value[:_LONGEST].decode("ascii", "replace").strip()):
            yield address


def _explained(error: Exception) -> str:
    """Say what is wrong; the library tells neither a silent server from one whose certificate does not count."""
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    what = " ".join(str(said.get("desc", "")).split())[:200] or type(error).__name__
    return (
        f"{what} (or its certificate is not for that name, or not by ca_file)" if "contact" in what else what
    )
