"""Any document gives a site or a refusal, and every key is found where it was written.

Place:  make test
Rule:   documents are made near the real keys, so that most of them reach the checks.
"""

from __future__ import annotations

import string
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergepoint.core.errors import ManifestRefused
from mergepoint.core.problems import Severity
from mergepoint.edge.compile import compile_snapshot
from mergepoint.edge.identity import EdgeKeys
from mergepoint.identity.accounts.from_site import site_settings
from mergepoint.manifest.load import inspect, load_site
from mergepoint.manifest.settings import list_settings
from mergepoint.manifest.site import Site
from mergepoint.manifest.tables.access import GuardTable
from mergepoint.manifest.tables.app import AppTable
from mergepoint.manifest.tables.identity import IdentityTable, OidcTable, RoleTable
from mergepoint.manifest.tables.site import SiteTable

TEXTS = [
    "",
    "/",
    "/a",
    "/a/../b",
    "a:b",
    "a.b:c()",
    "tickets:app",
    "127.0.0.1:80",
    ":8000",
    "[::1]:1",
    "unix:/x",
    "http://h:1",
    "https://h",
    "http://[::1",
    "1GiB",
    "30s",
    "auto",
    "path:2",
    "header:X",
    "cookie:",
    "strip",
    "\x00",
    "é",
    "\U0001f600",
    "../..",
    "~nobody-has-this-name/x",
    "x" * 300,
    "example.org",
    "*.example.org/x",
    "10.0.0.0/8",
    "3.12",
    "json",
    "'",
    "production",
    "${HOME}",
    "https://0.0.0.0:443",
    "-1",
    "1e999",
    "env:SECRET",
    "env:",
    "sqlite:///a.db",
    "postgresql://a:b@c/d",
    "user",
    "role:admin",
    "permission:tickets.*",
    "tickets.*",
    "*",
    "/admin;x",
]
NAMES = sorted(
    {*AppTable.model_fields, *SiteTable.model_fields, *IdentityTable.model_fields}
    | {
        *OidcTable.model_fields,
        *RoleTable.model_fields,
        *GuardTable.model_fields,
        "min",
        "max",
        "start",
        "auto",
    }
    | {
        "memory",
        "cpu",
        "path",
        "address",
        "admin",
        "tls",
        "cert",
        "key",
        "certificates",
        "to",
        "x.y",
        "",
        "A-B",
    }
)

scalars = st.one_of(
    st.sampled_from(TEXTS),
    st.text(max_size=12),
    st.integers(-5, 70000),
    st.sampled_from([2**70, 10**40]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.booleans(),
)
keys = st.one_of(st.sampled_from(NAMES), st.text(max_size=6))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=8,
)
app_names = st.one_of(st.sampled_from(["tickets", "wiki", "a-b"]), st.text(max_size=5))
app_tables = st.dictionaries(st.sampled_from(sorted(AppTable.model_fields)), values, max_size=5)
kinds = st.sampled_from(
    [
        {"wsgi": "tickets:app"},
        {"asgi": "a.b:c()"},
        {"command": "sh serve {port}"},
        {"static": "."},
        {"redirect": "/x"},
        {"http": "http://127.0.0.1:1"},
        {"together": [{"path": "/a", "wsgi": "a:b"}]},
    ]
)
apps = st.builds(lambda kind, rest: {**kind, **rest}, kinds, app_tables) | app_tables | values
sites = (
    st.dictionaries(st.sampled_from(sorted(SiteTable.model_fields)), values, max_size=4) | values
)
identities = (
    st.dictionaries(st.sampled_from(sorted(IdentityTable.model_fields)), values, max_size=4)
    | values
)
roles = (
    st.dictionaries(
        st.sampled_from(["admin", "editor", "A"]),
        st.dictionaries(st.sampled_from(sorted(RoleTable.model_fields)), values, max_size=2),
        max_size=3,
    )
    | values
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "site": sites,
        "identity": identities,
        "roles": roles,
        "apps": st.dictionaries(app_names, apps, max_size=4) | values,
        "profiles": st.dictionaries(app_names, values, max_size=2) | values,
        "extra": values,
    },
)


def toml_text(text: str) -> str:
    escaped = "".join(
        c if c in string.printable and c >= " " and c not in '"\\\x7f' else f"\\U{ord(c):08x}"
        for c in text
        if not 0xD800 <= ord(c) <= 0xDFFF
    )
    return f'"{escaped}"'


def toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, float):
        return {"nan": "nan", "inf": "inf", "-inf": "-inf"}.get(repr(value), repr(value))
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        pairs = {toml_text(k): toml_value(v) for k, v in value.items()}
        return "{ " + ", ".join(f"{k} = {v}" for k, v in pairs.items()) + " }"
    return str(value)


def loaded(text: str, environ: dict[str, str]) -> Site | None:
    """Load the text under both profiles; anything but a site or a refusal fails the test."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "mergepoint.toml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        found = None
        for profile in ("development", "production"):
            try:
                found = load_site(file, profile=profile, environ=environ)
            except ManifestRefused as refused:
                assert refused.problems
                assert any(p.severity is Severity.ERROR for p in refused.problems)
                assert str(refused.problems[0]) in refused.message
            else:
                compile_snapshot(found, {}, {}, 1, {}, b"x" * 32, EdgeKeys("e1", b"x" * 32))
                if found.identity is not None:
                    site_settings(found).to_json()
                assert all(p.severity is not Severity.ERROR for p in found.problems)
            list_settings(inspect(file, profile=profile, environ=environ))
        return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_any_document_gives_a_site_or_a_refusal_and_nothing_else(document: dict[str, Any]) -> None:
    text = "\n".join(f"{toml_text(name)} = {toml_value(value)}" for name, value in document.items())

    loaded(text + "\n", {})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200) | st.text(alphabet="[]{}=.\"'#\n abt0-", max_size=80))
def test_any_text_gives_a_site_or_a_refusal_and_nothing_else(text: str) -> None:
    loaded(text, {})


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["PORT", "HOST", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "XDG_RUNTIME_DIR"]
            + [f"MERGEPOINT__SITE__{name.upper()}" for name in SiteTable.model_fields]
            + [f"MERGEPOINT__APPS__TICKETS__{name.upper()}" for name in AppTable.model_fields]
            + [f"MERGEPOINT__IDENTITY__{name.upper()}" for name in IdentityTable.model_fields]
            + ["MERGEPOINT__ROLES__ADMIN__PERMISSIONS", "SECRET"]
            + ["MERGEPOINT__", "MERGEPOINT__APPS", "MERGEPOINT__SITE__LIMITS__HEADERS_MAX"]
        ),
        st.one_of(st.sampled_from(TEXTS), values.map(toml_value)).filter(lambda t: "\0" not in t),
        max_size=4,
    )
)
def test_any_environment_gives_a_site_or_a_refusal_and_nothing_else(
    environ: dict[str, str],
) -> None:
    loaded('[apps.tickets]\ncommand = "sh serve"\n', environ)
