"""What the manifest says of kept answers reaches the edge, in the shape both sides read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mergepoint.edge.cache import app_cache_doc, cache_doc
from mergepoint.manifest.load import load_site
from mergepoint.manifest.site import AppCache, Cache, Site

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "snapshot" / "valid" / "cache.json"


@pytest.fixture
def golden() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(GOLDEN.read_text())
    return document


def manifest(directory: Path, text: str) -> Site:
    (directory / "app.py").write_text("def application(environ, start): ...\n")
    (directory / "mergepoint.toml").write_text(text)
    return load_site(directory / "mergepoint.toml", profile="development", environ={})


APP = '[apps.shop]\nwsgi = "app:application"\n'


def test_an_app_keeps_nothing_unless_it_says_so(tmp_path: Path) -> None:
    site = manifest(tmp_path, APP)
    assert (site.cache, site.apps["shop"].cache, cache_doc(site)) == (None, None, None)


@pytest.mark.parametrize("mode", ["auto", "http"])
def test_one_word_switches_it_on_with_the_usual_room(tmp_path: Path, mode: str) -> None:
    site = manifest(tmp_path, APP + f'cache = "{mode}"\n')
    assert site.apps["shop"].cache == AppCache(mode=mode)
    assert site.cache == Cache()


def test_every_setting_is_told_to_the_edge(tmp_path: Path, golden: dict[str, Any]) -> None:
    table = (
        'cache = { mode = "auto", scope = "roles", hold = "session", ttl_s = "10m", '
        'stale_s = 60, cookies = ["theme"] }\n'
    )
    room = '[cache]\nroom = "256MiB"\nanswer_max = "8MiB"\nlease_s = 2\n'
    site = manifest(tmp_path, APP + table + room)
    app = site.apps["shop"].cache
    assert app is not None
    assert app_cache_doc(app) == golden["apps"]["tickets"]["cache"]
    found = cache_doc(site)
    assert found == {**golden["cache"], "feed": None}


def test_the_edge_is_told_of_the_hub_where_databases_are_named(
    tmp_path: Path, golden: dict[str, Any]
) -> None:
    database = f'[[databases]]\nname = "main"\nurl = "sqlite:///{tmp_path}/a.db"\n'
    site = manifest(tmp_path, database + APP + 'cache = "auto"\n')
    found = cache_doc(replace(site, run_dir=Path("/run/acme")))
    assert found == golden["cache"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('cache = "magic"\n', "is not a kind of cache"),
        ('cache = { cookies = ["a b"] }\n', "is not the name of a cookie"),
        ('cache = "auto"\n[cache]\nroom = "1MiB"\n', "answer_max 8MiB is more than room 1MiB"),
        ('[apps.files]\nstatic = "."\ncache = "auto"\n', "means nothing for static files"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        manifest(tmp_path, APP + text)
