"""Files of secrets, one for each login: one that others can read is refused."""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from forestall.network import snmp
from forestall.private_file import private
from forestall.server.toml_file import read_toml


class _Community(msgspec.Struct, forbid_unknown_fields=True):
    community: str


class _User(msgspec.Struct, forbid_unknown_fields=True):
    user: str
    auth_key: Annotated[str, msgspec.Meta(min_length=8)]
    priv_key: Annotated[str, msgspec.Meta(min_length=8)]
    auth: Literal["sha", "sha224", "sha256", "sha384", "sha512"] = "sha256"
    priv: Literal["aes", "aes192", "aes256"] = "aes"


class _Secret(msgspec.Struct, forbid_unknown_fields=True):
    secret: Annotated[str, msgspec.Meta(min_length=8)]


def secret_of(directory: Path, name: str) -> str:
    """Read a file with the one key `secret`."""
    return read_toml(private(directory / name), _Secret).secret


def login_of(directory: Path, name: str) -> snmp.V2c | snmp.V3:
    """Read a login for SNMP: a community, or a user with its keys."""
    path = private(directory / name)
    if re.search(r"^\s*community\s*=", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE):
        return snmp.V2c(read_toml(path, _Community).community)
    user = read_toml(path, _User)
    return snmp.V3(user.user, user.auth_key, user.priv_key, user.auth, user.priv)
