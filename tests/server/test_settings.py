"""The settings file: every line optional; an error names the file, the line and the nearest right name."""

# ruff: noqa: E501 - a table reads best one row a line

import socket
from pathlib import Path

import pytest

from forestall.domain.errors import InputError
from forestall.server.settings import (
    EMBEDDED,
    FILE,
    Agents,
    Settings,
    default_directory,
    load_settings,
    split_bind,
)
from forestall.server.wiring import opened

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def written(directory: Path, text: str) -> Path:
    (directory / FILE).write_text(text, encoding="utf-8")
    return directory


def test_without_a_file_everything_has_its_default(tmp_path: Path):
    assert load_settings(tmp_path) == Settings(tmp_path, "127.0.0.1:8470", Agents("127.0.0.1:8471"), EMBEDDED)


def test_every_setting_can_be_written(tmp_path: Path):
    (tmp_path / "ours.toml").write_text("")
    text = """
        policy = "ours.toml"
        [server]
        bind = "0.0.0.0:80"
        [agents]
        bind = "0.0.0.0:443"
        names = ["patch.example.org", "10.0.0.5"]
        [database]
        url = "postgresql://forestall@db/forestall"
        user = "postgres"
        [feeds]
        addresses = ["/srv/advisories", "https://www.example.org/epss_scores-current.csv.gz"]
    """
    assert load_settings(written(tmp_path, text)) == Settings(
        directory=tmp_path,
        bind="0.0.0.0:80",
        agents=Agents("0.0.0.0:443", ("patch.example.org", "10.0.0.5")),
        database_url="postgresql://forestall@db/forestall",
        database_user="postgres",
        feeds=("/srv/advisories", "https://www.example.org/epss_scores-current.csv.gz"),
        policy=tmp_path / "ours.toml",
    )


def test_the_example_in_the_documents_is_read_and_names_every_setting(tmp_path: Path):
    example = PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "policy.toml").write_text("")
    found = load_settings(written(tmp_path, example))
    untouched = [
        name for name in Settings.__slots__ if getattr(found, name) == getattr(Settings(tmp_path), name)
    ]
    assert untouched == ["directory", "bind"], "the example shows bind as it is by default"


NAMES = [
    pytest.param(Agents(), "127.0.0.1", "127.0.0.1", id="nothing said"),
    pytest.param(Agents(), "10.0.0.5", "10.0.0.5", id="an address it listens on"),
    pytest.param(Agents(), "::", socket.gethostname(), id="everywhere"),
    pytest.param(Agents(names=("patch.example.org",)), "::", "patch.example.org", id="its names are said"),
]


@pytest.mark.parametrize(("agents", "host", "first"), NAMES)
def test_the_server_is_known_by_its_names_and_always_on_its_own_machine(
    agents: Agents, host: str, first: str
):
    names = agents.known_as(host)
    assert names[0] == first
    assert set(names) >= {"localhost", "127.0.0.1", "::1"}
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        pytest.param("[servr]\nbind = 1", 1, "there is no “servr”; did you mean “server”?", id="a misspelt table"),
        pytest.param("[server]\n\nbnid = ''", 3, "there is no “bnid”; did you mean “bind”?", id="a misspelt name"),
        pytest.param("[database]\ncolour = 1", 2, "known are: url, user", id="a name like no other"),
        pytest.param("[agents]\nbind = '8471'", 2, "“8471” is not an address to listen on", id="agents without an address"),
        pytest.param("\n[server]\nbind = 8470", 3, "Expected `str`, got `int`", id="a number for a text"),
        pytest.param("[feeds]\naddresses = 'x'", 2, "Expected `array`, got `str`", id="a text for a list"),
        pytest.param("[feeds]\naddresses = ['x', 7]", 2, "Expected `str`, got `int`", id="a number in a list"),
        pytest.param("server = 1", 1, "Expected `object`, got `int`", id="a value for a table"),
        pytest.param("[server]\nbind = 'localhost'", 2, "“localhost” is not an address to listen on; write 127.0.0.1:8470", id="an address without a port"),
        pytest.param("policy = 'gone.toml'", 1, "there is no policy file", id="a policy file that is not there"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, text: str, line: int, says: str):
    with pytest.raises(InputError) as refused:
        load_settings(written(tmp_path, text))
    assert f"{tmp_path / FILE}, line {line}: " in str(refused.value)
    assert says in str(refused.value)


def test_a_broken_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"forestall\.toml: is not TOML: .*line 2"):
        load_settings(written(tmp_path, "[server]\nbind = \n"))


@pytest.mark.parametrize(
    ("bind", "address"),
    [("127.0.0.1:8470", ("127.0.0.1", 8470)), ("[::1]:0", ("::1", 0)), ("host:65535", ("host", 65535))],
)
def test_an_address_to_listen_on(bind: str, address: tuple[str, int]):
    assert split_bind(bind) == address


@pytest.mark.parametrize("bind", ["", ":80", "host", "host:", "host:80a", "host:65536", "host:-1"])
def test_what_is_no_address_to_listen_on(bind: str):
    with pytest.raises(InputError, match="is not an address to listen on"):
        split_bind(bind)


def test_the_directory_is_named_or_here_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FORESTALL_DATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/aiko")
    assert default_directory() == Path("/home/aiko/.local/share/forestall")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_directory() == Path("/data/forestall")
    (tmp_path / ".forestall").mkdir()
    assert default_directory() == Path(".forestall")
    monkeypatch.setenv("FORESTALL_DATA", "/srv/forestall")
    assert default_directory() == Path("/srv/forestall")


def test_a_database_of_ones_own_is_used_and_none_is_started(tmp_path: Path, database_url: str):
    written(tmp_path, f'[database]\nurl = "{database_url}"\n')
    with opened(tmp_path) as installation, installation.database.begin():
        installation.tend()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
