"""What the hub is told of a site's databases."""

from __future__ import annotations

from pathlib import Path

from mergepoint.assembly.feed import feed_document
from mergepoint.assembly.kept import public
from mergepoint.manifest.load import load_site

MANIFEST = """
[site]
name = "acme"

[cache]
lease_s = 5
poll_s = 0.1

[[databases]]
name = "main"
url = "sqlite:///app.db"

[apps.front]
command = ["true"]
cache = "http"
"""


def test_hub_and_edge_are_told_the_same_lease(tmp_path: Path) -> None:
    file = tmp_path / "mergepoint.toml"
    file.write_text(MANIFEST)
    site = load_site(file, profile="development", environ={}, overrides={})
    assert site.cache is not None
    assert feed_document(site)["limits"] == {"lease_s": 5.0, "poll_s": 0.1}


def test_a_worker_is_told_where_a_database_is_and_no_password() -> None:
    assert public("postgresql://shop:secret@db:5432/a?x=1") == "postgresql://db:5432/a?x=1"
    assert public("sqlite:////srv/app.db") == "sqlite:////srv/app.db"
    assert public("postgresql:///a?host=/run/pg") == "postgresql:///a?host=/run/pg"
