"""`mergepoint explain URL`: which app answers, why, and what its worker is told.

Place:  cli.main -> [cli.commands.explain] -> edge.routes
Rule:   from the manifest alone; every rule with the line it was written on. Exit 1 for 400 and 404.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@click.argument("url")
@click.option("-X", "--request", "method", default="GET", show_default=True, help="Method.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="As in curl.")
@json_option
@common_options
def command(url: str, method: str, headers: tuple[str, ...]) -> None:
    """Say which app answers URL, why, and what reaches its worker.

    URL may be a path. Nothing is sent: the answer follows from the manifest.
    """
    from mergepoint.cli.explain_view import as_document, show_explanation
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document
    from mergepoint.cli.site import load
    from mergepoint.core.errors import Exit, MergepointError
    from mergepoint.edge.routes import explain

    site = load(invocation())
    given = dict(_header(text) for text in headers)
    try:
        found = explain(site, url, method.upper(), given)
    except ValueError as error:
        raise MergepointError(str(error), next="mergepoint routes") from error
    if invocation().as_json:
        document(as_document(found))
    else:
        show_explanation(found, site)
    if found.route is None:
        click.get_current_context().exit(Exit.FAILED)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"{text!r} is not NAME:VALUE", param_hint="--header")
    return name.strip(), value.strip()
