"""One channel on rpm's machines (P5.5): what dnf-automatic is shown, and how the silence ends.

`./lab installers` asks dnf-automatic itself, `./lab systemd` systemd.
"""

import configparser
import os
import re
import subprocess
from pathlib import Path

import pytest

from forestall.agent import channel_rpm
from forestall.agent.channel_rpm import AUTOMATIC, COPY, LEASES, excluding
from forestall.agent.rpm import Rpm, rpm_at

CONF = """# An administrator's.
[commands]
apply_updates = yes

[base]
debuglevel = 1
"""


@pytest.fixture
def rpm(tmp_path: Path) -> Rpm:
    root = tmp_path / "a root"
    (root / AUTOMATIC).parent.mkdir(parents=True)
    (root / AUTOMATIC).write_text(CONF)
    (tmp_path / "agent").mkdir()
    return rpm_at(root, tmp_path / "agent")


def excluded(text: str) -> str:
    read = configparser.RawConfigParser()
    read.read_string(text)
    return read["base"]["excludepkgs"]


CASES = [
    pytest.param(CONF, "bash openssl", id="beside other settings"),
    pytest.param("[commands]\napply_updates = yes\n", "bash openssl", id="where there is no such part"),
    pytest.param("", "bash openssl", id="where there is nothing"),
    pytest.param("[base]\nexcludepkgs = kernel*, php-*\n", "kernel* php-* bash openssl", id="beside others"),
    pytest.param("[base]\nexclude=kernel*\n  php-*\n", "kernel* php-* bash openssl", id="on two lines"),
    pytest.param("[base]\nexclude=a\nexcludepkgs=b openssl\n", "b openssl a bash", id="by both names, and one of ours"),
    pytest.param("[base]\na=1\n[base]\nexclude=a\n", "a bash openssl", id="in two parts"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), CASES)
def test_what_is_covered_is_excluded_beside_what_the_administrator_excludes(text: str, wanted: str) -> None:
    assert excluded(excluding(text, ["bash", "openssl"])) == wanted


def test_everything_else_stays_as_it_is() -> None:
    read = configparser.RawConfigParser()
    read.read_string(excluding(CONF, ["bash"]))
    assert read["commands"]["apply_updates"] == "yes"
    assert read["base"]["debuglevel"] == "1"


def test_all_is_given_back_without_a_trace(rpm: Rpm) -> None:
    before = {path for path in rpm.path.rglob("*") if path.is_file()}
    assert channel_rpm.keep(rpm, ["openssl-libs"]).done
    assert excluded((rpm.path / COPY).read_text()) == "openssl-libs"
    assert (rpm.path / AUTOMATIC).read_text() == CONF
    for _ in range(2):
        assert channel_rpm.keep(rpm, []).done
        assert {path for path in rpm.path.rglob("*") if path.is_file()} == before


def expire(rpm: Rpm) -> None:
    """Do what systemd does before it starts dnf-automatic, in this root."""
    for lease in LEASES:
        (line,) = re.findall(r"^ExecStartPre=-(.+)$", (rpm.path / lease).read_text(), re.MULTILINE)
        words = [word.replace(f"/{COPY}", str(rpm.path / COPY)) for word in line.split()]
        subprocess.run(words, check=(rpm.path / COPY).exists(), capture_output=True)


def test_a_silence_that_nobody_renews_ends_without_the_agent(rpm: Rpm) -> None:
    channel_rpm.keep(rpm, ["bash"])
    written = (rpm.path / COPY).stat().st_mtime
    expire(rpm)
    assert (rpm.path / COPY).exists()
    os.utime(rpm.path / COPY, (written, written - 25 * 3600))
    channel_rpm.keep(rpm, ["bash"])  # a pass of the agent renews it
    expire(rpm)
    assert (rpm.path / COPY).exists()
    os.utime(rpm.path / COPY, (written, written - 25 * 3600))
    expire(rpm)
    assert not (rpm.path / COPY).exists()


def test_a_machine_without_dnf_automatic_is_left_as_it_is(rpm: Rpm) -> None:
    (rpm.path / AUTOMATIC).unlink()
    assert channel_rpm.keep(rpm, ["bash"]).done
    assert not [path for path in rpm.path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["*", "a b", "a\nexclude=b", "-x", ""])
def test_what_is_no_package_name_is_not_written(rpm: Rpm, name: str) -> None:
    """T15."""
    channel_rpm.keep(rpm, [name])
    assert not (rpm.path / COPY).exists()


@pytest.mark.parametrize("content", [b"no section\n", b"[base\n", b"\xff"])
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_silenced(rpm: Rpm, content: bytes) -> None:
    (rpm.path / AUTOMATIC).write_bytes(content)
    outcome = channel_rpm.keep(rpm, ["bash"])
    assert (outcome.done, AUTOMATIC in outcome.detail) == (False, True)
    assert not (rpm.path / COPY).exists()


def test_a_place_that_cannot_be_written_is_told_not_raised(rpm: Rpm) -> None:
    (rpm.path / "etc/systemd").write_text("no folder")
    assert "cannot be told" in channel_rpm.keep(rpm, ["bash"]).detail
    assert not (rpm.path / COPY).exists()
