"""The authority for machines: certificates say who a machine is, and can do nothing else.

It is apart from the keys of orders: whoever steals it can make up machines that report, and nobody that is obeyed.
"""

import ipaddress
import os
import shutil
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from forestall.domain.errors import InputError
from forestall.domain.identity import Certificate
from forestall.durable import settle, write_whole
from forestall.trust.device_key import fingerprint_of, new_key, pem_of, written

CERTIFICATE = "ca.pem"
KEY = "key.pem"
_SERVER = "server.pem"
_BACK = timedelta(days=2 * 365)
_AHEAD = timedelta(days=20 * 365)
"""Machines with a wrong clock must reach the server: nobody else tells them the time."""
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which `ssl.VerifyFlags` does not name."""


@dataclass(frozen=True, slots=True)
class DeviceCa:
    """The authority, opened."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """What machines trust as their server's authority."""
        return pem_of(self.certificate)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate; every enrolment token carries it."""
        return fingerprint_of(self.pem)

    def issue(self, key: EllipticCurvePublicKey, named: Certificate) -> str:
        """Sign what a certificate says for a machine's key."""
        builder = self._builder(named.device, key, named.begins_at, named.ends_at, named.serial)
        return pem_of(self._signed(builder, ExtendedKeyUsageOID.CLIENT_AUTH))

    def context(self, folder: Path, names: Iterable[str]) -> ssl.SSLContext:
        """Make the server's side of TLS 1.3: machines are asked for their certificate, and may come without one.

        The server's own certificate is made anew each time, for these names, and kept in `folder` only for OpenSSL to
        read. The end of a machine's certificate is not judged here: who comes late may still renew.
        """
        key, own = new_key(), self.certificate
        name = x509.SubjectAlternativeName([_general(each) for each in names])
        builder = self._builder(
            "forestall", key.public_key(), own.not_valid_before_utc, own.not_valid_after_utc
        )
        made = self._signed(builder.add_extension(name, critical=False), ExtendedKeyUsageOID.SERVER_AUTH)
        write_whole(folder / _SERVER, pem_of(made).encode() + written(key), 0o600)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(folder / _SERVER)
        context.load_verify_locations(cadata=self.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.num_tickets = (
            0  # nobody comes back by a ticket; each would cost memory for as long as a stream lasts
        )
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        return context

    def _builder(
        self,
        name: str,
        key: EllipticCurvePublicKey,
        begin: datetime,
        end: datetime,
        serial: int = 0,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
        )

    def _signed(self, builder: x509.CertificateBuilder, use: x509.ObjectIdentifier) -> x509.Certificate:
        named = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)
        return (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=True)
            .add_extension(authority, critical=False)
            .sign(self.key, hashes.SHA256())
        )


def key_of(request: str) -> EllipticCurvePublicKey | None:
    """Take the key out of a request (PKCS#10 in PEM); None where it is none, shows no key, or not a P-256 key.

    Nothing else of it counts: who the machine is, the server says.
    """
    try:
        asked = x509.load_pem_x509_csr(request.encode())
        key = asked.public_key()
        shown = asked.is_signature_valid
    except Exception:  # noqa: BLE001 - strangers' bytes; the library names no tree of what it may raise
        return None
    if shown and isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    return None


def open_ca(folder: Path, now: datetime) -> DeviceCa:
    """Open the authority in a folder; where there is none yet, it is made.

    Raises:
        InputError: its files cannot be used, or others than the server may read the key.
    """
    if not folder.exists():
        _make(folder, now)
    try:
        if (folder / KEY).stat().st_mode & 0o077:
            raise InputError(f"{folder / KEY}: others can read the key: chmod 600 it, and ask who has")
        key = load_pem_private_key((folder / KEY).read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except OSError as error:
        raise InputError(f"{folder}: cannot read the devices' authority: {error.strerror}") from None
    except (ValueError, TypeError, x509.ExtensionNotFound):
        raise InputError(
            f"{folder}: {CERTIFICATE} or {KEY} is not an authority's unencrypted PEM file"
        ) from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise InputError(f"{folder}: {KEY} is not the P-256 key of {CERTIFICATE}")
    return DeviceCa(certificate, key)


def _make(folder: Path, now: datetime) -> None:
    key = new_key()
    name = _named("Forestall devices")
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACK)
        .not_valid_after(now + _AHEAD)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    half_made = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(parents=True, mode=0o700)
    write_whole(half_made / KEY, written(key), 0o600)
    write_whole(half_made / CERTIFICATE, pem_of(made).encode(), 0o600)
    try:
        half_made.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(half_made)
    settle(folder.parent)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
