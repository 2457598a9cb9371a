"""One channel (P5.5): what unattended-upgrades is told, and how the silence ends. `./lab installers` asks it itself."""

import os
import re
import subprocess

import pytest

from agent.rig import Rig
from forestall.agent import channel
from forestall.agent.channel import COVERED, LEASE


def blacklist(rig: Rig) -> list[str]:
    """Ask apt what it makes of its configuration."""
    said = subprocess.run(
        ["apt-config", "dump", "--format", "%v%n", "Unattended-Upgrade::Package-Blacklist"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(rig.debian.environment),
    ).stdout
    return [line for line in said.splitlines() if line]


def test_exactly_what_is_covered_is_silenced_beside_what_an_administrator_wrote(rig: Rig) -> None:
    mine = rig.root / "etc/apt/apt.conf.d/50unattended-upgrades"
    mine.write_text('Unattended-Upgrade::Package-Blacklist { "linux-"; };\n')
    assert channel.keep(rig.debian, ["libssl3:amd64", "openssl", "libstdc++6", "python3.11"]).done
    assert blacklist(rig) == ["linux-", "libssl3$", "libstdc[+][+]6$", "openssl$", "python3[.]11$"]
    patterns = blacklist(rig)[1:]
    for name in ("libssl3", "libstdc++6", "openssl", "python3.11"):
        assert any(re.match(pattern, name) for pattern in patterns)
    for name in ("libssl3-dev", "xlibssl3", "openssl-provider", "python3x11", "libstdcc6"):
        assert not any(re.match(pattern, name) for pattern in patterns)
    assert channel.keep(rig.debian, ["openssl"]).done
    assert blacklist(rig) == ["linux-", "openssl$"]


def test_all_is_given_back_without_a_trace(rig: Rig) -> None:
    before = {path for path in rig.root.rglob("*") if path.is_file()}
    channel.keep(rig.debian, ["openssl"])
    assert channel.keep(rig.debian, []).done
    assert blacklist(rig) == []
    assert {path for path in rig.root.rglob("*") if path.is_file()} == before
    assert channel.keep(rig.debian, []).done


def expire(rig: Rig) -> None:
    """Do what systemd does before it starts unattended-upgrades, in this root."""
    (line,) = re.findall(r"^ExecStartPre=-(.+)$", (rig.root / LEASE).read_text(), re.MULTILINE)
    words = [word.replace(f"/{COVERED}", str(rig.root / COVERED)) for word in line.split()]
    subprocess.run(words, check=True)


def test_a_silence_that_nobody_renews_ends_without_the_agent(rig: Rig) -> None:
    channel.keep(rig.debian, ["openssl"])
    drop_in = rig.root / COVERED
    written = drop_in.stat().st_mtime
    expire(rig)
    assert blacklist(rig) == ["openssl$"]
    os.utime(drop_in, (written, written - 25 * 3600))
    channel.keep(rig.debian, ["openssl"])  # a pass of the agent renews it
    expire(rig)
    assert blacklist(rig) == ["openssl$"]
    os.utime(drop_in, (written, written - 25 * 3600))
    expire(rig)
    assert blacklist(rig) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param('openssl"; }; DPkg::Pre-Invoke { "reboot', id="apt's own syntax"),
        pytest.param(".*", id="everything"),
        pytest.param("a\nb", id="two lines"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_package_name_is_not_written(rig: Rig, name: str) -> None:
    """T15."""
    channel.keep(rig.debian, [name])
    assert not (rig.root / COVERED).exists()


def test_a_place_that_cannot_be_written_is_told_not_raised(rig: Rig) -> None:
    (rig.root / "etc/systemd").write_text("no folder")
    outcome = channel.keep(rig.debian, ["openssl"])
    assert (outcome.done, "cannot be told" in outcome.detail) == (False, True)
    assert not (rig.root / COVERED).exists()
