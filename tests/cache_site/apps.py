"""One table behind two frameworks that know nothing of a cache, and the site that merges them.

Place:  tests.cache_site -> [apps]
Rule:   each write adds one to the counter of its key, so the newest value is the greatest.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

KEYS = 4
TABLES = """
CREATE TABLE kv (id integer PRIMARY KEY, v integer NOT NULL);
INSERT INTO kv VALUES (1, 0), (2, 0), (3, 0), (4, 0);
"""

FLASK = """
from flask import Flask
from sqlalchemy import create_engine, text

engine = create_engine({url!r})
app = Flask(__name__)

@app.get("/kv/<int:key>")
def read(key):
    with engine.connect() as db:
        return str(db.execute(text("SELECT v FROM kv WHERE id = :key"), {{"key": key}}).scalar())

@app.get("/sum")
def total():
    with engine.connect() as db:
        return str(db.execute(text("SELECT sum(v) FROM kv")).scalar())

@app.post("/kv/<int:key>")
def write(key):
    with engine.begin() as db:
        asked = text("UPDATE kv SET v = v + 1 WHERE id = :key RETURNING v")
        return str(db.execute(asked, {{"key": key}}).scalar())
"""

DJANGO = """
import django
from django.conf import settings
from django.db import connection, models, transaction
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", DATABASES={{"default": {database!r}}})
django.setup()
from django.core.wsgi import get_wsgi_application
from django.db.models import F
from django.http import HttpResponse
from django.urls import path

class Counter(models.Model):
    v = models.IntegerField()
    class Meta: app_label, db_table = "kv", "kv"

def one(request, key):
    if request.method == "POST":
        with transaction.atomic():
            Counter.objects.filter(pk=key).update(v=F("v") + 1)
            return HttpResponse(str(Counter.objects.get(pk=key).v))
    return HttpResponse(str(Counter.objects.get(pk=key).v))

urlpatterns = [path("kv/<int:key>", one)]
app = get_wsgi_application()
"""

MANIFEST = """
[site]
name = "counters"
listen = "127.0.0.1:{port}"

[[databases]]
name = "main"
url = "URL"

[apps.flask]
wsgi = "kv_flask:app"
at = "/flask"
cache = "auto"
threads = 4

[apps.django]
wsgi = "kv_django:app"
at = "/django"
cache = "auto"
threads = 4
"""


def write_site(directory: Path, url: str) -> str:
    """Write both apps for a database, its table if it is a file; return the manifest."""
    if url.startswith("sqlite:///"):
        file = directory / "kv.db"
        with sqlite3.connect(file) as db:
            db.execute("PRAGMA journal_mode = wal")
            db.executescript(TABLES)
        db.close()
        engine, django = (
            f"sqlite:///{file}",
            {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)},
        )
        django["OPTIONS"] = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
    else:
        from psycopg.conninfo import conninfo_to_dict

        told = conninfo_to_dict(url)
        engine = url.replace("postgresql://", "postgresql+psycopg://")
        django = {
            "ENGINE": "django.db.backends.postgresql", "NAME": told["dbname"],
            "HOST": told["host"], "PORT": told.get("port", ""), "USER": told["user"],
            "PASSWORD": told.get("password", ""), "CONN_MAX_AGE": None,
        }  # fmt: skip
    (directory / "kv_flask.py").write_text(FLASK.format(url=engine))
    (directory / "kv_django.py").write_text(DJANGO.format(database=django))
    return MANIFEST.replace("URL", url if "postgres" in url else "sqlite:///kv.db")
