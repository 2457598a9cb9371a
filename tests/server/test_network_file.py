"""The settings of enforcement points: what cannot be used is named with its line; secrets are private (docs/network.md)."""

# ruff: noqa: E501 - a table reads best one row a line

from contextlib import closing
from pathlib import Path

import pytest

from forestall.domain.errors import InputError
from forestall.network.snmp import V3, V2c
from forestall.network.switch_snmp import SnmpSwitch
from forestall.server.enforcement import enforcement_of
from forestall.server.settings import FILE, load_settings

POINT = '[[network.points]]\nkind = "snmp"\nname = "a"\naddress = "10.0.0.2"\ncredentials = "c.toml"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    secret(tmp_path, 'community = "not public"\n')
    return tmp_path


def secret(directory: Path, text: str, mode: int = 0o600) -> None:
    path = directory / "c.toml"
    path.write_text(text)
    path.chmod(mode)


def made(directory: Path, text: str) -> list[object]:
    (directory / FILE).write_text(text)
    with closing(enforcement_of(load_settings(directory))) as enforcement:
        return list(enforcement.points)


def test_nothing_is_connected_and_nothing_is_closed_by_default(tmp_path: Path):
    with closing(enforcement_of(load_settings(tmp_path))) as enforcement:
        assert (enforcement.points, enforcement.simulate, enforcement.stopped) == ((), True, False)


@pytest.mark.parametrize(
    ("text", "credential"),
    [
        pytest.param('community = "c"\n', V2c("c"), id="a community"),
        pytest.param(
            'user = "u"\nauth_key = "12345678"\npriv_key = "87654321"\n',
            V3("u", "12345678", "87654321"),
            id="a user",
        ),
    ],
)
def test_a_switch_is_read(text: str, credential: object, directory: Path):
    secret(directory, text)
    (switch,) = made(directory, POINT + 'sites = ["tokyo"]\nquarantine_vlan = 99\nuplinks = ["Gi1/0/49"]\n')
    assert isinstance(switch, SnmpSwitch)
    assert (switch.credential, switch.sites) == (credential, {"tokyo"})
    assert (switch.rules.quarantine_vlan, switch.rules.uplinks) == (99, {"Gi1/0/49"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            POINT + "uplink = []\n",
            "line 6: there is no “uplink”; did you mean “uplinks”",
            id="a misspelt key",
        ),
        pytest.param(
            POINT + POINT.replace('"a"', '"b"') + "sits = []\n",
            "line 11: there is no “sits”",
            id="in the second point",
        ),
        pytest.param(
            POINT + POINT.replace('"a"', '"b"') + "port = 99999\n", "line 11", id="a port that is none"
        ),
        pytest.param(POINT.replace("snmp", "smtp"), "line 2.*smtp", id="a kind that is none"),
        pytest.param('[network]\nmode = "on"\n', "line 2", id="a mode that is none"),
        pytest.param(
            '[network]\nmod = "x"\n', "line 2: there is no “mod”; did you mean “mode”", id="a misspelt mode"
        ),
        pytest.param(
            '[network]\nprotected = ["printer"]\n', "“printer” is no IP or MAC address", id="a protected name"
        ),
        pytest.param(
            POINT.replace("10.0.0.2", "switch.example"), "names are not looked up", id="a switch by name"
        ),
        pytest.param(POINT + POINT, "Two enforcement points are called “a”", id="one name twice"),
        pytest.param(POINT.replace("c.toml", "d.toml"), r"d\.toml: cannot be read", id="no file of secrets"),
        pytest.param(
            POINT.replace('"snmp"', '"radius"') + 'way = "coa"\n',
            "needs a quarantine_vlan",
            id="nowhere to move to",
        ),
        pytest.param(
            '[[network.points]]\nkind = "nftables"\nname = "g"\nfamily = "inet"\ntable = "t"\n',
            "at least one set",
            id="a gateway without sets",
        ),
        pytest.param(
            '[[network.points]]\nkind = "hook"\nname = "h"\ncommand = ["ports"]\n',
            "full path",
            id="a command without its path",
        ),
    ],
)
def test_what_cannot_be_used_is_named(text: str, says: str, directory: Path):
    with pytest.raises(InputError, match=says):
        made(directory, text)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_secrets_that_others_can_read_are_refused(mode: int, directory: Path):
    secret(directory, 'community = "c"\n', mode)
    with pytest.raises(InputError, match="chmod 600"):
        made(directory, POINT)


def test_a_command_that_others_can_change_is_refused(directory: Path):
    path = directory / "ports"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o777)
    with pytest.raises(InputError, match="writable by its owner alone"):
        made(directory, f'[[network.points]]\nkind = "hook"\nname = "h"\ncommand = ["{path}"]\n')
