"""Every `mergepoint` command and option that a page shows exists.

Place:  tests/docs
Rule:   console blocks and code in prose are read as a shell would, and asked of the click tree.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mergepoint.cli.main import command as program

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
PROSE = re.compile(r"`(mergepoint [^`\n]+)`")
SHELL_WORDS = set("|&;<>()")


def shown(page: str) -> Iterator[str]:
    """Give the shell lines of a page: after a prompt, or as code that begins with the program."""
    for block in CONSOLE.finditer(page):
        yield from (line[2:] for line in block[1].splitlines() if line.startswith("$ "))
    yield from (match[1] for match in PROSE.finditer(FENCE.sub("", page)))


def calls(line: str) -> Iterator[list[str]]:
    """Give the arguments of each call of the program in a shell line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    call: list[str] | None = None
    for word in lexer:
        if set(word) <= SHELL_WORDS:
            if call is not None:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif word.rpartition("/")[2] == "mergepoint":
            call = []
    if call is not None:
        yield call


def unknown(arguments: list[str]) -> str:
    """Return the first word that is no command or option of ours; empty when all are."""
    found: click.Command = program
    options = names_of(program)
    path = ["mergepoint"]
    words = iter(arguments)
    for word in words:
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            option = options.get(name)
            if option is None:
                return f"{' '.join(path)} {name}"
            if not equals and isinstance(option, click.Option) and not option.is_flag:
                next(words, None)
        elif isinstance(found, click.Group):
            if word.isupper():  # a word that stands for any: mergepoint COMMAND
                return ""
            below = found.get_command(click.Context(found), word)
            if below is None:
                return f"{' '.join(path)} {word}"
            found, path = below, [*path, word]
            options = {**options, **names_of(below)}
    return ""


def names_of(command: click.Command) -> dict[str, click.Parameter]:
    parameters = command.get_params(click.Context(command, **command.context_settings))
    return {name: p for p in parameters for name in (*p.opts, *p.secondary_opts)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_and_option_on_a_page_exists(page: Path) -> None:
    wrong = [
        f"{found} (in: {line})"
        for line in shown(page.read_text())
        for call in calls(line)
        if (found := unknown(call))
    ]

    assert wrong == []


def test_a_wrong_command_would_be_noticed() -> None:
    line = (
        "sudo -u acme /srv/bin/mergepoint logs -f shop --config x.toml | grep a; mergepoint stopp"
    )

    assert list(calls(line)) == [["logs", "-f", "shop", "--config", "x.toml"], ["stopp"]]
    assert unknown(["logs", "-f", "shop", "--config", "x.toml"]) == ""
    assert unknown(["--profile", "production", "config", "show", "--origin"]) == ""
    assert unknown(["COMMAND", "[OPTIONS]"]) == ""
    assert unknown(["stopp"]) == "mergepoint stopp"
    assert unknown(["reload", "--canari", "10%"]) == "mergepoint reload --canari"
    assert unknown(["config", "print"]) == "mergepoint config print"
    assert list(shown("```console\n$ a b\nc\n```\nand `mergepoint run`, `x`")) == [
        "a b",
        "mergepoint run",
    ]
