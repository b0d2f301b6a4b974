"""Identity where frameworks keep their own users: one file for each, imported by name.

Place:  identity -> [identity.adapters] -> Django, Flask-Login, Pyramid, Starlette, FastAPI, Bottle
Rule:   a file imports only its own framework; nothing here is needed for `of` and `requires`.
"""
