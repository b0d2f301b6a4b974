"""Make an app's own environment: `python -m venv`, its requirements, a server.

Place:  cli.adding -> [cli.environment] -> python -m venv, pip
Rule:   only when asked; what pip says is shown, and its failure ends with the command to repeat.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mergepoint.cli.output import say, short
from mergepoint.core.errors import MergepointError

SERVER = "granian"
INSTALL_S_MAX = 1800.0


class EnvironmentFailed(MergepointError):
    """The environment could not be made or filled."""

    code = "cli.environment_failed"


def make_environment(directory: Path, python: str | None, needs: Sequence[str]) -> Path:
    """Make ``directory/.venv`` unless it is there, install `needs`; return its python.

    `needs` are arguments of ``pip install``, relative to `directory`.
    """
    environment = directory / ".venv"
    interpreter = environment / "bin" / "python"
    if not interpreter.exists():
        _run(
            [_program(python), "-m", "venv", str(environment)], directory, "making the environment"
        )
    arguments = [str(interpreter), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    wanted = [*needs, SERVER]
    _run([*arguments, *wanted], directory, f"installing {' '.join(wanted)}")
    return interpreter


def _program(python: str | None) -> str:
    if python is None:
        return sys.executable
    name = f"python{python}" if python[:1].isdigit() else python
    found = shutil.which(name)
    if found is None:
        raise EnvironmentFailed(f"there is no {name} on PATH", next="ls /usr/bin/python3*")
    return found


def _run(command: list[str], directory: Path, doing: str) -> None:
    say(f"  {doing} ({short(directory)})")
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            stdout=sys.stderr.fileno(),
            stderr=sys.stderr.fileno(),
            timeout=INSTALL_S_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailed(f"{doing} failed: {error}", next=" ".join(command)) from error
    if done.returncode != 0:
        raise EnvironmentFailed(
            f"{doing} failed with exit code {done.returncode}; pip's reason is above",
            next=f"cd {directory} && {' '.join(command)}",
        )
