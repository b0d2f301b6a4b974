from flask import Flask


def create_app(settings=None):
    app = Flask(__name__)
    app.config.from_mapping(settings or {})
    return app


raise RuntimeError("detection reads this file; it must never import it")
