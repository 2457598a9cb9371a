"""`forestall find` and `forestall probe`, run as a person runs them."""

import json
import socket
from pathlib import Path

from typer.testing import CliRunner, Result

from forestall.cli.main import app
from forestall.domain.errors import InputError

DATA = Path(__file__).parents[1] / "data" / "probes"
NEIGHBOURS = (
    '[{"dst":"127.6.0.1","lladdr":"02:00:00:00:00:01","state":["REACHABLE"],"dev":"eth0"},{"dst":"x"}]'
)
BOOKS = 'hardware,name,user\n02:00:00:00:00:01,"=HYPERLINK(""x"")",ann\n02:00:00:00:00:02,lost,bob\n'
PEOPLE = "user,address,language\nann,ann@example.com,ja\n"
MAIL = (
    '[mail]\nserver = "127.0.0.1"\nsender = "Desk <desk@example.com>"\nlink_base = "https://x.example"\n'
    'directory = "people.csv"\n'
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(*arguments: object):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused_with(*arguments: object) -> str:
    error = run(*arguments).exception
    assert isinstance(error, InputError)
    return str(error)


def test_finding_and_probing(tmp_path: Path):
    """Import, list, estimate, then probe by name; the address that is not in the scope gets no packet."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "people.csv").write_text(PEOPLE)
    (data / "forestall.toml").write_text(MAIL)
    files = {"neighbours": NEIGHBOURS, "csv": BOOKS}
    for kind, text in files.items():
        (tmp_path / kind).write_text(text)
    here = ("--data", data)

    first = told("find", "import", tmp_path / "neighbours", "--as", "neighbours", *here)
    assert (first["read"], first["refused"], first["new"]) == (1, 0, 1)
    second = told("find", "import", tmp_path / "csv", "--as", "csv", *here)
    assert (second["read"], second["machines"], second["new"]) == (2, 2, 1)
    names = {machine["name"]: machine for machine in told("find", "ls", *here)}
    assert names['=HYPERLINK("x")']["sources"] == ["books", "neighbour"]
    owners = {device["name"]: device["owner"] for device in told("devices", *here)}
    assert owners['=HYPERLINK("x")'] == "ann@example.com"
    (estimated,) = told("find", "estimate", *here)
    assert (estimated["by_both"], estimated["seen"]) == (1, 2)

    assert "No scope is set, so nothing may be probed" in refused_with("probe", "run", "127.6.0.1", *here)
    assert "No scope is set" in refused_with("find", "sweep", *here)
    assert "there is no kind of table 'arp'" in refused_with(
        "find", "import", tmp_path / "csv", "--as", "arp", *here
    )
    (data / "forestall.toml").write_text('[[scope]]\nsite = "main"\nnetworks = ["127.6.0.0/24"]\n')
    probed = told("probe", "run", '=HYPERLINK("x")', "--flaw", "CVE-2026-33526", *here)
    assert [(row["address"], row["probe"], row["answer"]["status"]) for row in probed] == [
        ("127.6.0.1", "squid-icp", "unknown")
    ]
    (refused,) = told("probe", "run", "127.9.9.9", "--flaw", "CVE-2026-33526", *here)
    assert refused["answer"]["detail"] == "127.9.9.9 is in no scope: nothing was sent"
    with socket.create_server(("127.6.0.7", 0)) as there:
        swept = told("find", "sweep", "--port", there.getsockname()[1], *here)
    assert swept["counts"] == {"open": 1, "closed": 253}
    assert swept["new"] == 253, "everybody in 127.6.0.0/24 refuses, which is a sign of life; one was known"


def test_probes_are_listed_with_why_they_do_no_harm():
    listed = told("probe", "ls")
    assert {row["name"] for row in listed} >= {"ssh-banner", "squid-icp", "smb-named-pipe"}
    assert all(row["harmless"] and row["risk"] in {"none", "low"} for row in listed)
    assert "why it does no harm" in run("probe", "ls").stdout


def test_other_scanners_files_are_read(tmp_path: Path):
    found = told("probe", "read", DATA / "nmap.xml", "--as", "nmap")
    assert {row["answer"]["status"] for row in found} == {"not_affected"}
    line = {"ip": "10.0.0.7", "template-id": "t", "info": {"classification": {"cve-id": ["CVE-2021-41773"]}}}
    (tmp_path / "nuclei").write_text(json.dumps(line) + "\n")
    (row,) = told("probe", "read", tmp_path / "nuclei", "--as", "nuclei")
    assert (row["address"], row["answer"]["status"]) == ("10.0.0.7", "affected")
    (tmp_path / "nuclei").write_text("[")
    assert "nuclei: line 1: not usable" in refused_with(
        "probe", "read", tmp_path / "nuclei", "--as", "nuclei"
    )


SOURCE = """
[[network.sources]]
name = "core"
address = "127.0.0.1"
credentials = "readers.toml"
site = "osaka"

[[network.points]]
kind = "snmp"
name = "sw"
address = "127.0.0.2"
credentials = "switches.toml"
reader = "readers.toml"
sites = ["tokyo", "osaka"]
"""


def test_the_sources_that_are_read_and_where_a_machine_is(tmp_path: Path):
    """P6.2: whoever looks is told what was never read; and a machine's port, by its address."""
    (tmp_path / "forestall.toml").write_text(SOURCE)
    for name in ("readers", "switches"):
        (tmp_path / f"{name}.toml").touch(mode=0o600)
        (tmp_path / f"{name}.toml").write_text(f'community = "{name}"\n')
    here = ("--data", tmp_path)
    table = tmp_path / "table.csv"
    for port in ("1", "2"):
        table.write_text(f"switch,port,mac,vlan\ncore,{port},02:00:00:00:00:01,x10\n")
        told("find", "import", table, "--as", "forwarding", *here)
    found = told("find", "status", *here)
    assert [(each["name"], each["site"], each["good_at"]) for each in found["sources"]] == [
        ("sw", "tokyo", None),
        ("core", "osaka", None),
    ]
    assert [(each["source"], each["ways"]) for each in found["seen_by"]] == [("forwarding", 1)]
    (at,) = told("find", "where", "0200.0000.0001", *here)
    assert (at["port"], at["before"], at["source"]) == ("core 2", "core 1", "forwarding")
    assert "core" in run("find", "status", *here).stdout
    assert "core 2" in run("find", "where", at["device"], *here).stdout
    assert "There is no machine" in refused_with("find", "where", "10.9.9.9", *here)
