"""The commands of docs/tutorial.md run, in order, and answer what the page shows.

Place:  tests/cli
Rule:   the page is the test: numbers and spacing are free, `...` is anything, other words count.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mergepoint_testkit.edge import edge_binary
from mergepoint_testkit.peers import free_port

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorial.md"
COMMAND_S_MAX = 90
READY_S_MAX = 60.0
SERVING = re.compile(r"mergepoint (run|start)\Z")
FENCE = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass
class Step:
    """A command with the lines the page shows below it, or a file to write."""

    command: str
    shown: list[str] = field(default_factory=list)
    file: str = ""


def steps(page: str) -> Iterator[Step]:
    for block in FENCE.finditer(page):
        if block["file"]:
            yield Step(block["body"], file=block["file"])
        elif block["kind"] == "console":
            step = None
            for line in block["body"].splitlines():
                if line.startswith("$ "):
                    if step is not None:
                        yield step
                    step = Step(line[2:])
                elif step is not None and line.strip():
                    step.shown.append(line)
            if step is not None:
                yield step


def plain(line: str) -> str:
    """Return a line with every number 0 and every gap one space."""
    return " ".join(re.sub(r"\d+(?:\.\d+)*(?: [KMG]?i?B\b)?", "0", line).split())


def missing(shown: list[str], printed: str) -> str:
    """Return the first shown line that was not printed, in order; empty when all were."""
    lines = iter([plain(line) for line in printed.splitlines()])
    for line in shown:
        pattern = re.escape(plain(line)).replace(re.escape("..."), ".*")
        if plain(line) != "..." and not any(re.fullmatch(pattern, found) for found in lines):
            return line
    return ""


class Terminals:
    """Runs the page's commands: one shell, and a second terminal for what serves."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = str(free_port())
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MERGEPOINT_")}
        self.environment = {
            **kept,
            "PATH": binaries,
            "PORT": self.port,
            "NO_COLOR": "1",
            "MERGEPOINT_EDGE_BINARY": str(edge_binary()),
        }
        self.code = 0
        self.serving: subprocess.Popen[bytes] | None = None

    def run(self, step: Step) -> None:
        if step.file:
            path = self.directory / step.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.command)
        elif step.command.startswith("cd "):
            self.directory = self.directory / step.command[3:]
        elif SERVING.match(step.command):
            self.serve(step)
        else:
            printed = self.shell(step.command)
            lost = missing(step.shown, printed)
            assert not lost, f"$ {step.command}\nthe page shows: {lost}\nbut it said:\n{printed}"

    def shell(self, command: str) -> str:
        command = command.replace(":8000", f":{self.port}")
        done = subprocess.run(
            ["bash", "-c", f"(exit {self.code}); {command}"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        self.code = done.returncode
        return done.stdout

    def serve(self, step: Step) -> None:
        if self.serving is not None:
            self.serving.wait(COMMAND_S_MAX)
        log = self.directory / "terminal.log"
        with log.open("wb") as output:
            self.serving = subprocess.Popen(
                step.command.split(),
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + READY_S_MAX
        while lost := missing(step.shown, log.read_text()):
            assert time.monotonic() < deadline, f"never said: {lost}\n{log.read_text()}"
            time.sleep(0.1)
        while "site_ready" not in log.read_text() and step.command.endswith("start"):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture
def terminals() -> Iterator[Terminals]:
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        found = Terminals(Path(name))
        yield found
        if found.serving is not None and found.serving.poll() is None:
            found.serving.terminate()
            found.serving.wait(40)


@pytest.mark.slow
def test_every_command_of_the_tutorial_answers_what_the_page_shows(terminals: Terminals) -> None:
    for step in steps(PAGE.read_text()):
        terminals.run(step)


def test_a_page_that_shows_something_else_is_noticed() -> None:
    printed = "demo   pid 12   up 3 s\nAPP  STATE\nhello  ready\n"

    assert missing(["demo pid 7 up 1.5 s", "hello ready"], printed) == ""
    assert missing(["hello failed"], printed) == "hello failed"
    assert missing(["hello ready", "APP STATE"], printed) == "APP STATE"
    assert missing(["...", "hel... ready"], printed) == ""
