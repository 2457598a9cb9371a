"""Where this server lives and what it reads: one directory, one optional file, every line of it optional."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

import msgspec

from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.domain.notice import Person
from forestall.domain.scope import Area, Network, Scope
from forestall.notify.ldap_directory import COPY, LdapServer
from forestall.server.directory import DirectoryFile, directory_settings
from forestall.server.mail_settings import MailFile, MailSettings, mail_settings
from forestall.server.network_file import NetworkTable, RoomTable
from forestall.server.toml_file import line_of, read_toml

FILE = "forestall.toml"
EMBEDDED = "embedded"
DEFAULT_BIND = "127.0.0.1:8470"
_HERE = ("localhost", "127.0.0.1", "::1")


class Agents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where agents reach the server, always over TLS."""

    bind: str = "127.0.0.1:8471"
    names: tuple[str, ...] = ()
    """Host names and addresses by which they know it; none: what it listens on, or this machine's name."""

    def known_as(self, host: str) -> tuple[str, ...]:
        """List what the server's certificate names where it listens on `host`; the first is the one to tell people."""
        own = socket.gethostname() if host in {"0.0.0.0", "::"} else host  # noqa: S104 - asked, not listened on
        return tuple(dict.fromkeys((*(self.names or (own,)), *_HERE)))


class _Server(msgspec.Struct, forbid_unknown_fields=True):
    bind: str = DEFAULT_BIND


class _Database(msgspec.Struct, forbid_unknown_fields=True):
    url: str = EMBEDDED
    user: str | None = None


class _Feeds(msgspec.Struct, forbid_unknown_fields=True):
    addresses: list[str] = []


class _Area(msgspec.Struct, forbid_unknown_fields=True):
    site: str
    networks: list[str]
    spared: list[str] = []
    per_second: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 500


class _File(msgspec.Struct, forbid_unknown_fields=True):
    agents: Agents = msgspec.field(default_factory=Agents)
    server: _Server = msgspec.field(default_factory=_Server)
    database: _Database = msgspec.field(default_factory=_Database)
    feeds: _Feeds = msgspec.field(default_factory=_Feeds)
    directory: DirectoryFile = msgspec.field(default_factory=DirectoryFile)
    mail: MailFile = msgspec.field(default_factory=MailFile)
    network: NetworkTable = msgspec.field(default_factory=NetworkTable)
    room: RoomTable = msgspec.field(default_factory=RoomTable)
    scope: list[_Area] = []
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. `directory` holds the embedded database and what else the server keeps."""

    directory: Path
    bind: str = DEFAULT_BIND
    agents: Agents = field(default_factory=Agents)
    database_url: str = EMBEDDED
    database_user: str | None = None
    """The system user that runs the embedded database where root starts it; None picks by itself."""
    feeds: tuple[str, ...] = field(default=())
    """Files, directories or https addresses read beside the bundled advisories."""
    policy: Path | None = None
    mail: MailSettings | None = None
    """None where no mail server is connected."""
    ldap: LdapServer | None = None
    """The company's directory; None where people come from a file or from nowhere."""
    network: NetworkTable = field(default_factory=NetworkTable)
    room: RoomTable = field(default_factory=RoomTable)
    scope: Scope = field(default_factory=Scope)
    """Where probes may go; by default nowhere."""

    @property
    def device_ca(self) -> Path:
        """The folder of the authority that signs machines' certificates."""
        return self.directory / "device-ca"

    def accounts(self) -> Mapping[str, Person]:
        """Read who uses which account; nobody where no mail server is connected: nobody could be written to.

        Raises:
            InputError: the directory's file cannot be used.
        """
        return self.mail.people().accounts if self.mail else {}


def default_directory() -> Path:
    """Find where this server keeps its things: FORESTALL_DATA, `.forestall` here, or the user's data directory."""
    named = os.environ.get("FORESTALL_DATA")
    if named:
        return Path(named)
    here = Path(".forestall")
    if here.is_dir():
        return here
    home = os.environ.get("XDG_DATA_HOME") or os.path.expandvars("$HOME/.local/share")
    return Path(home) / "forestall" if not home.startswith("$HOME") else here


def load_settings(directory: Path | None = None) -> Settings:
    """Read `forestall.toml` of a directory; without the file everything has its default.

    Raises:
        InputError: the file has a line that cannot be used; the message names file, line and nearest right name.
    """
    directory = (directory or default_directory()).absolute()
    path = directory / FILE
    if not path.exists():
        return Settings(directory)
    found = read_toml(path, _File)
    policy = directory / found.policy if found.policy else None
    if policy is not None and not policy.exists():
        raise _refused(path, "policy", f"there is no policy file {policy}; correct or remove this line")
    for bind in (found.server.bind, found.agents.bind):
        try:
            split_bind(bind)
        except InputError as error:
            raise _refused(path, "bind", str(error)) from None
    ldap = directory_settings(found.directory, directory, path)
    return Settings(
        directory=directory,
        bind=found.server.bind,
        agents=found.agents,
        database_url=found.database.url,
        database_user=found.database.user,
        feeds=tuple(found.feeds.addresses),
        policy=policy,
        mail=mail_settings(_with_copy(found, ldap, path), directory, path),
        ldap=ldap,
        network=found.network,
        room=found.room,
        scope=Scope(tuple(_area(each, path) for each in found.scope)),
    )


def _with_copy(found: _File, ldap: LdapServer | None, path: Path) -> MailFile:
    """Let people be read from the directory's last good copy, where there is a directory."""
    if ldap is None:
        return found.mail
    if found.mail.directory:
        raise _refused(path, "directory", "people come from [directory] or from [mail] directory; remove one")
    return msgspec.structs.replace(found.mail, directory=COPY)


def _refused(path: Path, name: str, why: str) -> InputError:
    return InputError(f"{path}, line {line_of(path.read_text(encoding='utf-8'), name)}: {why}")


def _area(area: _Area, path: Path) -> Area:
    networks, spared = (
        tuple(_network(text, path) for text in texts) for texts in (area.networks, area.spared)
    )
    return Area(SiteId(area.site), networks, spared, area.per_second)


def _network(text: str, path: Path) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise _refused(path, "scope", f"scope: {error}; write 10.1.0.0/16") from None


def split_bind(bind: str) -> tuple[str, int]:
    """Split `address:port`.

    Raises:
        InputError: it is not of that form.
    """
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"“{bind[:60]}” is not an address to listen on; write 127.0.0.1:8470")
    return host.strip("[]"), int(port)
