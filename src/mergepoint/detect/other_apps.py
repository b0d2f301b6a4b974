"""Applications that are not Python: Procfile, Node, Go, Rust, PHP, and plain directories.

Place:  detect.tree -> [detect.other_apps] -> detect.project
Rule:   pure; a command is offered only when it will be told its port.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from mergepoint.detect.candidate import Candidate, Serve
from mergepoint.detect.frameworks import NODE_FRAMEWORKS
from mergepoint.detect.tree import Tree

PROCFILE_LINE = re.compile(r"^(\w+)\s*:\s*(.+)$", re.MULTILINE)
NODE_ENTRIES = ("server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs", "app.mjs")
BUILT_SITES = ("dist", "build", "public", "_site", "site", "out", "www", "html")


def other_candidates(tree: Tree) -> Iterator[Candidate]:
    """Yield every way to serve this tree that is not WSGI or ASGI."""
    yield from _procfile(tree)
    yield from _node(tree)
    yield from _compiled(tree)
    yield from _static(tree)


def _procfile(tree: Tree) -> Iterator[Candidate]:
    text = tree.texts.get("Procfile", "")
    for match in PROCFILE_LINE.finditer(text):
        if match[1] != "web":
            continue
        try:
            words = tuple(shlex.split(match[2]))
        except ValueError:
            return
        line = text.count("\n", 0, match.start()) + 1
        yield Candidate(
            framework="Procfile",
            serve=Serve.COMMAND,
            directory=tree.root,
            where=f"Procfile:{line}",
            command=procfile_command(words),
            score=45,
        )


def procfile_command(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a Procfile's command with our name for the port; through a shell only if it must."""
    told = tuple(re.sub(r"\$\{?PORT\b(?::-\d+)?\}?", "{port}", word) for word in words)
    if any(re.search(r"[$|&;<>`*?]|^\w+=", word) for word in told):
        return ("sh", "-c", "exec " + " ".join(words))
    return told


def _node(tree: Tree) -> Iterator[Candidate]:
    text = tree.texts.get("package.json")
    if text is None:
        yield from _bare_node(tree)
        return
    package = _package(text)
    scripts = package.get("scripts")
    scripts = scripts if isinstance(scripts, dict) else {}
    framework = node_framework(package)
    main = package.get("main")
    entries = [main] if isinstance(main, str) else []
    entry = next((e for e in [*entries, *NODE_ENTRIES] if tree.has(e.removeprefix("./"))), "")
    if "start" in scripts:
        direct = _direct(str(scripts["start"]))
        command = direct or ("npm", "run", "--silent", "start")
    elif entry:
        command = ("node", entry.removeprefix("./"))
    else:
        return
    needs = "" if tree.has("package-lock.json") or not _depends(package) else "run: npm install"
    if not (tree.root / "node_modules").is_dir() and _depends(package):
        needs = "run: npm ci" if tree.has("package-lock.json") else "run: npm install"
    yield Candidate(
        framework=framework,
        serve=Serve.COMMAND,
        directory=tree.root,
        where="package.json:1",
        command=command,
        score=48,
        needs=needs,
    )


def _bare_node(tree: Tree) -> Iterator[Candidate]:
    """Give a server of one file without a package: it says so by its name and by listening."""
    for entry in NODE_ENTRIES:
        text = tree.texts.get(entry, "")
        # A script for browsers loads nothing and listens nowhere.
        if ".listen(" in text and ("require(" in text or "import " in text):
            yield Candidate(
                framework="Node",
                serve=Serve.COMMAND,
                directory=tree.root,
                where=f"{entry}:1",
                command=("node", entry),
                score=46,
            )
            return


def _direct(script: str) -> tuple[str, ...]:
    """Return ``node server.js`` as it is, so that no npm stands between us and the server."""
    try:
        words = tuple(shlex.split(script))
    except ValueError:
        return ()
    plain = words[:1] == ("node",) and not any(set(w) & set("$|&;<>`=") for w in words)
    return words if plain else ()


def node_framework(package: Mapping[str, Any]) -> str:
    """Return the name of the most telling dependency, ``Node`` when none tells anything."""
    needed = _depends(package)
    return next((shown for name, shown in NODE_FRAMEWORKS.items() if name in needed), "Node")


def _depends(package: Mapping[str, Any]) -> Mapping[str, Any]:
    needed = package.get("dependencies")
    return needed if isinstance(needed, dict) else {}


def _package(text: str) -> Mapping[str, Any]:
    try:
        package = json.loads(text)
    except ValueError:
        return {}
    return package if isinstance(package, dict) else {}


def _compiled(tree: Tree) -> Iterator[Candidate]:
    for marker, framework, build, binary in (
        ("go.mod", "Go", "go build -o app .", "./app"),
        ("Cargo.toml", "Rust", "cargo build --release", "./target/release/NAME"),
    ):
        if tree.has(marker):
            name = _crate(tree.texts.get(marker, "")) if framework == "Rust" else ""
            yield Candidate(
                framework=framework,
                serve=Serve.COMMAND,
                directory=tree.root,
                where=f"{marker}:1",
                command=(binary.replace("NAME", name or "app"),),
                score=30,
                needs=f"run: {build}, and let it listen on the port in PORT",
            )


def _crate(text: str) -> str:
    match = re.search(r'^\s*name\s*=\s*"([^"]+)"', text, re.MULTILINE)
    return match[1] if match else ""


def _static(tree: Tree) -> Iterator[Candidate]:
    if tree.has("index.html"):
        yield _directory(tree, "", 25)
    for name in BUILT_SITES:
        if tree.has(f"{name}/index.html"):
            yield _directory(tree, name, 32 if tree.has("package.json") else 22)


def _directory(tree: Tree, name: str, score: int) -> Candidate:
    return Candidate(
        framework="static files",
        serve=Serve.STATIC,
        directory=tree.root,
        where=f"{name}/index.html".removeprefix("/"),
        target=name or ".",
        score=score,
    )
