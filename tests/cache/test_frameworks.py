"""SQLAlchemy under Flask, Django's models, aiosqlite under Starlette: found without their help."""

from __future__ import annotations

from pathlib import Path

from .conftest import Ask, reasons, tags

FLASK = """
from flask import Flask, render_template_string
from sqlalchemy import create_engine, select, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy import ForeignKey

class Base(DeclarativeBase): pass

class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

class Ticket(Base):
    __tablename__ = "tickets"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    owner_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    owner: Mapped[Person] = relationship()

engine = create_engine("URL")
app = Flask(__name__)

@app.get("/ticket/<int:number>")
def ticket(number):
    with Session(engine) as session:
        return render_template_string("{{ t.title }}", t=session.get(Ticket, number))

@app.get("/lazy/<int:number>")
def lazy(number):
    with Session(engine) as session:
        return session.get(Ticket, number).owner.name

@app.get("/all")
def every():
    with Session(engine) as session:
        return ",".join(t.title for t in session.scalars(select(Ticket).order_by(Ticket.title)))

@app.get("/text")
def written():
    with engine.connect() as connection:
        return str(connection.execute(text("SELECT count(*) FROM people")).scalar())

@app.get("/owned/<int:owner>")
def owned(owner):
    with Session(engine) as session:
        return str(len(session.scalars(select(Ticket).where(Ticket.owner_id == owner)).all()))
"""

DJANGO = """
import django
from django.conf import settings
from django.db import models
settings.configure(
    SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, INSTALLED_APPS=[],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", DATABASES={"default": DATABASE})
django.setup()
from django.http import HttpResponse
from django.urls import path
from django.core.wsgi import get_wsgi_application

class Person(models.Model):
    name = models.TextField()
    class Meta: app_label, db_table = "given", "people"

class Ticket(models.Model):
    title = models.TextField()
    owner = models.ForeignKey(Person, models.CASCADE)
    class Meta: app_label, db_table = "given", "tickets"

def one(request, number):
    return HttpResponse(Ticket.objects.get(pk=number).title)

def lazy(request, number):
    return HttpResponse(Ticket.objects.get(pk=number).owner.name)

def fetched(request):
    return HttpResponse(",".join(
        t.owner.name for t in Ticket.objects.filter(pk__in=[42, 43]).prefetch_related("owner")))

def joined(request):
    return HttpResponse(",".join(t.owner.name for t in Ticket.objects.select_related("owner")))

urlpatterns = [path("one/<int:number>", one), path("lazy/<int:number>", lazy),
               path("fetched", fetched), path("joined", joined)]
app = get_wsgi_application()
"""

STARLETTE = """
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

engine = create_async_engine("URL")

async def one(request):
    async with engine.connect() as connection:
        asked = text("SELECT title FROM tickets WHERE id = :id")
        row = await connection.execute(asked, {"id": 42})
        return PlainTextResponse(row.scalar())

app = Starlette(routes=[Route("/one", one)])
"""
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "main.db"}


def test_sqlalchemy_on_sqlite(ask: Ask, sqlite: Path) -> None:
    source = FLASK.replace("URL", "sqlite:///main.db")
    paths = ["/ticket/42", "/lazy/42", "/all", "/text", "/owned/1", "/ticket/42", "/ticket/43"]
    assert tags(ask(source, paths)) == [
        ["main/tickets:id=42"],
        ["main/people:id=1", "main/tickets:id=42"],
        ["main/tickets"],
        ["main/people"],
        ["main/tickets:owner_id=1"],
        ["main/tickets:id=42"],
        ["main/tickets:id=43"],
    ]


def test_django_on_sqlite(ask: Ask, sqlite: Path) -> None:
    source = f"DATABASE = {SQLITE!r}\n{DJANGO}"
    assert tags(ask(source, ["/one/42", "/lazy/42", "/fetched", "/joined"])) == [
        ["main/tickets:id=42"],
        ["main/people:id=1", "main/tickets:id=42"],
        ["main/people:id=1", "main/people:id=2", "main/tickets:id=42", "main/tickets:id=43"],
        ["main/people", "main/tickets"],
    ]


def test_aiosqlite_under_starlette(ask: Ask, sqlite: Path) -> None:
    source = STARLETTE.replace("URL", "sqlite+aiosqlite:///main.db")
    assert tags(ask(source, ["/one"], interface="asgi")) == [["main/tickets:id=42"]]


def test_sqlalchemy_on_postgresql(ask: Ask, postgres: str) -> None:
    source = FLASK.replace("URL", postgres.replace("postgresql://", "postgresql+psycopg://"))
    # A new connection asks the catalogue about types; its request is not kept.
    paths = ["!/text", "/ticket/42", "/lazy/42", "/all", "/text", "/owned/1", "/ticket/42"]
    assert tags(ask(source, paths, databases={"main": postgres})[1:]) == [
        ["main/tickets:id=42"],
        ["main/people:id=1", "main/tickets:id=42"],
        ["main/tickets"],
        ["main/people"],
        ["main/tickets:owner_id=1"],
        ["main/tickets:id=42"],
    ]


def test_django_on_postgresql(ask: Ask, postgres: str) -> None:
    from psycopg.conninfo import conninfo_to_dict

    told = conninfo_to_dict(postgres)
    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": told["dbname"], "HOST": told["host"],
        "PORT": told.get("port", ""), "USER": told["user"], "PASSWORD": told.get("password", ""),
    }  # fmt: skip
    source = f"DATABASE = {database!r}\n{DJANGO}"
    paths = ["!/joined", "/one/42", "/lazy/42", "/fetched", "/joined"]
    assert tags(ask(source, paths, databases={"main": postgres})[1:]) == [
        ["main/tickets:id=42"],
        ["main/people:id=1", "main/tickets:id=42"],
        ["main/people:id=1", "main/people:id=2", "main/tickets:id=42", "main/tickets:id=43"],
        ["main/people", "main/tickets"],
    ]


def test_async_psycopg_under_starlette(ask: Ask, postgres: str) -> None:
    source = STARLETTE.replace("URL", postgres.replace("postgresql://", "postgresql+psycopg://"))
    said = ask(source, ["!/one", "/one", "/one"], interface="asgi", databases={"main": postgres})[
        1:
    ]
    assert tags(said) == [["main/tickets:id=42"], ["main/tickets:id=42"]]
    assert reasons(said) == ["", ""]
