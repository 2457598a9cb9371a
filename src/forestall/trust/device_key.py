"""A machine's own key, which never leaves it, and the request for a certificate that shows it has it."""

import ssl
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from forestall.domain.device import DeviceId
from forestall.domain.identity import Certificate


def new_key() -> EllipticCurvePrivateKey:
    """Make a P-256 key."""
    return generate_private_key(SECP256R1())


def written(key: EllipticCurvePrivateKey) -> bytes:
    """Write a key out, PKCS#8 in PEM, unencrypted: for a file that only its owner reads."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request_for(key: EllipticCurvePrivateKey) -> str:
    """Ask for a certificate (PKCS#10 in PEM); who the machine is, the server says."""
    nobody = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return nobody.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def pem_of(certificate: x509.Certificate) -> str:
    """Write a certificate out."""
    return certificate.public_bytes(Encoding.PEM).decode()


def fingerprint_of(pem: str) -> str:
    """Name an authority by the SHA-256 of its certificate.

    Raises:
        ValueError: it is none.
    """
    return sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def certificate_for(key: EllipticCurvePrivateKey, pem: str) -> Certificate | None:
    """Read the certificate that was given for a key; None where it is none, or another key's."""
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        return read_certificate(pem.encode()) if found.public_key() == key.public_key() else None
    except (ValueError, UnsupportedAlgorithm):
        return None


def read_certificate(pem: bytes) -> Certificate:
    """Read what a machine's certificate says.

    Raises:
        ValueError: it is none.
    """
    found = x509.load_pem_x509_certificate(pem)
    (name,) = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    begins_at, ends_at = found.not_valid_before_utc, found.not_valid_after_utc
    return Certificate(DeviceId(str(name.value)), found.serial_number, begins_at, ends_at)
