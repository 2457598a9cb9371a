"""The probes: one row each, and the one way to run them (P6.2)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from forestall.domain.advisory import VulnerabilityId
from forestall.domain.errors import InputError
from forestall.domain.scope import Scope
from forestall.probes import dns, http, icp, rdp, revision, smb, ssh, tls
from forestall.probes.answer import Answer, Conversation
from forestall.probes.talk import Result, Wanted, talk_all


class Quality(StrEnum):
    """What an answer is worth."""

    BEHAVIOUR = "behaviour"
    """The flaw itself shows, or does not."""
    VERSION = "version"
    """The running service tells its version, exact to the distribution's revision."""
    POSTURE = "posture"
    """How exposed the machine is; whether it is patched is not told."""


class Risk(StrEnum):
    """What a probe could do to the machine at worst."""

    NONE = "none"
    """An ordinary greeting, as every client sends it."""
    LOW = "low"
    """Touches the flaw itself, in the mildest way that shows it."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One check."""

    name: str
    port: int
    quality: Quality
    risk: Risk
    conversation: Conversation
    flaws: tuple[str, ...]
    """Vulnerabilities that it tells."""
    packages: tuple[str, ...]
    """Source packages whose version it reads."""
    harmless: str
    """Why it does no harm."""
    datagrams: bool = False


_B, _V, _P = Quality
_NONE, _LOW = Risk

# fmt: off
PROBES = (
    Probe("ssh-banner",      22,   _V, _NONE, ssh.banner,          (),                  ("openssh",),          "reads the greeting and hangs up"),
    Probe("ssh-strict",      22,   _B, _NONE, ssh.strict_exchange, ("CVE-2023-48795",), (),                    "greets and reads what is offered to everybody; no key is exchanged"),
    Probe("tls-versions",    443,  _B, _NONE, tls.versions,        ("CVE-2014-3566",),  (),                    "five greetings, each offering one version; nothing is encrypted"),
    Probe("tls-certificate", 443,  _P, _NONE, tls.certificate,     (),                  (),                    "one greeting; the certificate is sent to everybody"),
    Probe("tls-heartbleed",  443,  _B, _LOW,  tls.heartbleed,      ("CVE-2014-0160",),  (),                    "asks for 16 bytes too many, counts what comes and forgets it; nothing is written"),
    Probe("smb-dialects",    445,  _P, _NONE, smb.dialects,        (),                  (),                    "two negotiations; nobody logs on"),
    Probe("smb-named-pipe",  445,  _B, _LOW,  smb.named_pipe,      ("CVE-2017-0143", "CVE-2017-0144", "CVE-2017-0145"), (), "peeks at a pipe that does not exist; nothing is written or executed"),
    Probe("http-server",     80,   _V, _NONE, http.server,         (),                  ("apache2", "nginx", "lighttpd", "squid"), "one GET of the first page"),
    Probe("http-two-hosts",  80,   _B, _NONE, http.two_hosts,      ("CVE-2026-34525",), (),                    "one GET of the first page with a second Host that is nobody's"),
    Probe("http-range",      80,   _B, _NONE, http.range_digits,   ("CVE-2025-69225",), (),                    "asks for one byte of a public file"),
    Probe("squid-icp",       3130, _B, _LOW,  icp.freed_memory,    ("CVE-2026-33526",), (),                    "one datagram; the answer reads memory that was freed a moment before, nothing is written", datagrams=True),
    Probe("dns-version",     53,   _V, _NONE, dns.version,         (),                  ("bind9", "dnsmasq"),  "one question", datagrams=True),
    Probe("rdp-security",    3389, _P, _NONE, rdp.security_layer,  (),                  (),                    "one connection request; nobody logs on"),
)
# fmt: on


class Flaw(NamedTuple):
    """What is looked for: an update with the vulnerabilities it mends, or one vulnerability alone."""

    vulnerabilities: frozenset[VulnerabilityId]
    package: str = ""
    fixed: str = ""
    """The Debian version of the source package that mends it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe said of one address."""

    address: str
    probe: str
    answer: Answer
    reached: bool


def probes_for(flaw: Flaw) -> list[Probe]:
    """Find the probes that can tell a flaw, those that see its behaviour first."""
    telling = [probe for probe in PROBES if not flaw.vulnerabilities.isdisjoint(probe.flaws)]
    reading = [probe for probe in PROBES if flaw.fixed and flaw.package in probe.packages]
    return [*telling, *(probe for probe in reading if probe not in telling)]


def probe_named(name: str) -> Probe:
    """Find a probe.

    Raises:
        InputError: there is none of that name.
    """
    for probe in PROBES:
        if probe.name == name:
            return probe
    raise InputError(f"there is no probe {name[:60]!r}; there are {', '.join(each.name for each in PROBES)}")


def run(pairs: Iterable[tuple[str, Probe]], scope: Scope, flaw: Flaw | None = None) -> list[Finding]:
    """Run probes against addresses within the scope, each pair once; versions are judged against the flaw's fix."""
    wanted = [
        Wanted(probe.name, address, probe.port, probe.conversation, probe.datagrams)
        for address, probe in dict.fromkeys(pairs)
    ]
    return [_finding(result, flaw) for result in talk_all(wanted, scope)]


def _finding(result: Result, flaw: Flaw | None) -> Finding:
    answer = result.answer
    if flaw is not None and flaw.fixed and answer.package:
        answer = revision.judge(answer, flaw.package, flaw.fixed)
    return Finding(result.wanted.address, result.wanted.probe, answer, result.reached)
