"""nmap's XML and nuclei's JSON lines, as they come and as nobody should send them (P6.2)."""

import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.domain.evidence import Status
from forestall.domain.scope import Area, Scope
from forestall.probes import nmap, nuclei
from forestall.probes.probe import Flaw

REAL = (Path(__file__).parents[1] / "data/probes/nmap.xml").read_bytes()
SCOPE = Scope((Area(SiteId("here"), (ip_network("127.0.0.1/32"),)),))


def test_what_nmap_itself_wrote():
    """Of the machine that tests/data/probes/recorded.jsonl is of; OpenSSL, GnuTLS and Samba without these flaws."""
    found = {finding.probe: finding for finding in nmap.read(REAL)}
    assert {probe: finding.answer.status for probe, finding in found.items()} == {
        "nmap ssl-heartbleed": Status.NOT_AFFECTED,
        "nmap ssl-poodle": Status.NOT_AFFECTED,
        "nmap smb-vuln-ms17-010": Status.NOT_AFFECTED,
    }
    assert {finding.address for finding in found.values()} == {"127.0.0.1"}


def xml(state: str, script: str = "ssl-heartbleed", address: str = "10.0.0.1") -> bytes:
    return (
        f'<nmaprun><host><address addr="02:00:00:00:00:01" addrtype="mac"/><address addr="{address}" '
        f'addrtype="ipv4"/><ports><port portid="443"><script id="{script}" output="x\x7f[2J">'
        f'<table key="CVE"><elem key="state">{state}</elem></table></script></port></ports></host></nmaprun>'
    ).encode()


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("VULNERABLE", Status.AFFECTED),
        ("VULNERABLE (Exploitable)", Status.AFFECTED),
        ("NOT VULNERABLE", Status.NOT_AFFECTED),
        ("LIKELY VULNERABLE", Status.UNKNOWN),
        ("UNKNOWN (unable to test)", Status.UNKNOWN),
        ("", Status.UNKNOWN),
    ],
)
def test_the_states_of_nmap_s_vulnerability_library(state: str, status: Status):
    (finding,) = nmap.read(xml(state))
    assert (finding.address, finding.answer.status) == ("10.0.0.1", status)
    assert finding.answer.proof.isprintable()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(
            b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><nmaprun>&b;</nmaprun>',
            "defines entities",
            id="a billion laughs",
        ),
        pytest.param(
            b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><nmaprun>&a;</nmaprun>',
            "defines entities",
            id="a file of ours",
        ),
        pytest.param(b"<nmaprun><host>", "not usable as XML", id="cut off"),
        pytest.param(b"<html/>", "not nmap's", id="something else"),
        pytest.param(b" " * (nmap.MOST_BYTES + 1), "more than 20 MB", id="too much"),
    ],
)
def test_xml_that_is_not_read(data: bytes, why: str):
    with pytest.raises(InputError, match=why):
        nmap.read(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(xml("VULNERABLE", script="http-title"), id="a script that is none of ours"),
        pytest.param(xml("VULNERABLE", address="example.com"), id="an address that is none"),
    ],
)
def test_xml_that_tells_nothing(data: bytes):
    assert nmap.read(data) == []


def test_scripts_of_a_flaw():
    assert [s.name for s in nmap.scripts_for(Flaw(frozenset({"CVE-2017-0144"})))] == ["smb-vuln-ms17-010"]


def test_an_argument_of_nmap_s_is_no_address():
    (finding,) = nmap.run("-iL/etc/passwd", nmap.SCRIPTS[0], SCOPE)
    assert "is in no scope" in finding.answer.detail


def test_a_machine_without_nmap_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="nmap is not installed"):
        nmap.run("127.0.0.1", nmap.SCRIPTS[0], SCOPE)


ROW = {
    "template-id": "CVE-2021-41773",
    "info": {"severity": "high", "classification": {"cve-id": ["cve-2021-41773"], "cvss-score": 7.5}},
    "type": "http",
    "host": "https://10.0.0.7:8443",
    "matched-at": "https://10.0.0.7:8443/cgi-bin/\x1b[2J",
    "ip": "10.0.0.7",
    "matcher-status": True,
}


@pytest.mark.parametrize(
    ("change", "address"),
    [
        pytest.param({}, "10.0.0.7", id="as nuclei writes it"),
        pytest.param({"ip": "", "host": "10.0.0.8:443"}, "10.0.0.8", id="a literal host only"),
        pytest.param({"ip": "", "host": "www.example.com"}, None, id="a name is not looked up"),
        pytest.param({"matcher-status": False}, None, id="a matcher that failed"),
        pytest.param({"info": {"classification": {"cve-id": None}}}, None, id="no vulnerability in it"),
        pytest.param({"info": "x"}, None, id="no information in it"),
        pytest.param({"ip": "", "host": "http://[::1"}, None, id="half an address"),
    ],
)
def test_a_line_of_nuclei(change: dict[str, object], address: str | None):
    told = nuclei.read(json.dumps(ROW | change).encode() + b"\n\n")
    assert [each.finding.address for each in told] == ([address] if address else [])
    for each in told:
        assert (each.flaws, each.finding.answer.status) == (("CVE-2021-41773",), Status.AFFECTED)
        assert each.finding.answer.proof.isprintable()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"{}\n{", "line 2: not usable as JSON", id="cut off"),
        pytest.param(b"[1]", "line 1: expected a JSON object", id="no object"),
        pytest.param(b"[" * 200_000, "line 1: not usable as JSON", id="endless nesting"),
        pytest.param(b"x" * 1_000_001, "line 1: longer than", id="a line without end"),
    ],
)
def test_lines_that_are_not_read(data: bytes, why: str):
    with pytest.raises(InputError, match=why):
        nuclei.read(data)
