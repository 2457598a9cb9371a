"""From recorded bytes to a verdict: every conversation is a pure function, whatever a stranger says (P6.2, A2)."""

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.evidence import Status
from forestall.probes import dns, http, icp, rdp, revision, smb, ssh, tls
from forestall.probes.answer import LONGEST_PROOF, Answer, Ask, Ended, Heard, printable, unknown
from forestall.probes.probe import PROBES, Flaw, Quality, Risk, probe_named, probes_for

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data/probes/recorded.jsonl").read_text().splitlines()
]
BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n"


def heard(*parts: bytes | tuple[bytes, Ended]) -> tuple[Heard, ...]:
    return tuple(Heard(part) if isinstance(part, bytes) else Heard(*part) for part in parts)


def answer(conversation, *parts: bytes | tuple[bytes, Ended]) -> Answer:
    found = conversation(heard(*parts))
    assert isinstance(found, Answer), f"still asking: {found}"
    return found


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: f"{row['probe']}, {row['machine']}")
def test_what_real_services_said_is_read_again(row):
    """sshd, squid, aiohttp, BIND, dnsmasq, Samba, xrdp, OpenSSL and GnuTLS of Debian 12, unpatched and patched."""
    said = tuple(Heard(bytes.fromhex(data), Ended(ended)) for data, ended in row["heard"])
    conversation = probe_named(row["probe"]).conversation
    for length in range(len(said)):
        step = conversation(said[:length])
        assert isinstance(step, Ask), "the same questions were asked"
        if said[length].ended is Ended.COMPLETE:
            assert step.complete(said[length].data)
    found = answer(conversation, *((each.data, each.ended) for each in said))
    assert (found.status, found.package, found.version) == (row["status"], row["package"], row["version"])


def test_the_recordings_tell_patched_from_unpatched():
    told = {(row["probe"], row["machine"]): row["status"] for row in RECORDED}
    for probe in ("http-two-hosts", "http-range", "squid-icp"):
        assert (told[probe, "unpatched"], told[probe, "patched"]) == ("affected", "fixed")


def kex(exchanges: str, ciphers: str = "aes128-ctr", macs: str = "hmac-sha2-256") -> bytes:
    lists = [exchanges, "ssh-ed25519", ciphers, ciphers, macs, macs, "none", "none", "", ""]
    payload = bytes([20]) + bytes(16)
    payload += b"".join(struct.pack(">I", len(each)) + each.encode() for each in lists) + bytes(5)
    return struct.pack(">IB", len(payload) + 9, 8) + payload + bytes(8)


CHACHA = "chacha20-poly1305@openssh.com"


@pytest.mark.parametrize(
    ("packet", "status"),
    [
        pytest.param(
            kex("curve25519-sha256,kex-strict-s-v00@openssh.com", CHACHA),
            Status.FIXED,
            id="strict key exchange",
        ),
        pytest.param(kex("curve25519-sha256", CHACHA), Status.AFFECTED, id="ChaCha20 without it"),
        pytest.param(
            kex("curve25519-sha256", "aes128-cbc", "hmac-sha2-256-etm@openssh.com"),
            Status.AFFECTED,
            id="CBC with encrypt-then-MAC without it",
        ),
        pytest.param(
            kex("curve25519-sha256", "aes128-cbc"), Status.NOT_AFFECTED, id="CBC without encrypt-then-MAC"
        ),
        pytest.param(
            kex("kex-strict-c-v00@openssh.com", CHACHA),
            Status.AFFECTED,
            id="the client's word for it does not count",
        ),
        pytest.param(kex("x")[:-20], Status.UNKNOWN, id="cut off"),
        pytest.param(b"\xff" * 40, Status.UNKNOWN, id="a length of four thousand million"),
        pytest.param(
            struct.pack(">IBB", 40, 4, 20) + bytes(16) + b"\xff" * 30,
            Status.UNKNOWN,
            id="lists longer than the packet",
        ),
        pytest.param(b"", Status.UNKNOWN, id="nothing"),
    ],
)
def test_strict_key_exchange(packet: bytes, status: Status):
    assert answer(ssh.strict_exchange, BANNER, packet).status is status
    # The packet may come in one go with the banner, too.
    assert answer(ssh.strict_exchange, BANNER + packet, b"").status is status


