"""Loading manifests from text, for every test of this directory.

Place:  tests/manifest
Rule:   a real file, loaded through the public door.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mergepoint.manifest.load import load_site
from mergepoint.manifest.site import App, Site

Load = Callable[..., Site]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def from_text(
        text: str,
        *,
        profile: str = "development",
        environ: Mapping[str, str] | None = None,
        **flags: Any,
    ) -> Site:
        file = tmp_path / "mergepoint.toml"
        file.write_text(text)
        overrides = {name.replace("__", "."): value for name, value in flags.items()}
        return load_site(file, profile=profile, environ=environ or {}, overrides=overrides)

    return from_text


@pytest.fixture
def one(load: Load) -> Callable[..., App]:
    def from_keys(keys: str, **rest: Any) -> App:
        return load(f"[apps.it]\n{keys}\n", **rest).apps["it"]

    return from_keys


@pytest.fixture
def certify() -> Callable[[Path], None]:
    """Write cert.pem and key.pem, which belong together, into a directory."""

    def write(directory: Path) -> None:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        files = ["-keyout", directory / "key.pem", "-out", directory / "cert.pem"]
        argv = ["openssl", "req", "-x509", "-nodes", *curve, "-subj", "/CN=localhost", *files]
        subprocess.run(argv, check=True, capture_output=True, timeout=30)

    return write
