"""`mergepoint explain URL`: which app answers, who may ask, and what its worker is told.

Place:  cli.main -> [cli.commands.explain] -> edge.routes, identity.accounts.lookup
Rule:   from the manifest, and with --as from accounts; every rule with the line it was written on.
        Exit 1 for 400 and 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.manifest.site import Site


@click.command()
@click.argument("url")
@click.option(
    "-X", "--request", "--method", "method", default="GET", show_default=True, help="Method."
)
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="As in curl.")
@click.option("--as", "user", metavar="USER", help="Ask as this person or service.")
@json_option
@common_options
def command(url: str, method: str, headers: tuple[str, ...], user: str | None) -> None:
    """Say which app answers URL, who may ask, and what reaches its worker.

    URL may be a path. Nothing is sent: the answer follows from the manifest, and what USER may do
    from the accounts of this site. Without --as nobody is logged in.
    """
    from mergepoint.cli.explain_view import as_document, show_explanation
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document
    from mergepoint.cli.site import load
    from mergepoint.core.errors import Exit, MergepointError
    from mergepoint.edge.routes import explain

    site = load(invocation())
    given = dict(_header(text) for text in headers)
    claims = _claims(site, user) if user is not None else None
    try:
        found = explain(site, url, method.upper(), given, claims)
    except ValueError as error:
        raise MergepointError(str(error), next="mergepoint routes") from error
    if invocation().as_json:
        document(as_document(found))
    else:
        show_explanation(found, site)
    if found.route is None:
        click.get_current_context().exit(Exit.FAILED)


def _claims(site: Site, user: str) -> dict[str, Any]:
    from mergepoint.core.clock import SystemClock
    from mergepoint.core.errors import MergepointError
    from mergepoint.identity.accounts.from_site import site_settings

    settings = site_settings(site)
    failure = site.failures.get("accounts")
    if failure is not None:
        raise MergepointError(failure.reason, next=failure.next)
    from mergepoint.identity.accounts.lookup import claims_of

    return claims_of(settings, user, SystemClock())


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"{text!r} is not NAME:VALUE", param_hint="--header")
    return name.strip(), value.strip()