@pytest.mark.parametrize(
    ("banner", "version", "why"),
    [
        pytest.param(BANNER, "9.2p1-2+deb12u10", "openssh 9.2p1-2+deb12u10", id="Debian's revision"),
        pytest.param(b"hello\r\n" + BANNER, "9.2p1-2+deb12u10", "openssh", id="lines before the banner"),
        pytest.param(
            b"SSH-2.0-OpenSSH_9.9\r\n",
            "",
            "is OpenSSH_9.9, not OpenSSH",
            id="a version that is no portable one",
        ),
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", "", "does not tell a Debian revision", id="no revision"),
        pytest.param(
            b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13\r\n",
            "",
            "does not tell a Debian revision",
            id="another distribution",
        ),
        pytest.param(
            b"SSH-2.0-dropbear_2022.83\r\n", "", "is dropbear_2022.83, not OpenSSH", id="another server"
        ),
        pytest.param(
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2\x1b[2J\x07\r\n", "", "is no SSH server", id="escape sequences"
        ),
        pytest.param(b"220 mail.example ESMTP\r\n", "", "is no SSH server", id="a mail server"),
        pytest.param((b"SSH-" * 8_000, Ended.FULL), "", "sent too much before a banner", id="a flood"),
    ],
)
def test_the_ssh_banner(banner, version: str, why: str):
    found = answer(ssh.banner, banner)
    assert (found.status, found.version) == (Status.UNKNOWN, version)
    assert why in found.detail


FIX = "1:9.2p1-2+deb12u7"


@pytest.mark.parametrize(
    ("told", "status"),
    [
        pytest.param("9.2p1-2+deb12u6", Status.AFFECTED, id="one revision older"),
        pytest.param("9.2p1-2", Status.AFFECTED, id="as released"),
        pytest.param("9.2p1-2+deb12u7", Status.FIXED, id="the mended one; the epoch is never told"),
        pytest.param("9.2p1-2+deb12u10", Status.FIXED, id="10 is newer than 7"),
        pytest.param("9.2p1-2+deb13u1", Status.UNKNOWN, id="marked with another release"),
        pytest.param("10.0p1-1", Status.UNKNOWN, id="another upstream version, not marked"),
        pytest.param("9.2p1", Status.UNKNOWN, id="no revision: fixes are taken back into old versions"),
        pytest.param("9.2p1-2+deb12u7\x00", Status.UNKNOWN, id="no version at all"),
        pytest.param("", Status.UNKNOWN, id="nothing"),
    ],
)
def test_a_version_that_is_told_against_the_one_that_mends(told: str, status: Status):
    read = Answer(Status.UNKNOWN, "x", "proof", "openssh", told)
    assert revision.judge(read, "openssh", FIX).status is status
    assert revision.judge(replace(read, package="dropbear"), "openssh", FIX).status is Status.UNKNOWN


def icp_answer(url: bytes, kind: int = 4, number: int = 0x4653) -> bytes:
    content = url + b"\x00"
    return struct.pack(">BBHIIII", kind, 2, 20 + len(content), number, 0, 0, 0) + content


@pytest.mark.parametrize(
    ("reply", "status", "proof"),
    [
        pytest.param(
            icp_answer(b"probe%20test"), Status.FIXED, "probe%20test", id="the question's own address"
        ),
        pytest.param(
            icp_answer(b"secret\x00of\xffothers"),
            Status.AFFECTED,
            "16 bytes that nobody sent",
            id="another's memory, which is not kept",
        ),
        pytest.param(icp_answer(b"", kind=22), Status.UNKNOWN, None, id="we are not served"),
        pytest.param(icp_answer(b"x", number=1), Status.UNKNOWN, None, id="an answer to another question"),
        pytest.param(icp_answer(b"x")[:-1], Status.UNKNOWN, None, id="cut off"),
        pytest.param(b"\x04", Status.UNKNOWN, None, id="too short"),
        pytest.param((b"", Ended.SILENT), Status.UNKNOWN, "", id="silence"),
    ],
)
def test_squid(reply, status: Status, proof: str | None):
    found = answer(icp.freed_memory, reply)
    assert found.status is status
    assert proof is None or found.proof == proof


def record(kind: int, content: bytes, version: int = 0x0303) -> bytes:
    return struct.pack(">BHH", kind, version, len(content)) + content


def hello(extensions: bytes = b"", version: int = 0x0303) -> bytes:
    body = struct.pack(">H", version) + bytes(32) + b"\x00" + b"\x00\x2f\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    return b"\x02" + len(body).to_bytes(3) + body


HEARTBEATS = struct.pack(">HHB", 15, 1, 1)
DONE = b"\x0e\x00\x00\x00"
ALERT = record(21, b"\x02\x46")
GREETING = record(22, hello(HEARTBEATS) + DONE)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        pytest.param(
            [GREETING, record(24, b"\x02\x00\x10" + b"secret" * 5) + ALERT],
            Status.AFFECTED,
            id="bytes that nobody sent",
        ),
        pytest.param([GREETING, ALERT], Status.FIXED, id="an alert"),
        pytest.param([GREETING, (b"", Ended.CLOSED)], Status.FIXED, id="hangs up"),
        pytest.param([GREETING, (b"", Ended.SILENT)], Status.UNKNOWN, id="silence proves nothing"),
        pytest.param([record(22, hello() + DONE)], Status.NOT_AFFECTED, id="no heartbeats are offered"),
        pytest.param([ALERT], Status.UNKNOWN, id="greets nobody"),
        pytest.param([b"HTTP/1.1 400 Bad Request\r\n"], Status.UNKNOWN, id="no TLS"),
    ],
)
def test_heartbleed(parts: Sequence, status: Status):
    found = answer(tls.heartbleed, *parts)
    assert found.status is status
    assert "secret" not in found.proof, "another's memory is never kept"


