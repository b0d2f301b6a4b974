"""datasette over the database beside this file, with one plugin of three lines."""

from datasette.app import Datasette

application = Datasette(
    ["forum.db"],
    settings={"base_url": "/data/", "force_https_urls": False},
    plugins_dir="plugins",
).app()
