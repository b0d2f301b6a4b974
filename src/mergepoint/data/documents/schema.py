"""JSON Schema for a collection.

Place:  documents.opening -> [documents.schema] -> jsonschema
Rule:   a document that does not satisfy it is never written; a bad schema never starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.data.documents.values import encode
from mergepoint.data.errors import DataRefused, DocumentRefused

ERRORS_SHOWN_MAX = 5
Validate = Callable[[dict[str, Any]], None]


def validator(schema: Mapping[str, Any] | None, name: str) -> Validate:
    """Return what raises `DocumentRefused`; dates are checked as their ISO text."""
    if schema is None:
        return lambda _: None
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
    except ModuleNotFoundError:
        raise DataRefused(
            "jsonschema is not installed in this app's environment",
            next="pip install 'mergepoint[documents]'",
        ) from None
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "its root"
        raise DataRefused(f"the schema of {name} is wrong at {where}: {error.message}") from None
    checks = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def validate(document: dict[str, Any]) -> None:
        errors = sorted(checks.iter_errors(_plain(document)), key=lambda one: list(one.path))
        if errors:
            said = [f"{'.'.join(map(str, e.path)) or 'document'}: {e.message}" for e in errors]
            more = len(said) - ERRORS_SHOWN_MAX
            shown = "; ".join(said[:ERRORS_SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")
            raise DocumentRefused(f"{name}: {shown}")

    return validate


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def size_checked(document: dict[str, Any], bytes_max: int) -> str:
    """Return the document as JSON; raise `DocumentRefused` when it is too long."""
    text = encode(document)
    size = len(text.encode())
    if size > bytes_max:
        raise DocumentRefused(f"a document of {size} bytes; it may have {bytes_max}")
    return text