@pytest.mark.parametrize(
    ("first", "status", "offered"),
    [
        pytest.param(
            record(22, hello(version=0x0300)), Status.AFFECTED, "SSL 3.0, TLS 1.2", id="SSL 3.0 is taken"
        ),
        pytest.param(ALERT, Status.FIXED, "TLS 1.2", id="SSL 3.0 is refused"),
        pytest.param((b"", Ended.CLOSED), Status.FIXED, "TLS 1.2", id="hangs up on SSL 3.0"),
        pytest.param((b"", Ended.SILENT), Status.UNKNOWN, "TLS 1.2", id="no answer to SSL 3.0"),
    ],
)
def test_versions_of_tls(first, status: Status, offered: str):
    found = answer(tls.versions, first, ALERT, ALERT, record(22, hello()), ALERT)
    assert found.status is status
    assert offered in found.detail


def test_a_server_that_falls_back_is_not_said_to_offer_what_was_asked_for():
    old = record(22, hello(version=0x0301))
    assert answer(tls.versions, ALERT, old, old, old, old).proof == "TLS 1.0"


def smb1(command: int, code: int, words: bytes = b"") -> bytes:
    header = struct.pack("<4sBIBHH8sHHHHH", b"\xffSMB", command, code, 0, 0, 0, bytes(8), 0, 7, 1, 9, 1)
    message = header + bytes([len(words) // 2]) + words + b"\x00\x00"
    return struct.pack(">I", len(message)) + message


SMB2 = b"\x00\x00\x00\x48\xfeSMB" + bytes(68)
TAKEN, WELL = smb1(0x72, 0, bytes(34)), smb1(0x73, 0)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        pytest.param(
            [TAKEN, WELL, WELL, smb1(0x25, 0xC0000205)], Status.AFFECTED, id="runs out of resources"
        ),
        pytest.param([TAKEN, WELL, WELL, smb1(0x25, 0xC0000008)], Status.FIXED, id="knows no such handle"),
        pytest.param([TAKEN, WELL, WELL, smb1(0x25, 0xC0000022)], Status.FIXED, id="gives no access"),
        pytest.param([TAKEN, WELL, WELL, smb1(0x25, 0xC0000001)], Status.UNKNOWN, id="says something else"),
        pytest.param([TAKEN, WELL, WELL, (b"", Ended.CLOSED)], Status.UNKNOWN, id="hangs up at the end"),
        pytest.param([TAKEN, smb1(0x73, 0xC000006D)], Status.UNKNOWN, id="lets no guest in"),
        pytest.param([smb1(0x72, 0, b"\xff\xff")], Status.NOT_AFFECTED, id="takes none of the dialects"),
        pytest.param(
            [(b"", Ended.CLOSED), SMB2], Status.NOT_AFFECTED, id="hangs up on SMB 1 as Windows does"
        ),
        pytest.param([(b"", Ended.CLOSED)] * 2, Status.UNKNOWN, id="hangs up on everything"),
        pytest.param([(b"", Ended.SILENT)], Status.UNKNOWN, id="silence"),
        pytest.param([b"SSH-2.0-x\r\n"], Status.UNKNOWN, id="no SMB"),
    ],
)
def test_the_named_pipe_of_smb1(parts: Sequence, status: Status):
    assert answer(smb.named_pipe, *parts).status is status


