"""The race against a cache everybody knows: nginx, told to fetch a page anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from mergepoint_testkit.cache_race.origin import Origin
from mergepoint_testkit.cache_race.race import Race
from mergepoint_testkit.cache_race.recipe import Cache, parse
from mergepoint_testkit.peers import free_port, nginx, program

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed"),
]

# The peers' configuration has one place for what a location does; the zone has to stand above it.
CACHED = """proxy_pass http://app; proxy_cache pages; proxy_cache_key $uri;
      proxy_cache_bypass $http_x_refresh; {lock}
    }}
  }}
  proxy_cache_path {directory}/pages keys_zone=pages:1m use_temp_path=off;
  server {{
    listen 127.0.0.1:{spare};
    location / {{
      return 404;"""


@pytest.mark.parametrize("lock", ["", "proxy_cache_lock on;"], ids=["alone", "coalesced"])
def test_nginx_stores_the_old_render_over_the_page_it_was_told_to_fetch_anew(
    origin: Origin, tmp_path: Path, lock: str
) -> None:
    location = CACHED.format(directory=tmp_path, spare=free_port(), lock=lock)
    with nginx(tmp_path, f"127.0.0.1:{origin.port}", location=location) as peer:
        refresh = parse("GET {path}", ["X-Refresh: 1"], "")
        race = Race(origin, Cache("127.0.0.1", peer.port), refresh)
        race.control()
        made = race.once()

    assert made.during == 1
    assert made.kept_is_stale
