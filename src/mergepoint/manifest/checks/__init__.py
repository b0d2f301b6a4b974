"""What the tables alone cannot tell: keys that clash, missing files, mounts that collide."""

from __future__ import annotations

from mergepoint.manifest.checks.access import check_access
from mergepoint.manifest.checks.bus import check_bus
from mergepoint.manifest.checks.cache import check_cache
from mergepoint.manifest.checks.databases import check_databases
from mergepoint.manifest.checks.doors import check_doors
from mergepoint.manifest.checks.identity import check_identity
from mergepoint.manifest.checks.kinds import check_kinds
from mergepoint.manifest.checks.mail import check_mail
from mergepoint.manifest.checks.modules import check_modules
from mergepoint.manifest.checks.mounts import check_mounts
from mergepoint.manifest.checks.numbers import check_numbers
from mergepoint.manifest.checks.places import check_places
from mergepoint.manifest.checks.roles import check_roles
from mergepoint.manifest.checks.secrets import check_secrets
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.read import Document
from mergepoint.manifest.site import Site
from mergepoint.manifest.validate import Draft, Report


def check_site(
    site: Site, draft: Draft, document: Document, report: Report, machine: Machine
) -> None:
    """Run every check; each reports what it finds and none depends on another."""
    check_kinds(draft, report)
    check_numbers(site, draft, report)
    check_mounts(site, draft, report)
    check_doors(site, draft, report, machine)
    check_places(site, draft, report, machine)
    check_modules(site, draft, report, machine)
    check_identity(site, draft, report, machine)
    check_mail(site, draft, report, machine)
    check_roles(site, draft, report)
    check_access(site, draft, report)
    check_bus(site, draft, report, machine)
    check_databases(site, draft, report, machine)
    check_cache(draft, report)
    check_secrets(document, draft, report, machine)
