"""`mergepoint add PATH --at /x`: make an app you already have a member of the site.

Place:  cli.main -> [cli.commands.add] -> cli.adding
Rule:   says what was found, what will clash and how to mend it; writes one block, or nothing.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@click.argument("path")
@click.option("--at", metavar="MOUNT", help="/path, host or host/path; the app's name otherwise.")
@click.option("--name", help="Name of the app; the directory's otherwise.")
@click.option("--app", "target", metavar="TARGET", help="module:attribute, when several are found.")
@click.option("--asgi", is_flag=True, help="The TARGET given by --app is ASGI.")
@click.option("--venv", is_flag=True, help="Make PATH/.venv and install its requirements there.")
@click.option("--python", metavar="VERSION", help="Python for --venv: 3.12, or a program.")
@click.option("--dry-run", is_flag=True, help="Show everything, write nothing.")
@json_option
@common_options
def command(**wish: object) -> None:
    """Add an app you already have; finds out how it is started.

    PATH is a directory, a Python file or a URL. Knows Flask, Django, Bottle, Pyramid, FastAPI,
    Starlette and others, plain WSGI and ASGI, Node projects, Procfiles and directories of static
    files. Your code is read, never run. What will clash with the rest of the site is reported with
    the fix, and one block is appended to the manifest.
    """
    from mergepoint.cli.add_view import as_document, show_added
    from mergepoint.cli.adding import Wish, add
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document

    added = add(invocation(), Wish(**wish))  # type: ignore[arg-type]  # click fills it by name
    if invocation().as_json:
        document(as_document(added))
    else:
        show_added(added)
