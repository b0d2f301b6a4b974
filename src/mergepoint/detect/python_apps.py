"""The Python applications of a project, across its files, best first.

Place:  detect.python_source -> [detect.python_apps] -> detect.project
Rule:   names are followed through the project's own imports; nothing outside it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mergepoint.detect.candidate import Candidate, Serve
from mergepoint.detect.python_source import AppName, Source, read_source
from mergepoint.detect.tree import Tree

ENTRY_STEMS: Mapping[str, int] = {
    "wsgi": 30,
    "asgi": 28,
    "app": 16,
    "application": 16,
    "main": 15,
    "__init__": 14,
    "server": 10,
    "web": 6,
}
ENTRY_NAMES: Mapping[str, int] = {
    "application": 11,
    "app": 10,
    "create_app": 8,
    "make_app": 8,
    "server": 4,
}
ASIDE = frozenset(
    {"tests", "test", "testing", "examples", "example", "docs", "doc", "scripts", "bench"}
    | {"benchmarks", "migrations", "samples", "demo", "demos", "tools"}
)
"""Directories whose applications are not the project's own."""
PYRAMID_ENTRY = 'application = pyramid.paster.get_app("production.ini")'


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file can be imported from: `directory` on the path, dotted `module`."""

    directory: Path
    module: str


def python_candidates(tree: Tree) -> list[Candidate]:
    """Return every way to serve this tree as WSGI or ASGI, in no order."""
    sources = {name: read_source(name, text) for name, text in tree.python()}
    places = {name: locate(tree, name, source) for name, source in sources.items()}
    modules = {place.module: sources[name] for name, place in places.items()}
    _follow(sources, places, modules)
    found = [
        _candidate(app, source, places[name])
        for name, source in sources.items()
        for app in source.apps.values()
    ]
    found.extend(_default_bottle(sources, places))
    return found


def syntax_errors(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield ``file:line`` and the message of every Python file that does not parse."""
    for name, text in tree.python():
        error = read_source(name, text).error
        if error and not ASIDE & set(PurePosixPath(name).parts):
            line, _, message = error.partition(": ")
            yield f"{name}:{line}", message


def locate(tree: Tree, file: str, source: Source) -> Location:
    """Find the directory from which `file` is imported, and its dotted name there."""
    path = PurePosixPath(file)
    parts = list(path.parts[:-1])
    keep = 0
    while keep < len(parts) and tree.has("/".join([*parts[: len(parts) - keep], "__init__.py"])):
        keep += 1
    tops = {name.split(".")[0] for name in source.imports.values()}
    while keep < len(parts) and parts[len(parts) - keep - 1] in tops:
        keep += 1
    base = parts[: len(parts) - keep]
    dotted = parts[len(parts) - keep :]
    directory = tree.root.joinpath(*base)
    if not base and keep == len(parts) and tree.has("__init__.py"):
        directory, dotted = tree.root.parent, [tree.root.name, *dotted]
    if path.stem != "__init__":
        dotted = [*dotted, path.stem]
    return Location(directory, ".".join(dotted) or path.stem)


def _follow(
    sources: Mapping[str, Source], places: Mapping[str, Location], modules: Mapping[str, Source]
) -> None:
    """Give names that come from another file of the project what they are there."""
    for _ in range(3):  # a chain of three files is as long as entry points get
        changed = False
        for name, source in sources.items():
            for local, line, called in _foreign(source):
                app = _resolve(called or local, name, places, modules)
                if app is None or (called and app.arguments < 0):
                    continue
                arguments = -1 if called else app.arguments
                source.apps[local] = AppName(local, app.maker, line, arguments)
                changed = True
        if not changed:
            return


def _foreign(source: Source) -> Iterator[tuple[str, int, str]]:
    for local, (called, line) in source.calls.items():
        if local not in source.apps:
            yield local, line, called
    stem = PurePosixPath(source.file).stem
    if stem in ENTRY_STEMS:
        for local in source.imports:
            if local in {"app", "application"} and local not in source.apps:
                yield local, 1, ""


def _resolve(
    name: str, file: str, places: Mapping[str, Location], modules: Mapping[str, Source]
) -> AppName | None:
    source = modules.get(places[file].module)
    qualified = source.imports.get(name, name) if source else name
    if qualified.startswith("."):
        qualified = _absolute(qualified, file, places[file].module)
    module, _, attribute = qualified.rpartition(".")
    target = modules.get(module) if module else source
    return target.apps.get(attribute) if target else None


def _absolute(qualified: str, file: str, module: str) -> str:
    level = len(qualified) - len(qualified.lstrip("."))
    parts = module.split(".")
    package = parts if PurePosixPath(file).stem == "__init__" else parts[:-1]
    base = package[: len(package) - (level - 1)]
    return ".".join([*base, qualified.lstrip(".")])


def _candidate(app: AppName, source: Source, place: Location) -> Candidate:
    needs = _needs(app)
    factory = "()" if app.arguments >= 0 else app.maker.attribute and f".{app.maker.attribute}"
    return Candidate(
        framework=app.maker.framework,
        serve=app.maker.serve,
        directory=place.directory,
        where=f"{source.file}:{app.line}",
        target=f"{place.module}:{app.name}{factory or ''}",
        score=_score(app, source.file) - (40 if needs else 0),
        needs=needs,
        exists=not needs,
    )


def _needs(app: AppName) -> str:
    if app.arguments <= 0:
        return ""
    if app.maker.framework == "Pyramid":
        return f"the factory takes settings; write wsgi.py with: {PYRAMID_ENTRY}"
    return (
        f"{app.name} takes {app.arguments} required arguments; "
        f"write wsgi.py with: application = {app.name}(...)"
    )


def _score(app: AppName, file: str) -> int:
    path = PurePosixPath(file)
    score = 50 + ENTRY_STEMS.get(path.stem, 0) + ENTRY_NAMES.get(app.name, 0)
    score -= 4 * (len(path.parts) - 1)
    if ASIDE & set(path.parts) or path.stem.startswith("test_") or path.stem == "conftest":
        score -= 60
    if app.maker.framework in {"WSGI", "ASGI"}:
        score -= 20
    if app.maker.framework == "Django" and app.maker.serve is Serve.ASGI:
        score -= 10
    return score


def _default_bottle(
    sources: Mapping[str, Source], places: Mapping[str, Location]
) -> Iterator[Candidate]:
    """Find modules that use Bottle's hidden default application and so have no name to serve."""
    for name, source in sources.items():
        uses_default = {"bottle.route", "bottle.get", "bottle.post"} & set(source.imports.values())
        if uses_default and not source.apps:
            yield Candidate(
                framework="Bottle",
                serve=Serve.WSGI,
                directory=places[name].directory,
                where=f"{name}:1",
                target=f"{places[name].module}:application",
                score=20,
                needs=f"add to {name}: application = bottle.default_app()",
                exists=False,
            )
