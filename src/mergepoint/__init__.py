"""Merge small web apps, in any framework or language, into one site."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mergepoint.assembly.connect import Site, connect

__version__ = "0.1.0"
__all__ = ["Site", "__version__", "connect"]


def __getattr__(name: str) -> Any:
    """Import `connect` and `Site` when an app first asks for them; nobody else pays."""
    if name in ("Site", "connect"):
        from mergepoint.assembly import connect as found

        return getattr(found, name)
    raise AttributeError(f"module 'mergepoint' has no attribute {name!r}")
