"""`mergepoint completion SHELL`: the script that teaches a shell to complete our commands.

Place:  cli.main -> [cli.commands.completion] -> stdout
Rule:   the script alone on stdout, so that `source <(mergepoint completion bash)` works.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options

HOW = {
    "bash": "source <(mergepoint completion bash)   # in ~/.bashrc",
    "zsh": "source <(mergepoint completion zsh)   # in ~/.zshrc, after compinit",
    "fish": "mergepoint completion fish > ~/.config/fish/completions/mergepoint.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(HOW)))
@common_options
def command(shell: str) -> None:
    r"""Print the completion script for bash, zsh or fish.

    \b
    bash:  source <(mergepoint completion bash)
    zsh:   source <(mergepoint completion zsh)
    fish:  mergepoint completion fish > ~/.config/fish/completions/mergepoint.fish
    """
    import sys

    from click.shell_completion import get_completion_class

    from mergepoint.cli.main import command as root

    kind = get_completion_class(shell)
    if kind is None:  # every choice above is one that click knows
        raise click.UsageError(f"click knows no completion for {shell}")
    script = kind(root, {}, "mergepoint", "_MERGEPOINT_COMPLETE")
    sys.stdout.write(script.source())
    if sys.stdout.isatty():
        sys.stderr.write(f"# to use it: {HOW[shell]}\n")