def test_the_pipe_is_asked_for_in_the_server_s_own_numbers():
    peek = smb.named_pipe(heard(TAKEN, WELL, WELL))
    assert isinstance(peek, Ask)
    assert (peek.send[28:30], peek.send[32:34]) == (struct.pack("<H", 7), struct.pack("<H", 9))


def page(status: str, *lines: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode("latin-1")


AIOHTTP = "Server: Python/3.11 aiohttp/3.8.4"


@pytest.mark.parametrize(
    ("conversation", "parts", "status"),
    [
        pytest.param(http.two_hosts, [page("200 OK", AIOHTTP)], Status.AFFECTED, id="the second Host passes"),
        pytest.param(
            http.two_hosts,
            [page("404 Not Found", AIOHTTP)],
            Status.AFFECTED,
            id="it passes to a page that is not there",
        ),
        pytest.param(
            http.two_hosts, [page("400 Bad Request", AIOHTTP)], Status.FIXED, id="the second Host is refused"
        ),
        pytest.param(http.two_hosts, [page("200 OK", "Server: nginx")], Status.UNKNOWN, id="another server"),
        pytest.param(http.two_hosts, [b"\x16\x03\x01"], Status.UNKNOWN, id="no HTTP"),
        pytest.param(
            http.range_digits,
            [page("206 P", AIOHTTP), page("206 P", AIOHTTP)],
            Status.AFFECTED,
            id="odd digits are served",
        ),
        pytest.param(
            http.range_digits,
            [page("404 N"), page("206 P", AIOHTTP), page("416 R")],
            Status.FIXED,
            id="odd digits are refused; the file was the second tried",
        ),
        pytest.param(
            http.range_digits,
            [page("206 P", AIOHTTP), page("200 OK")],
            Status.UNKNOWN,
            id="odd digits are passed over",
        ),
        pytest.param(
            http.range_digits, [page("206 P", "Server: nginx")], Status.UNKNOWN, id="ranges of another server"
        ),
        pytest.param(
            http.range_digits, [page("404 N", AIOHTTP)] * 3, Status.UNKNOWN, id="no file is served in ranges"
        ),
    ],
)
def test_aiohttp(conversation, parts: Sequence[bytes], status: Status):
    assert answer(conversation, *parts).status is status


@pytest.mark.parametrize(
    ("line", "package", "version"),
    [
        ("Server: Apache/2.4.68 (Debian)", "apache2", "2.4.68"),
        ("server:nginx/1.22.1", "nginx", "1.22.1"),
        ("Server: squid/5.7", "squid", "5.7"),
        ("Server: Microsoft-IIS/10.0", "", ""),
        ("X-Server: nginx/1.22.1", "", ""),
    ],
)
def test_the_server_header(line: str, package: str, version: str):
    found = answer(http.server, page("200 OK", "Date: now", line))
    assert (found.package, found.version) == (package, version)


def named(text: bytes, *, number: int = 0x4653, flags: int = 0x8580, answers: int = 1) -> bytes:
    question = b"\x07VERSION\x04bind\x00\x00\x10\x00\x03"
    head = struct.pack(">HHHHHH", number, flags, 1, answers, 0, 0) + question
    return head + struct.pack(">HHHIHB", 0xC00C, 16, 3, 0, len(text) + 1, len(text)) + text


@pytest.mark.parametrize(
    ("reply", "version"),
    [
        pytest.param(named(b"9.18.49-1~deb12u1-Debian"), "9.18.49-1~deb12u1", id="Debian's BIND"),
        pytest.param(named(b"9.18.49"), "9.18.49", id="BIND from source"),
        pytest.param(named(b"dnsmasq-2.90"), "2.90", id="dnsmasq"),
        pytest.param(named(b"none of your business"), "", id="hides what it is"),
        pytest.param(named(b"9.18.49", number=1), "", id="another question's answer"),
        pytest.param(named(b"9.18.49", flags=0x8585), "", id="refused"),
        pytest.param(named(b"9.18.49", answers=0), "", id="no answer in it"),
        pytest.param(named(b"9.18.49")[:-30], "", id="cut off"),
        pytest.param(b"", "", id="silence"),
    ],
)
def test_the_name_server_s_version(reply: bytes, version: str):
    assert answer(dns.version, reply).version == version


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        pytest.param("030000130ed000001234000300080005000000", "network level authentication", id="NLA"),
        pytest.param("030000130ed000001234000300080001000000", "TLS is required", id="TLS"),
        pytest.param("030000130ed000001234000200080000000000", "oldest security", id="old security"),
        pytest.param("0300000b06d00000123400", "oldest security", id="a server before negotiation"),
        pytest.param("030000130ed000001234000900080000000000", "cannot be read", id="something else"),
        pytest.param("48545450", "does not speak", id="no RDP"),
    ],
)
def test_the_security_layer_of_remote_desktop(reply: str, why: str):
    found = answer(rdp.security_layer, bytes.fromhex(reply))
    assert (found.status, why in found.detail) == (Status.UNKNOWN, True)


