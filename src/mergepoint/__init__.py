"""Merge small web apps, in any framework or language, into one site."""

__version__ = "0.1.0"
