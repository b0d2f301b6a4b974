"""The files of a new site.

Place:  cli.commands.new -> [cli.starter]
Rule:   what is written here runs as it is; tests start it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mergepoint.core.errors import MergepointError

SITE_NAME_MAX = 40

MANIFEST = """\
# A site made of small apps. `mergepoint check` tells what is wrong with this file,
# `mergepoint config schema` describes every key, `mergepoint add PATH --at /x` adds an app.

[site]
name = "{name}"
listen = "127.0.0.1:8000"

[apps.hello]
wsgi = "hello:application"   # module:attribute; asgi, command, static, redirect and http work too
directory = "hello"          # where the module lies
at = "/"                     # the path, or the list of paths, this app answers
"""

APP = '''\
"""A web application in plain Python: no framework, nothing to install."""

from html import escape

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 17px/1.6 system-ui, sans-serif }}
  main {{ max-width: 40rem; margin: 12vh auto; padding: 0 1rem }}
  code {{ background: #8882; padding: .1em .35em; border-radius: .3em }}
</style>
<main>
<h1>{title}</h1>
<p>This page comes from <code>hello/hello.py</code>. Change it, save, and load this page again.</p>
<p>You asked for <code>{path}</code>.</p>
<ul>
  <li><code>mergepoint add ../my-app --at /my-app</code> adds an app you already have.</li>
  <li><code>mergepoint status</code> shows the processes.</li>
  <li><code>mergepoint explain /</code> tells why this app answered.</li>
</ul>
</main>
"""


def application(environ, start_response):
    """Answer every request with one page (see PEP 3333)."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    body = PAGE.format(title="It works", path=escape(path)).encode()
    start_response(
        "200 OK",
        [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))],
    )
    return [body]
'''

README = """\
# {name}

A site made of small apps, described by `mergepoint.toml`.

```console
$ mergepoint run        # development: http://127.0.0.1:8000/, a changed app restarts alone
$ mergepoint check      # everything that is wrong with the manifest
$ mergepoint start      # production, in the foreground, JSON logs
```

`hello/` holds the first app. Add another one with `mergepoint add PATH --at /path`.
"""

GITIGNORE = ".mergepoint/\n__pycache__/\n.venv/\n.env\n"


class NewRefused(MergepointError):
    """A new site cannot be made where the user said."""

    code = "cli.new_refused"


def site_name(text: str) -> str:
    """Return the nearest allowed name of a site: lower case, a letter first, 40 at most."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = re.sub(r"^[^a-z]+", "", name)
    return name[:SITE_NAME_MAX].rstrip("-") or "site"


def starter_files(name: str) -> Mapping[str, str]:
    """Return the text of every file of a new site, by relative path."""
    name = site_name(name)
    return {
        "mergepoint.toml": MANIFEST.format(name=name),
        "hello/hello.py": APP,
        "README.md": README.format(name=name),
        ".gitignore": GITIGNORE,
    }


def write_new(directory: Path, files: Mapping[str, str]) -> list[Path]:
    """Write `files` below `directory`; raise `NewRefused` before the first when any is there."""
    taken = [name for name in files if (directory / name).exists() and name != ".gitignore"]
    if taken:
        raise NewRefused(
            f"{directory} already has {', '.join(taken)}; nothing was written",
            next="mergepoint new OTHER-NAME, or mergepoint run for the site that is there",
        )
    written = []
    try:
        for name, text in files.items():
            path = directory / name
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise NewRefused(
            f"cannot write {error.filename or directory}: {error.strerror}",
            next="choose a directory you may write to",
        ) from error
    return written
