"""Virtual environments made from hashed requirements, built once and kept.

Place:  tests/host, tests/apps -> [environments] -> .tools/venvs
Rule:   an environment is named by the digest of its requirements: never changed, only made.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "requirements" / "apps"
VENVS = ROOT / ".tools" / "venvs"
INSTALL_S_MAX = 600.0


class EnvironmentFailed(Exception):
    """The environment could not be made; the message ends with what pip said."""


def environment(name: str) -> Path:
    """Return the directory of the environment for ``requirements/apps/<name>.txt``.

    Makes it when it is not there; two test processes at once make it once. Raises
    `EnvironmentFailed`.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    version = "py{}{}".format(*sys.version_info[:2])
    digest = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:12]
    target = VENVS / f"{name}-{digest}"
    VENVS.mkdir(parents=True, exist_ok=True)
    with (VENVS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "complete").exists():
            _make(target, requirements)
    return target


def _make(target: Path, requirements: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(target)])
    pip = [sys.executable, "-m", "pip", "--python", str(target / "bin" / "python")]
    quiet = ["--disable-pip-version-check", "--quiet"]
    _run([*pip, "install", *quiet, "--require-hashes", "-r", str(requirements)])
    (target / "complete").touch()


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False
    )
    if done.returncode != 0:
        raise EnvironmentFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"[-4000:])
