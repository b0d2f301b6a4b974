"""Write docs/reference/manifest.md and mergepoint.schema.json from the manifest's own tables.

Place:  make docs
Rule:   nothing is described here that the tables know; --check fails when a file is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mergepoint.manifest.checks.kinds import KEYS
from mergepoint.manifest.site import Kind
from mergepoint.manifest.tables.access import GuardTable
from mergepoint.manifest.tables.amounts import size_text
from mergepoint.manifest.tables.app import KINDS, AppTable
from mergepoint.manifest.tables.bus import BusTable, ScheduleTable, SubscriptionTable
from mergepoint.manifest.tables.cache import AppCacheTable, CacheTable
from mergepoint.manifest.tables.databases import DatabaseTable
from mergepoint.manifest.tables.identity import IdentityTable, OidcTable, RoleTable
from mergepoint.manifest.tables.mail import MailTable
from mergepoint.manifest.tables.manifest import ManifestTable, ProfileTable
from mergepoint.manifest.tables.parts import MemberTable
from mergepoint.manifest.tables.site import CertificateTable, ListenTable, SiteTable, TlsTable
from mergepoint.manifest.words import table_model

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"

INTRO = """\
# mergepoint.toml

<!-- Written by tools/manifest_reference.py from the tables in src/mergepoint/manifest/tables. -->

One file describes a site. It is `mergepoint.toml`, or the table `[tool.mergepoint]` of a
`pyproject.toml` where there is no file of its own. Every command finds it by walking up from the
current directory; `--config FILE` or `MERGEPOINT_CONFIG` names another. Unknown keys are refused
with a suggestion, and every error is reported at once with its line. `mergepoint.schema.json`
beside this page tells editors the same.

```toml
[site]
listen = "127.0.0.1:8000"

[apps.front]
asgi = "front:app"
at = "/"

[apps.tickets]
wsgi = "tickets:create_app()"
directory = "tickets"
processes = { min = 1, max = 4 }

[apps.files]
static = "public"

[profiles.production.site]
listen = ["0.0.0.0:80", "https://0.0.0.0:443"]
tls = { certificates = [{ cert = "/etc/acme/fullchain.pem", key = "/etc/acme/key.pem" }] }
```

**Sizes** are a number of bytes or a text: `"512MiB"`, `"2GiB"`, `"1.5GB"`. **Durations** are a
number of seconds or a text: `"500ms"`, `"30s"`, `"2m"`, `"1h"`. **Paths** are relative to the
manifest; those of an app's files (`env_file`, `static`, `watch`, a command with a slash) are
relative to its `directory`.

## Which value wins

A flag wins over an environment variable, which wins over `.env` (development only), the profile,
the file and the default. `mergepoint config show --origin` prints every value with where it came
from.

* Any key can be set by a variable: `MERGEPOINT__SITE__ACCESS_LOG=off`,
  `MERGEPOINT__APPS__TICKETS__THREADS=8`. The parts are joined by two underscores; the value is
  read as TOML where it is TOML, else as text.
* `PORT` and `HOST` change the first address of `listen`; `FORWARDED_ALLOW_IPS` replaces
  `trusted_proxies`; `WEB_CONCURRENCY` is the number of processes of apps that do not say their
  own.
* A `.env` file beside the manifest is read in development: its variables also reach every app. In
  production, name an `env_file`.
* `[profiles.NAME]` holds `site`, `identity`, `roles`, `apps` and `bus` that are laid over the others:
  tables are merged key by key, everything else is replaced. A profile that names another kind for
  an app replaces the kind.

## What stops what

