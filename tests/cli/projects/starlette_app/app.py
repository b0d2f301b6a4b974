from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware

app = Starlette()
app = SessionMiddleware(app, secret_key="for tests")

raise RuntimeError("detection reads this file; it must never import it")
