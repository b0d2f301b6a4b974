"""A certificate that cannot be served is refused with its line before anything starts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mergepoint.core.errors import ManifestRefused

MANIFEST = """\
[site]
listen = "https://127.0.0.1:8443"
[site.tls]
certificates = [{ cert = "cert.pem", key = "key.pem" }]
[apps.old]
redirect = "https://example.org/"
"""


def of_another(directory: Path) -> None:
    argv = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", directory / "key.pem"]
    subprocess.run(argv, check=True, capture_output=True, timeout=30)


def encrypted(directory: Path) -> None:
    argv = ["openssl", "pkey", "-in", "key.pem", "-out", "locked.pem", "-aes256",
            "-passout", "pass:secret"]  # fmt: skip
    subprocess.run(argv, check=True, capture_output=True, timeout=30, cwd=directory)
    (directory / "locked.pem").replace(directory / "key.pem")


def torn(directory: Path, name: str) -> None:
    text = (directory / name).read_text()
    (directory / name).write_text(text[:60] + "\n" + text.splitlines()[-1] + "\n")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no key": (lambda d: (d / "key.pem").unlink(), "key: there is no file"),
    "a text": (lambda d: (d / "cert.pem").write_text("hello"), "is not a certificate in PEM form"),
    "no private key": (
        lambda d: (d / "key.pem").write_text((d / "cert.pem").read_text()),
        "is not a private key in PEM form",
    ),
    "another's key": (of_another, "key.pem does not belong to"),
    "a password": (encrypted, "key.pem needs a password; openssl pkey -in"),
    "a torn key": (lambda d: torn(d, "key.pem"), "cannot be read as a private key"),
    "a torn certificate": (lambda d: torn(d, "cert.pem"), "cannot be read as a certificate"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_pair_that_cannot_be_served_is_refused_with_its_line(
    load, certify, tmp_path: Path, name: str
) -> None:
    spoil, words = FAULTS[name]
    certify(tmp_path)
    load(MANIFEST)
    spoil(tmp_path)

    with pytest.raises(ManifestRefused) as refused:
        load(MANIFEST)

    assert words in refused.value.message
    assert "mergepoint.toml:4: site.tls.certificates[0]." in refused.value.message