An error refuses the manifest. What is missing on this machine (a directory, a virtual
environment, an interpreter, a module that is certainly absent, a user) stops its app alone: the
rest of the site runs, and the app's mount says why. Warnings stop nothing.
"""

SIZES = {"body", "message_bytes_max", "header_bytes_max", "target_bytes_max"}
IDENTITY = """\
The table switches identity on, even an empty one: people log in once for every app, and the edge
decides who may pass. Without it, `require`, `guards`, `csrf_exempt`, `cookies`, `identity_headers`
and `authorization` of an app and every `[roles.NAME]` are refused. [The guide](../how-to/identity.md)
begins with an example. A secret is written as the name of a variable, `"env:GITLAB_SECRET"`.
"""
ROLES = """\
The role `admin` is always there; unless the manifest says otherwise it grants `"*"`, everything.
"""
BUS = """\
The table switches the bus on, even an empty one; so do `tasks` of an app, `[[subscriptions]]` and
`[[schedules]]`. A site with none of them starts no hub. [The guide](../how-to/bus.md) begins with an
example. Secrets in `url` are written as `${NAME}` and taken from the environment.
"""
SUBSCRIPTIONS = """\
Every message of these topics is posted to an app, at least once, as a CloudEvents 1.0 envelope in
binary mode. Any 2xx takes it; anything else, or no answer, and it is posted again later.
"""
SCHEDULES = """\
Tasks may also carry their schedule in the code that declares them.
"""
DATABASES = """\
Changes of these databases are followed, whoever makes them: triggers write them into a log, which
`mergepoint feed install` adds, and the hub reads it. [The guide](../how-to/feed.md) begins with an
example. Secrets in `url` are written as `${NAME}` and taken from the environment.
"""
CACHE = """\
Room for the answers of apps that have `cache`. [The guide](../how-to/cache.md) begins with an example.
"""
APP_CACHE = """\
Written as a table, or in short: `cache = "auto"` is `{ mode = "auto" }`, `cache = "http"` likewise.
"""
GUARDS = """\
A requirement is `public` (everybody), `user` (anybody proven), `person`, `service`, `role:NAME`,
`group:NAME`, `permission:NAME`, `subject:NAME` (a user name) or `nobody`. A list is met by any one of
its terms. The guard with the longest matching path decides, of two with one path the one that names
the method, and without any the app's `require`.
"""
KIND_WORDS = {
    Kind.WSGI: "a WSGI application",
    Kind.ASGI: "an ASGI application",
    Kind.TOGETHER: "several of them in one worker",
    Kind.COMMAND: "any program that serves HTTP",
    Kind.STATIC: "files, served by the edge",
    Kind.REDIRECT: "another address",
    Kind.HTTP: "a service that runs elsewhere",
}


def reference() -> str:
    """Return the whole page."""
    parts = [INTRO, "## `[site]`\n", *table(SiteTable, skip=("limits", "tls"))]
    parts += ["\n### Addresses of `listen` as tables\n", *table(ListenTable)]
    parts += ["\n### `[site.tls]`\n", f"{described(SiteTable, 'tls')}\n", *certificates()]
    parts += ["\n### `[site.limits]`\n", *nested(SiteTable, "limits")]
    parts += ["\n## `[apps.NAME]`\n", *apps()]
    parts += ["\n## `[identity]`\n", IDENTITY, *table(IdentityTable)]
    parts += ["\n### `[identity.oidc.NAME]`\n", f"{described(IdentityTable, 'oidc')}\n"]
    parts += [*table(OidcTable), "\n### `[identity.mail]`\n"]
    parts += [f"{described(IdentityTable, 'mail')}\n", *table(MailTable)]
    parts += ["\n## `[roles.NAME]`\n", ROLES, *table(RoleTable)]
    parts += ["\n## `[bus]`\n", BUS, *table(BusTable)]
    parts += ["\n## `[[subscriptions]]`\n", SUBSCRIPTIONS, *table(SubscriptionTable)]
    parts += ["\n## `[[schedules]]`\n", SCHEDULES, *table(ScheduleTable)]
    parts += ["\n## `[[databases]]`\n", DATABASES, *table(DatabaseTable)]
    parts += ["\n## `[cache]`\n", CACHE, *table(CacheTable)]
    parts += ["\n### `cache` of an app\n", APP_CACHE, *table(AppCacheTable)]
    parts += ["\n## `[profiles.NAME]`\n", *table(ProfileTable)]
    return "\n".join(parts).rstrip() + "\n"


def certificates() -> Iterator[str]:
    yield from table(TlsTable, skip=("certificates",))
    yield "\n`certificates` is a list of tables; the first also serves clients that name no host.\n"
    yield from table(CertificateTable)


def apps() -> Iterator[str]:
    yield "Exactly one of these keys says what the app is:\n"
    yield "| key | the app is | keys that apply |\n|---|---|---|"
    for kind in KINDS:
        keys = ", ".join(f"`{key}`" for key in sorted(KEYS[Kind(kind)]))
        yield f"| `{kind}` | {KIND_WORDS[Kind(kind)]} | {keys} |"
    yield ""
    yield from table(AppTable)
    yield "\n### `guards`\n"
    yield GUARDS
    yield from table(GuardTable)
    yield "\n### Members of `together`\n"
    yield from table(MemberTable)
    for name in ("processes", "timeouts", "queue", "limits", "restart", "redirect"):
        yield f"\n### `{name}` as a table\n"
        yield from nested(AppTable, name)


def nested(model: type[BaseModel], name: str) -> Iterator[str]:
    inner = table_model(model.model_fields[name].annotation)
    assert inner is not None
    yield from table(inner)


def described(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].description or ""


def table(model: type[BaseModel], skip: tuple[str, ...] = ()) -> Iterator[str]:
    yield "| key | default | meaning |\n|---|---|---|"
    for name, field in model.model_fields.items():
        if name not in skip:
            meaning = (field.description or "").replace("|", "\\|")
            yield f"| `{name}` | {default(name, field)} | {meaning} |"


def default(name: str, field: Any) -> str:
    extra = field.json_schema_extra or {}
    if field.default is PydanticUndefined:
        return "needed"
    if field.default is None:
        return str(extra.get("stands_for", ""))
    if isinstance(field.default, BaseModel):
        return "see below"
    if (
        isinstance(field.default, list)
        and field.default
        and isinstance(field.default[0], BaseModel)
    ):
        return f'`"{field.default[0].address}"`'
    if name in SIZES:
        return f'`"{size_text(field.default)}"`'
    return f"`{json.dumps(field.default)}`"


def schema() -> str:
    """Return the JSON Schema of the own file."""
    document = ManifestTable.model_json_schema(mode="validation")
    titled = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **without_titles(document),
        "title": "mergepoint.toml",
    }
    return json.dumps(titled, indent=2, ensure_ascii=False) + "\n"


def without_titles(value: Any, *, names: bool = False) -> Any:
    """Drop the titles that only repeat a key's name, and our own notes; keep a key called title."""
    if isinstance(value, list):
        return [without_titles(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_titles(entry, names=key in {"properties", "$defs"})
        for key, entry in value.items()
        if names or key not in {"title", "stands_for"}
    }


FILES = {
    REFERENCE / "manifest.md": reference,
    REFERENCE / "mergepoint.schema.json": schema,
}


def main(arguments: list[str]) -> int:
    """Write the files, or with --check say which are stale."""
    stale = [
        file
        for file, write in FILES.items()
        if not file.is_file() or file.read_text(encoding="utf-8") != write()
    ]
    if "--check" in arguments:
        for file in stale:
            print(f"{file.relative_to(ROOT)} is stale: python tools/manifest_reference.py")
        return 1 if stale else 0
    for file in stale:
        file.write_text(FILES[file](), encoding="utf-8")
        print(f"wrote {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
