"""Tell what is wrong with a certificate and its key before the edge is asked to use them.

Place:  manifest.checks.doors -> [manifest.certificates]
Rule:   reads two files, bounded, and keeps nothing of the key; the library's own reader judges.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PEM_BYTES_MAX = 1 << 20
CERTIFICATE_BEGINS = "-----BEGIN CERTIFICATE-----"
CERTIFICATE_ENDS = "-----END CERTIFICATE-----"
KEY_BEGINS = "PRIVATE KEY-----"
ENCRYPTED = "ENCRYPTED"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with which of the two files, and the fix."""

    key: Literal["cert", "key"]
    message: str
    fix: str


def fault_of(cert: Path, key: Path) -> Fault | None:
    """Return why this pair cannot be served; None when it can. Both files must be readable."""
    cert_text, key_text = _text(cert), _text(key)
    if CERTIFICATE_BEGINS not in cert_text:
        fix = f"name the PEM file; from DER: openssl x509 -inform der -in {cert} -out fullchain.pem"
        return Fault("cert", f"{cert} is not a certificate in PEM form", fix)
    if KEY_BEGINS not in key_text:
        fix = f"name the PEM file; from DER: openssl pkey -inform der -in {key} -out key.pem"
        return Fault("key", f"{key} is not a private key in PEM form", fix)
    if ENCRYPTED in key_text:
        fix = f"openssl pkey -in {key} -out key.pem, and chmod 600 key.pem"
        return Fault("key", f"{key} needs a password", fix)
    return _judged(cert, key, cert_text)


def _judged(cert: Path, key: Path, cert_text: str) -> Fault | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        if "MISMATCH" in reason or reason == "NO_CERTIFICATE_ASSIGNED":
            fix = f"name the key it was made with; compare: openssl pkey -pubout -in {key}"
            return Fault("key", f"{key} does not belong to {cert}", fix)
        if _is_certificate(cert_text):
            fix = f"look at it: openssl pkey -noout -text -in {key}"
            return Fault("key", f"{key} cannot be read as a private key", fix)
        fix = f"look at it: openssl x509 -noout -text -in {cert}"
        return Fault("cert", f"{cert} cannot be read as a certificate", fix)
    return None


def _is_certificate(text: str) -> bool:
    begin = text.index(CERTIFICATE_BEGINS)
    end = text.find(CERTIFICATE_ENDS, begin)
    if end < 0:
        return False
    try:
        der = ssl.PEM_cert_to_DER_cert(text[begin : end + len(CERTIFICATE_ENDS)])
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (OSError, ValueError):
        return False
    return True


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(PEM_BYTES_MAX).decode("ascii", "replace")
    except OSError:
        return ""
