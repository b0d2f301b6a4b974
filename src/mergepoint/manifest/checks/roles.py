"""Roles that name each other: every name exists, none goes in a circle, somebody can do everything.

Place:  manifest.load -> [manifest.checks.roles]
Rule:   pure; one finding for each circle.
"""

from __future__ import annotations

from collections.abc import Mapping

from mergepoint.manifest.access import ADMIN
from mergepoint.manifest.resolve_identity import EVERYTHING
from mergepoint.manifest.site import Site
from mergepoint.manifest.tables.identity import RoleTable
from mergepoint.manifest.validate import Draft, Report
from mergepoint.manifest.words import nearest


def check_roles(site: Site, draft: Draft, report: Report) -> None:
    """Report unknown roles, circles of `includes`, and a site that nobody could administer."""
    if site.identity is None:
        return
    for name, table in draft.roles.items():
        for position, included in enumerate(table.includes):
            if included not in site.roles:
                path = ("roles", name, "includes", position)
                report.add(path, "is not a role", fix=role_fix(included, site), value=included)
    for circle in circles(draft.roles):
        shown = " -> ".join((*circle, circle[0]))
        report.add(
            ("roles", circle[0], "includes"),
            f"goes in a circle: {shown}",
            fix="take one of them out",
        )
    if not any(EVERYTHING in role.granted for role in site.roles.values()):
        message = 'grants less than "*", and no other role grants it: nobody could administer'
        fix = 'write permissions = ["*"], or give "*" to another role'
        report.add(("roles", ADMIN), message, fix=fix)
    if "oidc" not in draft.identity_broken:
        _mapped(site, report)


def _mapped(site: Site, report: Report) -> None:
    for provider in site.identity.oidc if site.identity else ():
        for group, role in provider.roles.items():
            if role not in site.roles:
                path = ("identity", "oidc", provider.name, "roles", group)
                report.add(path, "is not a role", fix=role_fix(role, site), value=role)


def role_fix(name: str, site: Site) -> str:
    """Return the role that was probably meant, or how to make the one that was written."""
    known = ", ".join(sorted(site.roles))
    return nearest(name, site.roles) or f"add [roles.{name}]; there are: {known}"


def circles(roles: Mapping[str, RoleTable]) -> list[tuple[str, ...]]:
    """Return each circle once, beginning with its first role in alphabetical order."""
    found: dict[tuple[str, ...], None] = {}
    for start in sorted(roles):
        circle = _back_to(start, roles)
        if circle and min(circle) == start:
            found[circle] = None
    return list(found)


def _back_to(start: str, roles: Mapping[str, RoleTable]) -> tuple[str, ...]:
    """Return the shortest way from a role to itself; empty when there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for name in roles[way[-1]].includes:
            if name == start:
                return way
            if name in roles and name not in seen:
                seen.add(name)
                ways.append((*way, name))
    return ()
