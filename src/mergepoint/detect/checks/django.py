"""Django settings that decide whether a project works at a mount behind a front door.

Place:  detect.preflight -> [detect.checks.django]
Rule:   pure; settings are read as literals with `ast`, what is computed is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergepoint.detect.candidate import Finding
from mergepoint.detect.checks.mounts import within
from mergepoint.detect.subject import Subject

UNKNOWN = object()
"""The value of a setting that is computed when Django starts."""
STATIC_SERVERS = ("whitenoise", "staticfiles_urlpatterns", "StaticFilesHandler", "finders.find")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings modules of a project, merged: value and place of each name."""

    values: Mapping[str, Any]
    places: Mapping[str, str]
    file: str

    def where(self, name: str) -> str:
        """Return ``shop/settings.py:28``; the file alone when the setting is not there."""
        return self.places.get(name, self.file)

    def has(self, name: str) -> bool:
        """Tell whether the setting is written at all."""
        return name in self.values

    def get(self, name: str) -> Any:
        """Return the literal value, `UNKNOWN` when computed, None when absent."""
        return self.values.get(name)


def django_findings(subject: Subject, others: Sequence[Subject]) -> Iterator[Finding]:  # noqa: ARG001
    """Report what a Django project needs for this mount."""
    if subject.framework != "Django":
        return
    settings = read_settings(subject)
    if settings is None:
        return
    yield from _hosts(settings)
    yield from _script_name(settings, subject)
    yield from _urls(settings, subject)
    yield from _static(settings, subject)


def read_settings(subject: Subject) -> Settings | None:
    """Return the settings of the project, None when no settings module is recognised."""
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    file = ""
    for name, text in subject.tree.python():
        base = "ROOT_URLCONF" in text and "INSTALLED_APPS" in text
        part = "/settings/" in f"/{name}" and name.endswith(".py")
        if not (base or part):
            continue
        file = name if base or not file else file
        for setting, line, value in _assignments(text):
            values[setting] = value
            places[setting] = f"{name}:{line}"
    return Settings(values, places, file) if file else None


def _assignments(text: str) -> Iterator[tuple[str, int, Any]]:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.isupper():
                try:
                    yield name, node.lineno, ast.literal_eval(node.value)
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    yield name, node.lineno, UNKNOWN


def _hosts(settings: Settings) -> Iterator[Finding]:
    if settings.get("ALLOWED_HOSTS") in ([], (), None):
        debug = settings.get("DEBUG") is True
        yield Finding(
            "note" if debug else "warning",
            "allowed_hosts",
            "ALLOWED_HOSTS is empty: once DEBUG is off every request is answered 400",
            'ALLOWED_HOSTS = ["localhost", "127.0.0.1", "your.host"]',
            settings.where("ALLOWED_HOSTS"),
        )
    if not settings.has("CSRF_TRUSTED_ORIGINS"):
        yield Finding(
            "note",
            "csrf_trusted_origins",
            "CSRF_TRUSTED_ORIGINS is not set: forms sent over https through a proxy in front of "
            "the site are refused when it changes the host",
            'CSRF_TRUSTED_ORIGINS = ["https://your.host"]',
            settings.file,
        )
    if settings.get("DEBUG") is True:
        yield Finding(
            "note",
            "debug",
            "DEBUG is on in the source, for production too",
            'DEBUG = os.environ.get("MERGEPOINT_MODE") == "development"',
            settings.where("DEBUG"),
        )


def _script_name(settings: Settings, subject: Subject) -> Iterator[Finding]:
    forced = settings.get("FORCE_SCRIPT_NAME")
    if isinstance(forced, str) and forced.rstrip("/") != subject.mount:
        yield Finding(
            "error",
            "force_script_name",
            f"FORCE_SCRIPT_NAME is {forced!r}, the mount is {subject.mount or '/'!r}: "
            "every link will be wrong",
            "remove FORCE_SCRIPT_NAME; the worker is told its mount",
            settings.where("FORCE_SCRIPT_NAME"),
        )


def _urls(settings: Settings, subject: Subject) -> Iterator[Finding]:
    if not subject.mount:
        return
    for name in ("STATIC_URL", "MEDIA_URL"):
        value = settings.get(name)
        if isinstance(value, str) and value.startswith("/") and not within(value, subject.mount):
            yield Finding(
                "warning",
                name.lower(),
                f"{name} = {value!r} starts at the root of the host, outside {subject.mount}",
                f'{name} = "{value.lstrip("/")}"  (then Django puts the mount in front)',
                settings.where(name),
            )
    for name in ("LOGIN_URL", "LOGIN_REDIRECT_URL", "LOGOUT_REDIRECT_URL"):
        value = settings.get(name)
        if isinstance(value, str) and value.startswith("/") and not within(value, subject.mount):
            yield Finding(
                "warning",
                name.lower(),
                f"{name} = {value!r} is used as it is and will miss {subject.mount}",
                f'give the name of a URL pattern: {name} = "login"',
                settings.where(name),
            )
    if not settings.has("LOGIN_URL") and subject.mentions("login_required", "LoginRequiredMixin"):
        yield Finding(
            "warning",
            "login_url",
            "LOGIN_URL is not set and stands for '/accounts/login/', which misses the mount",
            'LOGIN_URL = "login"',
            settings.file,
        )


def _static(settings: Settings, subject: Subject) -> Iterator[Finding]:
    installed = settings.get("INSTALLED_APPS")
    if not isinstance(installed, list | tuple) or "django.contrib.staticfiles" not in installed:
        return
    if subject.mentions(*STATIC_SERVERS):
        return
    url = settings.get("STATIC_URL")
    below = url.strip("/") if isinstance(url, str) else "static"
    root = "" if settings.has("STATIC_ROOT") else 'STATIC_ROOT = BASE_DIR / "staticfiles", '
    yield Finding(
        "warning",
        "static_files",
        "static files are served by runserver only; pages will come without styles",
        f"{root}python manage.py collectstatic, and an app "
        f'static = "staticfiles" at = "{subject.mount}/{below}"; or use whitenoise',
        settings.where("STATIC_URL"),
    )
