"""What a form sent, what is wrong with it, and whose words say so.

Place:  pages -> [pages.forms] -> templates/_parts.html
Rule:   passwords are never given back to a page; every refusal of the service has a sentence here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from werkzeug.datastructures import MultiDict

from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.pages.language import Speech
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.person import Person

VALUE_MAX = 4096
"""Characters of one value; a longer one is cut and then refused by its own rule."""
MANY_MAX = 200
SECRETS = frozenset({"password", "old", "proof_password", "code", "proof_code"})

REFUSALS: Mapping[str, tuple[str, str]] = {
    "user_name": ("user", "error.user_form"),
    "user_taken": ("user", "error.user_taken"),
    "name": ("name", "error.name"),
    "email": ("email", "error.email_form"),
    "lang": ("lang", "error.choice"),
    "role": ("roles", "error.choice"),
    "group": ("groups", "error.group_form"),
    "grants_size": ("groups", "error.grants_size"),
    "last_administrator": ("", "error.last_admin"),
    "passwords_off": ("password", "error.passwords_off"),
    "register": ("", "error.register"),
    "links": ("", "error.links"),
    "tokens": ("", "error.tokens"),
    "scope": ("scopes", "error.choice"),
    "scopes": ("scopes", "error.choice"),
    "token_life": ("life", "error.choice"),
}
"""Reason of the service -> the field it is about and its sentence."""


@dataclass(slots=True)
class Form:
    """One form: `values` and `chosen` go back into it, `errors` stand beside the fields."""

    say: Speech
    values: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    _secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def sent(cls, say: Speech, data: MultiDict[str, str], many: Iterable[str] = ()) -> Form:
        """Return what was sent; `many` are fields with any number of values."""
        form = cls(say)
        for name, value in data.items():
            if name in SECRETS:
                form._secrets[name] = value[:VALUE_MAX]
            else:
                form.values[name] = value[:VALUE_MAX].strip()
        for name in many:
            form.chosen[name] = tuple(data.getlist(name)[:MANY_MAX])
        return form

    def get(self, name: str) -> str:
        """Return a value without surrounding spaces, empty when it was not sent."""
        return self.values.get(name, "")

    def secret(self, name: str) -> str:
        """Return a password or code as it was typed."""
        return self._secrets.get(name, "")

    def require(self, name: str, label: str) -> None:
        """Note that a field is empty, in the words of its label."""
        if not (self._secrets.get(name) or self.values.get(name)):
            self.fail(name, "error.required", field=self.say(label))

    def fail(self, name: str, sentence: str, **values: object) -> None:
        """Note what is wrong with a field; an empty name means the form as a whole."""
        self.errors.setdefault(name, self.say(sentence, **values))

    def refuse(self, refused: Refused, **fields: str) -> None:
        """Note a refusal of the service; `fields` say where a reason belongs on this form."""
        name, sentence = REFUSALS.get(refused.reason, ("", "error.again"))
        name = fields.get(refused.reason, name)
        self.fail(name if name in self.values or name in self.chosen else "", sentence)

    @property
    def ok(self) -> bool:
        """Tell whether nothing was found wrong so far."""
        return not self.errors


def waiting(say: Speech, seconds: float) -> str:
    """Return how long to wait, in whole seconds or minutes, never less than it is."""
    if seconds <= 90:
        return say("wait.seconds", count=max(1, math.ceil(seconds)))
    return say("wait.minutes", count=math.ceil(seconds / 60))


def note_faults(
    service: Accounts, settings: AccountsSettings, form: Form, person: Person | None = None
) -> None:
    """Write into the form what is wrong with the new password in it."""
    user, name, email = (
        (person.user, person.name, person.email)
        if person
        else (form.get("user"), form.get("name"), form.get("email"))
    )
    faults = service.passwords.judge(form.secret("password"), user, name, email)
    if faults:
        # One at a time: what is repaired first often repairs the rest.
        form.fail(
            "password", f"error.password_{faults[0].code}", count=settings.password_length_min
        )
