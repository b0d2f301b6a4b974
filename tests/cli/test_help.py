"""Help is complete, quick, and imports nothing it does not need.

Place:  tests/cli
Rule:   times are measured with slack; what really keeps help quick is the count of modules.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mergepoint.cli.main import SECTIONS, Commands, command

COMMANDS = [name for section in SECTIONS.values() for name in section]
HEAVY = {"pydantic", "rich", "anyio", "asyncio", "psutil", "watchfiles", "mergepoint.manifest"}
MODULES_MAX = 220
SLACK_S = 0.4
"""Above a bare interpreter's own time, on a machine that does other things too; alone 0.06 s."""


def loaded_after(*arguments: str, environment: dict[str, str] | None = None) -> set[str]:
    script = (
        "import sys, json\n"
        "from mergepoint.cli.main import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        "sys.stderr.write('MODULES' + json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        timeout=30,
        check=True,
    )
    return set(json.loads(done.stderr.partition("MODULES")[2]))


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help"), ()])
def test_help_and_version_import_only_click(arguments: tuple[str, ...]) -> None:
    loaded = loaded_after(*arguments)

    assert not HEAVY & loaded
    assert len(loaded) < MODULES_MAX


@pytest.mark.parametrize("words", ["mergepoint ", "mergepoint st", "mergepoint logs "])
def test_completion_imports_nothing_heavy(words: str, tmp_path: Path) -> None:
    environment = {
        "_MERGEPOINT_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    loaded = loaded_after(environment=environment)

    assert not HEAVY & loaded


def test_help_is_there_before_anybody_waits() -> None:
    def best_s(*arguments: str) -> float:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            times.append(time.perf_counter() - started)
        return min(times)

    bare = best_s("-c", "pass")

    assert best_s("-m", "mergepoint", "--help") - bare < SLACK_S


def test_every_command_of_the_table_exists_and_says_what_the_table_says(cli: Any) -> None:
    group = command
    assert isinstance(group, Commands)
    for name in COMMANDS:
        found = group.get_command(None, name)  # type: ignore[arg-type]
        assert found is not None
        assert found.help, name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_the_common_options(cli: Any, name: str) -> None:
    shown = cli(name, "--help")

    assert shown.code == 0
    assert "--config FILE" in shown.out
    assert "--quiet" in shown.out


def test_every_module_of_commands_is_in_the_table() -> None:
    directory = Path(command.__module__ and sys.modules[command.__module__].__file__).parent
    modules = {p.stem for p in (directory / "commands").glob("[a-z]*.py")}

    assert modules == set(COMMANDS)


def test_root_help_reads_as_agreed(cli: Any, golden: Any) -> None:
    golden("help", cli("--help").out)


@pytest.mark.parametrize("arguments", [(), ("config",)])
def test_no_command_at_all_is_answered_with_help(cli: Any, arguments: tuple[str, ...]) -> None:
    ran = cli(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Usage: mergepoint")
    assert "error:" not in ran.err


def test_a_wrong_command_is_answered_with_the_near_one(cli: Any) -> None:
    ran = cli("stauts")

    assert ran.code == 2
    assert ran.out == ""
    assert "'status'" in ran.err
    assert "next: mergepoint --help" in ran.err


def test_a_wrong_option_is_answered_with_the_near_one(cli: Any) -> None:
    ran = cli("status", "--jsno")

    assert ran.code == 2
    assert "--json" in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(cli: Any, shell: str) -> None:
    ran = cli("completion", shell)

    assert ran.code == 0
    assert "_MERGEPOINT_COMPLETE" in ran.out
    assert ran.err == ""


def complete(words: str, directory: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", "from mergepoint.cli.main import main; main()"],
        cwd=directory,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "_MERGEPOINT_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        timeout=30,
        check=False,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_the_shell_completes_commands(tmp_path: Path) -> None:
    assert complete("mergepoint sta", tmp_path) == ["start", "status"]


def test_the_shell_completes_app_names_from_the_manifest(site: Path) -> None:
    assert complete("mergepoint logs ", site.parent) == ["hello", "tickets"]


def test_completion_is_silent_about_a_broken_manifest(tmp_path: Path) -> None:
    (tmp_path / "mergepoint.toml").write_text("[apps\n")

    assert complete("mergepoint logs ", tmp_path) == []
