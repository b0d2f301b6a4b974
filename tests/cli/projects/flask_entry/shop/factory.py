from flask import Flask


def create_app(name):
    return Flask(name)


raise RuntimeError("detection reads this file; it must never import it")
