"""The pages about the command line are current, and the examples in them are sound.

Place:  tests/cli
Rule:   an example is taken from the page itself and given to the program it is for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mergepoint.cli.main import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = (ROOT / "docs/how-to/production.md").read_text()
NGINX = (ROOT / "docs/how-to/nginx.md").read_text()


def blocks(kind: str, page: str = PRODUCTION) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def test_the_reference_of_the_commands_is_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/cli_reference.py", "--check"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_the_reference_has_every_command() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()

    for name in (name for section in SECTIONS.values() for name in section):
        assert f"### mergepoint {name}\n" in page


def test_every_command_the_guide_names_exists(cli: Any) -> None:
    named = set(re.findall(r"\bmergepoint ([a-z]+)\b", PRODUCTION))

    assert {"start", "check", "doctor", "reload", "status", "logs"} <= named
    for name in named:
        assert cli(name, "--help").code == 0, name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    service, socket = blocks("ini")
    program = tmp_path / "mergepoint"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    service = service.replace("/srv/acme/.venv/bin/mergepoint", str(program))
    (tmp_path / "acme.service").write_text(service)
    (tmp_path / "acme.socket").write_text(socket)

    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "--recursive-errors=no",
            tmp_path / "acme.service",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        check=False,
    )

    assert "unrecognized option" not in done.stderr
    said = [line for line in done.stderr.splitlines() if "acme" in line]
    assert said == []


def test_the_manifests_of_the_guide_are_sound(cli: Any, tmp_path: Path) -> None:
    for number, text in enumerate(blocks("toml")):
        place = tmp_path / str(number)
        (place / "tickets").mkdir(parents=True)
        (place / "public").mkdir()
        (place / "tickets/tickets.py").write_text("app = None\n")
        for path in re.findall(r'"(/etc/acme/[^"]+)"', text):
            local = place / Path(path).name
            local.write_text("NAME=value\n")
            local.chmod(0o600)
            text = text.replace(path, str(local))
        (place / "mergepoint.toml").write_text(text)

        ran = cli("check", "--profile", "production", "--config", str(place), "--json")

        problems = [p for p in ran.document["problems"] if "port" not in p["message"]]
        refusals = [p for p in problems if p["severity"] != "warning" and "PEM" not in p["message"]]
        assert refusals == [], problems


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx")
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    (text,) = blocks("nginx", NGINX)
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n{text}}}\n"
    )

    done = subprocess.run(
        ["nginx", "-t", "-p", tmp_path, "-c", config],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stderr
