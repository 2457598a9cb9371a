"""The table [mail] of forestall.toml: where mails are handed over, who writes, who is told."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from forestall.domain.errors import InputError
from forestall.domain.notice import address_of
from forestall.notify.ldap_directory import COPY
from forestall.notify.message import Sender, sender_of
from forestall.notify.people import Directory, listed, read_people
from forestall.notify.smtp import MailServer, Tls


class MailFile(msgspec.Struct, forbid_unknown_fields=True):
    """What may stand in the table; without `server` no mail is sent."""

    server: str = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
    tls: Tls = Tls.STARTTLS
    ca_file: str = ""
    user: str = ""
    password_file: str = ""
    sender: str = ""
    return_path: str = ""
    link_base: str = ""
    everybody: list[str] = []
    directory: str = ""
    bounces: str = ""
    owner_domains: list[str] = []


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Everything about mail."""

    server: MailServer
    sender: Sender
    return_path: str
    """Where refused mails come back to: the envelope's sender."""
    link_base: str
    """What the links in mails begin with: how people reach this server."""
    everybody: tuple[str, ...] = ()
    directory: Path | None = None
    bounces: Path | None = None
    """A Maildir in which mails come back."""
    owner_domains: tuple[str, ...] = ()
    """Whose addresses may be given at a machine that nobody owns; the sender's own domain where none is named."""

    def people(self) -> Directory:
        """Read who everybody is (P6.1).

        Raises:
            InputError: the directory's file cannot be used.
        """
        named = listed(list(self.everybody))
        if self.directory is None:
            return Directory(named)
        if self.directory.name == COPY and not self.directory.exists():
            raise InputError("Nobody was read from the directory yet: forestall directory pull")
        found = read_people(self.directory)
        return Directory(named | found.people, found.refused, found.accounts)


def mail_settings(found: MailFile, directory: Path, path: Path) -> MailSettings | None:
    """Check the table; None where no mail server is named.

    Raises:
        InputError: something in it cannot be used, with what to write instead.
    """
    if not found.server:
        return None
    sender = _sender(found.sender, path)
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", found.link_base):
        raise InputError(
            f'{path}: [mail] needs link_base, how people reach this server: link_base = "https://..."'
        )
    if (found.user or found.password_file) and found.tls is Tls.NONE and not _here(found.server):
        raise InputError(f'{path}: [mail] would send its password in clear; write tls = "starttls" or "tls"')
    if bool(found.user) != bool(found.password_file):
        raise InputError(f"{path}: [mail] needs user and password_file together")
    for address in found.everybody:
        if not address_of(address):
            raise InputError(f"{path}: [mail] everybody: “{address[:80]}” is no mail address")
    return_path = address_of(found.return_path or sender.address)
    if not return_path:
        raise InputError(f"{path}: [mail] return_path: “{found.return_path[:80]}” is no mail address")
    return MailSettings(
        server=MailServer(
            found.server,
            found.port,
            found.tls,
            _file(found.ca_file, directory),
            found.user,
            _file(found.password_file, directory),
        ),
        sender=sender,
        return_path=return_path,
        link_base=found.link_base.rstrip("/"),
        everybody=tuple(found.everybody),
        directory=_file(found.directory, directory),
        bounces=_file(found.bounces, directory),
        owner_domains=tuple(each.casefold() for each in found.owner_domains or [sender.domain]),
    )


def _sender(text: str, path: Path) -> Sender:
    try:
        return sender_of(text)
    except ValueError:
        raise InputError(
            f'{path}: [mail] needs a sender: sender = "Patch Desk <patch@your.domain>"'
        ) from None


def _here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _file(name: str, directory: Path) -> Path | None:
    return directory / name if name else None
