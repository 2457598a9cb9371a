"""nmap as a second engine: a few of its scripts that are both `vuln` and `safe`, read from its XML."""

import contextlib
import shutil
import subprocess
from typing import NamedTuple
from xml.etree import ElementTree as ET

from forestall.domain.address import read_address
from forestall.domain.errors import InputError
from forestall.domain.evidence import Status
from forestall.domain.scope import Scope
from forestall.probes.answer import Answer, printable, unknown
from forestall.probes.probe import Finding, Flaw

MOST_BYTES = 20_000_000
RUN_SECONDS = 120
_SAID = {
    "NOT VULNERABLE": Status.NOT_AFFECTED,
    "VULNERABLE": Status.AFFECTED,
    "VULNERABLE (Exploitable)": Status.AFFECTED,
}
"""What nmap's vulnerability library writes (vulns.lua); anything else is doubt, and doubt is unknown."""


class Script(NamedTuple):
    """One of nmap's scripts."""

    name: str
    port: int
    flaws: tuple[str, ...]


SCRIPTS = (
    Script("ssl-heartbleed", 443, ("CVE-2014-0160",)),
    Script("ssl-poodle", 443, ("CVE-2014-3566",)),
    Script("ssl-ccs-injection", 443, ("CVE-2014-0224",)),
    Script("tls-ticketbleed", 443, ("CVE-2016-9244",)),
    Script("rsa-vuln-roca", 443, ("CVE-2017-15361",)),
    Script("smb-vuln-ms17-010", 445, ("CVE-2017-0143", "CVE-2017-0144", "CVE-2017-0145")),
    Script("http-vuln-cve2015-1635", 80, ("CVE-2015-1635",)),
    Script("http-vuln-cve2017-1001000", 80, ("CVE-2017-1001000",)),
)


def scripts_for(flaw: Flaw) -> list[Script]:
    """Find the scripts that can tell a flaw."""
    return [script for script in SCRIPTS if not flaw.vulnerabilities.isdisjoint(script.flaws)]


def run(address: str, script: Script, scope: Scope) -> list[Finding]:
    """Run one script against one address within the scope.

    Raises:
        InputError: nmap is not installed, or failed.
    """
    target = read_address(address)
    if target is None or scope.area_of(target) is None:
        answer = unknown(f"{address[:60]} is in no scope: nothing was sent")
        return [Finding(address, f"nmap {script.name}", answer, reached=False)]
    nmap = shutil.which("nmap")
    if nmap is None:
        raise InputError("nmap is not installed here; install it, or leave out --engine nmap")
    command = [
        nmap, "-n", "-Pn", "-sT", "--max-retries", "1", "--host-timeout", "60s", "-p", str(script.port),
        "--script", script.name, "--script-args", "vulns.showall", "--script-timeout", "30s", "-oX", "-",
        *(["-6"] if target.version == 6 else []), str(target),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, timeout=RUN_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"nmap did not end within {RUN_SECONDS} s") from None
    if done.returncode:
        raise InputError(f"nmap failed: {printable(done.stderr.strip())}")
    found = [each for each in read(done.stdout) if each.probe == f"nmap {script.name}"]
    nothing = unknown(f"nmap's {script.name} says nothing of this machine")
    return found or [Finding(address, f"nmap {script.name}", nothing, reached=False)]


def read(data: bytes) -> list[Finding]:
    """Read nmap's XML (`-oX`), best made with `--script-args vulns.showall`.

    Raises:
        InputError: it is too large, defines entities, or is no such XML.
    """
    if len(data) > MOST_BYTES:
        raise InputError(f"more than {MOST_BYTES // 1_000_000} MB of XML")
    if b"<!ENTITY" in data:
        raise InputError("the XML defines entities; nmap's never does")
    try:
        root = ET.fromstring(data)  # noqa: S314 - bounded, and without entities there is nothing to expand
    except ET.ParseError as error:
        raise InputError(f"not usable as XML: {error}") from None
    if root.tag != "nmaprun":
        raise InputError("the XML is not nmap's")
    return [finding for host in root.iter("host") for finding in _of_host(host)]


def _of_host(host: ET.Element) -> list[Finding]:
    addresses = [each.get("addr", "") for each in host.iter("address") if each.get("addrtype") != "mac"]
    address = next((str(found) for each in addresses if (found := read_address(each))), "")
    if not address:
        return []
    known = {script.name for script in SCRIPTS}
    scripts = [each for each in host.iter("script") if each.get("id") in known]
    return [Finding(address, f"nmap {each.get('id')}", _answer(each), reached=True) for each in scripts]


def _answer(script: ET.Element) -> Answer:
    states = [(each.text or "").strip() for each in script.iter("elem") if each.get("key") == "state"]
    found = {_SAID.get(state, Status.UNKNOWN) for state in states}
    proof = printable((script.get("output") or "").strip().encode())
    with contextlib.suppress(KeyError):
        found.remove(Status.UNKNOWN)
    if len(found) == 1:
        return Answer(found.pop(), f"nmap says: {', '.join(sorted(set(states)))}"[:120], proof)
    return Answer(Status.UNKNOWN, "nmap cannot tell", proof)
