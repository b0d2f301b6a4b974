"""The page of P2: a Flask app that reads 20 rows from SQLite and renders a template.

Place:  every Python server of P2 -> [page]
Rule:   what an ordinary page costs; no cache, one connection for each thread.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

from flask import Flask, render_template

DATABASE = Path(os.environ["BENCH_DATABASE"])
app = Flask(__name__)
local = threading.local()


def connection() -> sqlite3.Connection:
    """Return this thread's connection."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(DATABASE)
    return local.connection


@app.get("/")
def page() -> str:
    """Render twenty rows."""
    rows = connection().execute("select id, title, state from tickets order by id limit 20")
    return render_template("page.html", rows=rows.fetchall())
