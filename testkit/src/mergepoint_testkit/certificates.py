"""Certificates for one test, trusted by nobody else.

Place:  tests of TLS -> [certificates] -> PEM files
Rule:   self-signed, good for ninety days from yesterday.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def issue(directory: Path, file: str, *names: str, common: str) -> dict[str, str]:
    """Write a self-signed certificate and its key; return their places."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + 90 * DAY)
        .add_extension(alternatives, critical=False)
        .sign(key, hashes.SHA256())
    )
    places = {"cert": str(directory / f"{file}.pem"), "key": str(directory / f"{file}.key")}
    Path(places["cert"]).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    Path(places["key"]).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return places
