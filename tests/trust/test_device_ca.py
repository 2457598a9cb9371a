"""The devices' authority: what it signs, what it refuses, and what TLS makes of both."""

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certificates import REQUEST, authority, certificate
from domain.made import DAY
from forestall.agent.client import pinned
from forestall.clock import utc_now
from forestall.domain.errors import InputError
from forestall.domain.identity import Certificate
from forestall.trust.device_ca import CERTIFICATE, KEY, DeviceCa, key_of, open_ca
from forestall.trust.device_key import (
    certificate_for,
    fingerprint_of,
    new_key,
    read_certificate,
    request_for,
    written,
)


def request_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, name: str = "root") -> str:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return asked.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param("", id="nothing"),
        pytest.param(
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", id="no DER"
        ),
        pytest.param(authority().pem, id="a certificate"),
        pytest.param(REQUEST.replace("A", "B", 5), id="a changed one"),
        pytest.param(request_of(rsa.generate_private_key(65537, 2048)), id="another kind of key"),
        pytest.param(request_of(ec.generate_private_key(ec.SECP384R1())), id="another curve"),
        pytest.param("\ud800", id="half of a surrogate pair"),
    ],
)
def test_what_shows_no_key_gets_no_certificate(request_: str):
    assert key_of(request_) is None


def test_a_request_for_a_key_that_its_sender_has_not_is_refused():
    """The signature is another key's."""
    mine, theirs = (x509.load_pem_x509_csr(request_for(new_key()).encode()) for _ in range(2))
    der = mine.public_bytes(Encoding.DER)
    forged = (
        der[: -len(theirs.signature)] + theirs.signature
        if len(mine.signature) == len(theirs.signature)
        else b""
    )
    pem = ssl.DER_cert_to_PEM_cert(forged).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    assert key_of(pem) is None


def test_of_a_request_only_the_key_counts():
    """R22: the server says who a machine is."""
    key = new_key()
    named = certificate("m-1", utc_now())
    asked = key_of(request_of(key, "m-2"))
    assert asked is not None
    given = authority().issue(asked, named)
    assert certificate_for(key, given) == named == read_certificate(given.encode())
    assert certificate_for(new_key(), given) is None
    assert certificate_for(key, "nothing") is None


def test_the_authority_is_made_once_and_for_its_owner_only(tmp_path: Path):
    folder = tmp_path / "device-ca"
    first = open_ca(folder, utc_now())
    assert open_ca(folder, utc_now()).fingerprint == first.fingerprint == fingerprint_of(first.pem)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert [each.name for each in tmp_path.iterdir()] == ["device-ca"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(lambda f: (f / KEY).chmod(0o640), "others can read the key", id="open to others"),
        pytest.param(lambda f: (f / KEY).unlink(), "cannot read", id="no key"),
        pytest.param(lambda f: (f / CERTIFICATE).write_text("x"), "not an authority's", id="no certificate"),
        pytest.param(
            lambda f: (f / KEY).write_bytes(written(new_key())), "is not the P-256 key of", id="another key"
        ),
    ],
)
def test_an_authority_that_cannot_be_used_is_said(tmp_path: Path, spoil, says: str):
    open_ca(tmp_path / "ca", utc_now())
    spoil(tmp_path / "ca")
    with pytest.raises(InputError, match=says):
        open_ca(tmp_path / "ca", utc_now())


def spoken(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "server.example") -> object:
    """Shake hands; what the server learnt of its caller, or why there was no talk."""
    ours, theirs = socket.socketpair()
    learnt: list[object] = []

    def serve() -> None:
        try:
            with server.wrap_socket(ours, server_side=True) as line:
                learnt.append(line.getpeercert())
                line.sendall(b"heard")
        except OSError as error:
            learnt.append(type(error))
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(theirs, server_hostname=name) as line:
            heard = line.recv(10)
    except OSError as error:
        return type(error)
    finally:
        theirs.close()
        thread.join()
    return learnt[0] if heard == b"heard" else "nothing"


def file_for(folder: Path, ca: DeviceCa, named: Certificate) -> Path:
    key = new_key()
    asked = key_of(request_for(key))
    assert asked is not None
    (folder / "own.pem").write_bytes(ca.issue(asked, named).encode() + written(key))
    return folder / "own.pem"


@pytest.fixture
def server(tmp_path: Path) -> ssl.SSLContext:
    return authority().context(tmp_path, ["server.example", "127.0.0.1"])


@pytest.mark.parametrize("age", [0, 15, 103, 400])
def test_a_machine_is_known_by_its_certificate_however_old(tmp_path: Path, server: ssl.SSLContext, age: int):
    """Whether one that has ended may renew it is not for TLS to say."""
    named = certificate("m-1", utc_now() - timedelta(days=age))
    learnt = spoken(server, pinned(authority().pem, file_for(tmp_path, authority(), named)))
    assert learnt["subject"] == ((("commonName", "m-1"),),)  # type: ignore[index]  # else the test fails
    assert int(learnt["serialNumber"], 16) == named.serial  # type: ignore[index]  # the same


def test_who_has_none_is_let_in_as_nobody(server: ssl.SSLContext):
    assert not spoken(server, pinned(authority().pem))


def test_a_certificate_of_another_authority_ends_the_talk(tmp_path: Path, server: ssl.SSLContext):
    other = open_ca(tmp_path / "other", utc_now())
    own = file_for(tmp_path, other, certificate("m-1", utc_now()))
    assert spoken(server, pinned(authority().pem, own)) in {
        ssl.SSLError,
        ConnectionResetError,
        BrokenPipeError,
    }


def test_a_server_of_another_authority_or_name_is_not_believed(tmp_path: Path, server: ssl.SSLContext):
    other = open_ca(tmp_path / "other", utc_now())
    assert spoken(server, pinned(other.pem)) is ssl.SSLCertVerificationError
    assert spoken(server, pinned(authority().pem), "elsewhere.example") is ssl.SSLCertVerificationError


def test_a_machine_cannot_pose_as_the_server(tmp_path: Path):
    """Its certificate is for clients; even where its name is the server's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file_for(tmp_path, authority(), certificate("server.example", utc_now())))
    assert spoken(context, pinned(authority().pem)) is ssl.SSLCertVerificationError


def test_a_company_may_bring_an_authority_below_its_own(tmp_path: Path):
    """Trusted as it is, without the one above."""
    above, key, now = open_ca(tmp_path / "above", utc_now()), new_key(), utc_now()
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Devices")]))
        .issuer_name(above.certificate.subject)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(b"of the company"), critical=False)
        .sign(above.key, hashes.SHA256())
    )
    folder = tmp_path / "device-ca"
    folder.mkdir()
    (folder / KEY).touch(mode=0o600)
    (folder / KEY).write_bytes(written(key))
    (folder / CERTIFICATE).write_bytes(made.public_bytes(Encoding.PEM))
    ours = open_ca(folder, now)
    own = file_for(tmp_path, ours, certificate("m-1", now))
    learnt = spoken(ours.context(folder, ["server.example"]), pinned(ours.pem, own))
    assert learnt["subject"] == ((("commonName", "m-1"),),)  # type: ignore[index]  # else the test fails
