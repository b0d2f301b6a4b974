"""Changing a document as MongoDB's update operators do.

Place:  documents.operations -> [documents.update] -> documents.match, paths, values
Rule:   pure: a document in, another one out; checked whole before any document is touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from mergepoint.data.documents import values
from mergepoint.data.documents.contract import UPDATE_OPERATORS, sort_of
from mergepoint.data.documents.match import element_matcher, is_operators, literal, tested
from mergepoint.data.documents.paths import parts_of, position
from mergepoint.data.documents.values import MISSING, key, sort_key
from mergepoint.data.errors import QueryRefused

PADDING_MAX = 10_000
"""Nulls that `$set` of an element beyond the end of a list may add."""
MODIFIERS = {"$each", "$slice", "$sort", "$position"}
Parts = tuple[str, ...]
Change = Callable[[Any], Any]
"""From the value at a path, or `MISSING`, to the one that shall be there, or `MISSING`."""
Step = tuple[Parts, Change]


class Updater:
    """A compiled update."""

    def __init__(self, update: Mapping[str, Any]) -> None:
        """Raise `QueryRefused` for what is not understood."""
        if not is_operators(update):
            raise QueryRefused("an update is made of operators: {'$set': {...}}")
        self._steps: list[Step] = []
        self._at_insert: list[Step] = []
        self._renames: list[tuple[Parts, Parts]] = []
        touched: list[Parts] = []
        for name, fields in update.items():
            if name not in UPDATE_OPERATORS:
                known = ", ".join(UPDATE_OPERATORS)
                raise QueryRefused(f"{name} is not supported; there are {known}")
            if not isinstance(fields, Mapping) or not fields:
                raise QueryRefused(f"{name} takes a dict that is not empty")
            for path, value in fields.items():
                parts = parts_of(path)
                touched.append(parts)
                self._add(name, parts, value, touched)
        _refuse_conflicts(touched)

    def applied(self, document: dict[str, Any], *, inserting: bool = False) -> dict[str, Any]:
        """Return the changed document; raise `QueryRefused` where a value has the wrong type."""
        changed = copy.deepcopy(document)
        for parts, change in self._steps + (self._at_insert if inserting else []):
            _changed(changed, parts, change)
        for old, new in self._renames:
            _rename(changed, old, new)
        if not inserting and key(changed.get("_id")) != key(document.get("_id")):
            raise QueryRefused("_id cannot be changed")
        return changed

    def _add(self, name: str, parts: Parts, value: Any, touched: list[Parts]) -> None:
        if name == "$rename":
            target = parts_of(value)
            touched.append(target)
            self._renames.append((parts, target))
        elif name == "$setOnInsert":
            self._at_insert.append((parts, _to(literal(value))))
        else:
            self._steps.append((parts, _CHANGES[name](value)))


def _refuse_conflicts(touched: list[Parts]) -> None:
    ordered = sorted(touched)
    for one, other in pairwise(ordered):
        if other[: len(one)] == one:
            raise QueryRefused(f"{'.'.join(one)} and {'.'.join(other)} are changed by one update")


def _changed(document: Any, parts: Parts, change: Change) -> None:
    """Put what `change` makes of the value at `parts` there, with the documents on the way."""
    place = document
    for number, part in enumerate(parts[:-1]):
        below = _get(place, part)
        if below is MISSING:
            if change(MISSING) is MISSING:
                return
            below = {}
            _put(place, part, below)
        elif not isinstance(below, dict | list):
            if change(MISSING) is MISSING:
                return
            said = ".".join(parts[: number + 1])
            raise QueryRefused(f"{said} is {type(below).__name__}; nothing can be below it")
        place = below
    old = _get(place, parts[-1])
    new = change(old)
    if new is not MISSING:
        _put(place, parts[-1], new)
    elif old is not MISSING:
        _remove(place, parts[-1])


def _get(place: Any, part: str) -> Any:
    if isinstance(place, dict):
        return place.get(part, MISSING)
    number = position(part)
    if number is None:
        return MISSING
    return place[number] if number < len(place) else MISSING


def _put(place: Any, part: str, value: Any) -> None:
    if isinstance(place, dict):
        place[part] = value
        return
    number = position(part)
    if number is None:
        raise QueryRefused(f"{part!r} is no place in a list")
    if number - len(place) > PADDING_MAX:
        raise QueryRefused(f"element {number} of a list of {len(place)}: too far beyond its end")
    place.extend([None] * (number + 1 - len(place)))
    place[number] = value


def _remove(place: Any, part: str) -> None:
    if isinstance(place, dict):
        place.pop(part, None)
        return
    number = position(part)
    if number is not None and number < len(place):
        place[number] = None  # an element of a list is unset to null, never taken out


def _rename(document: Any, old: Parts, new: Parts) -> None:
    place = document
    for part in old[:-1]:
        place = _get(place, part)
        if isinstance(place, list):
            raise QueryRefused("$rename does not go through lists")
        if not isinstance(place, dict):
            return
    if isinstance(place, dict) and old[-1] in place:
        value = place.pop(old[-1])
        _changed(document, new, _to(value))


def _to(value: Any) -> Change:
    return lambda _: copy.deepcopy(value)


def _number(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise QueryRefused(f"{name} takes a number, not {type(value).__name__}")
    return literal(value)


def _arithmetic(name: str, by: Any, missing: Any, work: Callable[[Any, Any], Any]) -> Change:
    amount = _number(name, by)

    def change(old: Any) -> Any:
        if old is MISSING:
            return missing(amount)
        return literal(work(_number(f"{name} at a value that", old), amount))

    return change


def _extreme(value: Any, sign: int) -> Change:
    wanted = literal(value)

    def change(old: Any) -> Any:
        if old is MISSING:
            return wanted
        more = key(wanted) > key(old) if sign > 0 else key(wanted) < key(old)
        return wanted if more else old

    return change


def _list(name: str, old: Any) -> list[Any]:
    if old is MISSING:
        return []
    if not isinstance(old, list):
        raise QueryRefused(f"{name} at a value that is {type(old).__name__}, not a list")
    return old


def _push(value: Any) -> Change:
    how: Mapping[str, Any] = value if is_operators(value) else {"$each": [value]}
    unknown = set(how) - MODIFIERS
    if unknown or not isinstance(how.get("$each"), list | tuple):
        raise QueryRefused(f"$push takes $each (a list) with {', '.join(sorted(MODIFIERS))}")
    added = [literal(one) for one in how["$each"]]
    at, keep, order = how.get("$position"), how.get("$slice"), how.get("$sort")
    for number in (at, keep):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
            raise QueryRefused("$position and $slice take whole numbers")

    def change(old: Any) -> Any:
        whole = list(_list("$push", old))
        place = len(whole) if at is None else at
        whole[place:place] = added
        if order is not None:
            whole = _ordered(whole, order)
        if keep is not None:
            whole = whole[:keep] if keep >= 0 else whole[keep:]
        return whole

    return change


def _ordered(whole: list[Any], order: Any) -> list[Any]:
    if isinstance(order, int):
        return sorted(whole, key=key, reverse=order < 0)
    from mergepoint.data.documents import paths

    for field, direction in reversed(sort_of(tuple(dict(order).items()))):
        parts = parts_of(field)
        whole = sorted(
            whole,
            key=lambda one, p=parts, d=direction: sort_key(list(paths.values(one, p)), d),  # type: ignore[misc]
            reverse=direction < 0,
        )
    return whole


def _add_to_set(value: Any) -> Change:
    how = value if is_operators(value) else {"$each": [value]}
    if set(how) != {"$each"} or not isinstance(how["$each"], list | tuple):
        raise QueryRefused("$addToSet takes a value, or {'$each': [...]}")
    added = [literal(one) for one in how["$each"]]

    def change(old: Any) -> Any:
        whole = list(_list("$addToSet", old))
        there = {key(one) for one in whole}
        for one in added:
            if key(one) not in there:
                there.add(key(one))
                whole.append(copy.deepcopy(one))
        return whole

    return change


def _pull(value: Any) -> Change:
    if isinstance(value, Mapping):
        matches = element_matcher(value, 0)
    else:
        test = tested(value, 0)
        matches = lambda one: test([one])  # noqa: E731 - the other way to the same function

    def change(old: Any) -> Any:
        if old is MISSING:
            return MISSING
        return [one for one in _list("$pull", old) if not matches(one)]

    return change


def _pull_all(value: Any) -> Change:
    if not isinstance(value, list | tuple):
        raise QueryRefused("$pullAll takes a list")
    gone = {key(literal(one)) for one in value}

    def change(old: Any) -> Any:
        if old is MISSING:
            return MISSING
        return [one for one in _list("$pullAll", old) if key(one) not in gone]

    return change


def _pop(value: Any) -> Change:
    if value not in (1, -1):
        raise QueryRefused("$pop takes 1 (the last) or -1 (the first)")

    def change(old: Any) -> Any:
        if old is MISSING:
            return MISSING
        whole = _list("$pop", old)
        return whole[:-1] if value == 1 else whole[1:]

    return change


_CHANGES: Mapping[str, Callable[[Any], Change]] = {
    "$set": lambda value: _to(literal(value)),
    "$unset": lambda _: lambda _old: MISSING,
    "$inc": lambda by: _arithmetic("$inc", by, lambda amount: amount, lambda a, b: a + b),
    "$mul": lambda by: _arithmetic("$mul", by, lambda amount: type(amount)(0), lambda a, b: a * b),
    "$min": lambda value: _extreme(value, -1),
    "$max": lambda value: _extreme(value, 1),
    "$push": _push,
    "$addToSet": _add_to_set,
    "$pull": _pull,
    "$pullAll": _pull_all,
    "$pop": _pop,
}


def replacement(document: Mapping[str, Any], id_: Any) -> dict[str, Any]:
    """Return a whole document with this `_id`; raise `QueryRefused` for operators or another."""
    if is_operators(document):
        raise QueryRefused("a replacement is a document, without operators")
    checked = values.checked(document)
    if "_id" in checked and key(checked["_id"]) != key(id_):
        raise QueryRefused("_id cannot be changed")
    return {"_id": id_, **checked}
