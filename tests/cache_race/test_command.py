"""The command line says what was found, and ends with a number that says it too."""

from __future__ import annotations

import pytest
from mergepoint_testkit.cache_race import __main__ as command
from mergepoint_testkit.peers import free_port

from .conftest import served
from .tiny_cache import TinyCache


@pytest.mark.parametrize(("guarded", "code", "times"), [(True, 0, "0"), (False, 1, "2")])
def test_the_two_columns_and_the_exit_code_agree(
    guarded: bool, code: int, times: str, capsys: pytest.CaptureFixture
) -> None:
    port = free_port()
    with served(TinyCache(port, fill_guard=guarded, waiter_guard=guarded)) as cache:
        ended = command.main(
            ["--cache", f"127.0.0.1:{cache.port}", "--origin", f"127.0.0.1:{port}", "--tries", "2"]
        )

    told = capsys.readouterr().out.splitlines()
    assert ended == code
    assert told[0].startswith("2 tries")
    assert [line.split()[0] for line in told[1:]] == [times, times]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cache", "nowhere", "--origin", "127.0.0.1:1"], "--cache is 'nowhere'"),
        (["--cache", "127.0.0.1:1", "--origin", "127.0.0.1:0"], "--origin is '127.0.0.1:0'"),
        (["--cache", "127.0.0.1:1", "--origin", "127.0.0.1:9", "--tries", "0"], "--tries is 0"),
        (["--cache", "127.0.0.1:1", "--origin", "192.0.2.1:9"], "cannot listen on 192.0.2.1:9"),
    ],
)
def test_what_cannot_be_tested_is_said_without_a_traceback(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture
) -> None:
    assert command.main(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_cache_that_is_not_there_is_named(capsys: pytest.CaptureFixture) -> None:
    cache, origin = free_port(), free_port()
    asked = ["--cache", f"127.0.0.1:{cache}", "--origin", f"127.0.0.1:{origin}"]

    assert command.main(asked) == 2
    assert f"at 127.0.0.1:{cache} got no answer" in capsys.readouterr().err
