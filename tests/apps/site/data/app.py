"""datasette over the databases beside this file."""

from datasette.app import Datasette

application = Datasette(
    ["forum.db"],
    immutables=["large.db"],
    settings={"base_url": "/data/", "force_https_urls": False},
).app()
