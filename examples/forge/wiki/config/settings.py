"""Django's settings for the wiki; the environment says only where things are.

Place:  the environment -> [settings] -> django
Rule:   safe by default; the mount is never written here, it comes with each request.
"""

import os
import secrets
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[1]
FORGE = BASE_DIR.parent
DATA = Path(os.environ.get("FORGE_DATA", FORGE / ".mergepoint" / "forge")).resolve() / "wiki"
SHELL = Path(os.environ.get("FORGE_SHELL", FORGE / "shell")).resolve()


def secret_key(data: Path) -> str:
    """Return the key that signs sessions, shared by every worker; made on the first call."""
    file = data / "secret"
    if not file.exists():
        data.mkdir(parents=True, exist_ok=True)
        made = data / f".secret.{os.getpid()}"
        made.touch(0o600)
        made.write_text(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            file.hardlink_to(made)  # whole at once, and only for the first who comes
        made.unlink()
    return file.read_text()


SECRET_KEY = secret_key(DATA)
DEBUG = False
# Which hosts exist is decided by the front door; set FORGE_HOSTS when there is none.
ALLOWED_HOSTS = os.environ.get("FORGE_HOSTS", "*").split(",")

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "pages",
]
# In a site, people are those of the site. Alone, they are those of Django's own tables, made with
# `manage.py createsuperuser`.
IN_SITE = find_spec("mergepoint") is not None and find_spec("mergepoint.identity") is not None
# Whether the site has a bus, and there is somebody to tell of changes.
HAS_BUS = "MERGEPOINT_BUS" in os.environ
# Where the wiki hangs, for links that are made outside of requests.
MOUNT = os.environ.get("MERGEPOINT_MOUNT", "").rstrip("/") + "/"
ADAPTER = ["mergepoint.identity.adapters.django.IdentityMiddleware"] if IN_SITE else []
BACKEND = "mergepoint.identity.adapters.django.IdentityBackend"
AUTHENTICATION_BACKENDS = [BACKEND if IN_SITE else "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "/-/accounts/login" if IN_SITE else "admin:login"
MERGEPOINT_STAFF_ROLES = MERGEPOINT_SUPERUSER_ROLES = ["admin"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "pages.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    *ADAPTER,
    "django.contrib.messages.middleware.MessageMiddleware",
    "pages.middleware.for_one_reader",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [SHELL / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "pages.shell.context",
                "pages.people.context",
            ],
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "wiki.db",
        "OPTIONS": {
            "timeout": 5,
            # Writers queue at the start of a transaction instead of failing in its middle.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
STATIC_URL = "static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "pages.assets.MountedStatic"},
}

# Several apps share one host, so each names its cookies after itself.
SESSION_COOKIE_NAME = "wiki_session"
CSRF_COOKIE_NAME = "wiki_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "pages.errors.forged_form"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 512 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
}
