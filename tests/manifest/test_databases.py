"""What a manifest says about databases that are followed.

Place:  make test
Rule:   only what loading a manifest promises; what runs of it is tested with whole sites.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mergepoint.assembly.feed import app_databases, databases_of, feed_document
from mergepoint.core.errors import ManifestRefused
from mergepoint.manifest.site import Site

Load = Callable[..., Site]
APPS = '[apps.wiki]\nwsgi = "wiki:app"\n[apps.shop]\nwsgi = "wiki:app"\nat = "/shop"\n'
MAIN = '[[databases]]\nname = "main"\nurl = "sqlite:///data/app.db"\n'


@pytest.fixture(autouse=True)
def modules(tmp_path: Path) -> None:
    (tmp_path / "wiki.py").write_text("app = print\n")


def test_a_site_that_names_no_database_follows_none(load: Load) -> None:
    site = load(APPS)

    assert (site.databases, site.bus) == ((), None)


def test_a_database_switches_the_hub_on_and_is_found_beside_the_manifest(
    load: Load, tmp_path: Path
) -> None:
    site = load(APPS + MAIN + 'keys = { tickets = ["slug"] }\n')
    [one] = databases_of(site)

    assert site.bus is not None and site.bus.url.is_own_hub
    assert one.url == f"sqlite:///{tmp_path}/data/app.db"
    assert one.keys == {"tickets": ("slug",)}
    assert not one.wants("django_session")
    assert feed_document(site)["databases"][0]["url"] == one.url


def test_a_password_comes_from_the_environment_and_is_in_no_repr(load: Load) -> None:
    url = 'url = "postgresql://app:${APP_PASSWORD}@db/app"\n'
    site = load(APPS + '[[databases]]\nname = "main"\n' + url, environ={"APP_PASSWORD": "hunter2"})
    [one] = databases_of(site)

    assert one.url == "postgresql://app:hunter2@db/app"
    assert "hunter2" not in repr(site) + repr(one)


def test_an_app_is_told_of_a_database_if_it_is_named_or_nobody_is(load: Load) -> None:
    everybody = load(APPS + MAIN)
    one = load(APPS + MAIN + 'apps = ["shop"]\n')

    [told] = json.loads(app_databases(everybody, "wiki")["MERGEPOINT_DATABASES"])
    assert told["name"] == "main"
    assert app_databases(one, "wiki") == {}
    assert app_databases(one, "shop") != {}


def test_databases_are_read_by_the_sites_own_hub(load: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x" * 32)
    (tmp_path / "token").chmod(0o600)
    bus = '[bus]\nurl = "hub+tls://other.example.org:7400"\ntoken_file = "token"\n'
    with pytest.raises(ManifestRefused, match="the site's own hub"):
        load(APPS + bus + MAIN)
