"""`mergepoint new NAME`: a small site that runs at once and needs nothing installed.

Place:  cli.main -> [cli.commands.new] -> cli.starter
Rule:   never overwrites; writes everything or says which file stood in the way.
"""

from __future__ import annotations

from pathlib import Path

import click

from mergepoint.cli.invocation import common_options


@click.command()
@click.argument("name", metavar="NAME")
@common_options
def command(name: str) -> None:
    """Make a small site that runs at once.

    NAME is the directory to make; its last part becomes the name of the site. The site has one
    plain WSGI app, which needs no framework, and a mergepoint.toml with comments.
    """
    from mergepoint.cli.output import data, say, short
    from mergepoint.cli.starter import starter_files, write_new

    directory = Path(name).absolute()
    written = write_new(directory, starter_files(directory.name))
    for path in written:
        data(short(path))
    say()
    say("Next:")
    if directory != Path.cwd():
        say(f"  cd {name}")
    say("  mergepoint run")
