"""The whole document: site, identity, roles, apps, messages and profiles.

Place:  manifest.validate, tools -> [manifest.tables.manifest]
Rule:   used whole for the reference and the JSON Schema; validated table by table.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mergepoint.manifest.tables.app import APP_NAME, AppTable
from mergepoint.manifest.tables.bus import (
    SCHEDULES_MAX,
    SUBSCRIPTIONS_MAX,
    BusTable,
    ScheduleTable,
    SubscriptionTable,
)
from mergepoint.manifest.tables.cache import CacheTable
from mergepoint.manifest.tables.databases import DATABASES_MAX, DatabaseTable
from mergepoint.manifest.tables.identity import ROLES_MAX, IdentityTable, RoleName, RoleTable
from mergepoint.manifest.tables.site import SiteTable
from mergepoint.manifest.tables.table import Table, key

APPS_MAX = 500

AppName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
TABLES = (
    "site",
    "identity",
    "roles",
    "apps",
    "bus",
    "subscriptions",
    "schedules",
    "databases",
    "cache",
    "profiles",
)
Roles = Annotated[dict[RoleName, RoleTable], Field(max_length=ROLES_MAX)]
Apps = Annotated[dict[AppName, AppTable], Field(max_length=APPS_MAX)]


class ProfileTable(Table):
    """Values that replace those of [site] and [apps] under one profile."""

    mode: Literal["development", "production"] | None = key(
        "Whether the profile is for development or production.",
        stands_for="what its name says, else production",
    )
    site: SiteTable = key("Replaces keys of [site].", SiteTable())
    identity: IdentityTable | None = key(
        "Replaces keys of [identity], or switches it on.", stands_for="nothing"
    )
    roles: Roles = key("Replaces keys of [roles.NAME], or adds roles.", {})
    apps: Apps = key("Replaces keys of [apps.NAME], or adds apps.", {})
    bus: BusTable | None = key("Replaces keys of [bus], or switches it on.", stands_for="nothing")


class ManifestTable(Table):
    """mergepoint.toml, or [tool.mergepoint] of pyproject.toml."""

    site: SiteTable = key("The site as a whole.", SiteTable())
    identity: IdentityTable | None = key(
        "Switches identity on: how people prove who they are.", stands_for="off"
    )
    roles: Roles = key("Named sets of permissions.", {})
    apps: Apps = key("The apps by name: a letter, then letters, digits, - and _, 32 at most.", {})
    bus: BusTable | None = key("Messages between apps.", stands_for="off, unless tasks need it")
    subscriptions: list[SubscriptionTable] = key(
        "Messages that are posted to apps.", [], max_length=SUBSCRIPTIONS_MAX
    )
    schedules: list[ScheduleTable] = key(
        "Tasks that are started by the clock.", [], max_length=SCHEDULES_MAX
    )
    databases: list[DatabaseTable] = key(
        "Databases whose changes are followed.", [], max_length=DATABASES_MAX
    )
    cache: CacheTable | None = key(
        "Room for answers the edge keeps.", stands_for="its defaults, where an app has a cache"
    )
    profiles: dict[str, ProfileTable] = key(
        "Differences between development, production and profiles of your own.", {}
    )


__all__ = ["APP_NAME", "ManifestTable", "ProfileTable"]