SAID = st.tuples(
    st.binary(max_size=120)
    | st.sampled_from(
        [BANNER + kex("x"), GREETING, TAKEN, WELL, named(b"9.1"), icp_answer(b"x"), page("206 P", AIOHTTP)]
    ).flatmap(lambda whole: st.integers(0, len(whole)).map(lambda end: whole[:end] + b"\xff\x00")),
    st.sampled_from(Ended),
)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
@given(said=st.lists(SAID, max_size=8))
def test_no_bytes_break_a_probe(probe, said):
    """It never raises, always ends, and what it shows is short and printable."""
    step = probe.conversation(())
    assert isinstance(step, Ask)
    for count in range(1, len(said) + 1):
        step.complete(said[count - 1][0])
        step = probe.conversation(heard(*said[:count]))
        if isinstance(step, Answer):
            assert step.proof.isprintable()
            assert step.detail.isprintable()
            assert len(step.proof) <= LONGEST_PROOF
            assert len(step.detail) <= 1_000
            return


@given(st.binary(max_size=2_000))
def test_proofs_are_printable_ascii_and_short(data: bytes):
    shown = printable(data)
    assert shown.isascii()
    assert shown.isprintable() or not shown
    assert len(shown) <= LONGEST_PROOF
    assert "\x1b" not in unknown("x", data).proof


def test_every_row_says_why_it_does_no_harm_and_what_it_is_good_for():
    assert len({probe.name for probe in PROBES}) == len(PROBES)
    for probe in PROBES:
        assert probe.harmless
        assert (probe.quality is Quality.BEHAVIOUR) == bool(probe.flaws)
        assert (probe.quality is Quality.VERSION) == bool(probe.packages)
        assert probe.risk is Risk.NONE or probe.quality is Quality.BEHAVIOUR


def test_probes_of_an_update_those_that_see_behaviour_first():
    squid = Flaw(frozenset({"CVE-2026-33526"}), "squid", "5.7-2+deb12u6")
    assert [probe.name for probe in probes_for(squid)] == ["squid-icp", "http-server"]
    assert probes_for(Flaw(frozenset({"CVE-2014-0160"}))) == [probe_named("tls-heartbleed")]
    assert probes_for(Flaw(frozenset())) == []
