"""`mergepoint users`: who may log in, and as what.

Place:  cli.main -> [cli.commands.users] -> identity.accounts.service
Rule:   what these commands do is done at once, for the running site too, and stands in its audit
        log under the name of the system's user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.identity.accounts.caller import Caller
    from mergepoint.identity.accounts.service.accounts import Accounts
    from mergepoint.identity.accounts.service.links import IssuedLink
    from mergepoint.identity.accounts.service.person import Person


@click.group()
@common_options
def command() -> None:
    """Add people and services, and change what they may do."""


@command.command()
@click.argument("user")
@click.option("--name", default="", help="What people call them.")
@click.option("--email", default="", metavar="ADDRESS", help="Another name to log in with.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role; again for more.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group; again for more.")
@click.option("--service", is_flag=True, help="A program: no password, only API tokens.")
@click.option("--link", is_flag=True, help="Print a link for setting the password, ask for none.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@common_options
def add(
    user: str,
    name: str,
    email: str,
    roles: tuple[str, ...],
    groups: tuple[str, ...],
    service: bool,
    link: bool,
    password_stdin: bool,
) -> None:
    """Add a person, or a service, named USER.

    The password is asked for, twice; --link prints a link with which they set their own.
    """
    from mergepoint.cli.accounts import ask_password, site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, say

    with site_accounts(invocation()) as (accounts, by):
        stored = None
        if not service and not link:
            instead = f"mergepoint users add {user} --link"
            password = ask_password(from_stdin=password_stdin, instead=instead)
            stored = accounts.passwords.hashed(password, user, name, email)
        person = accounts.people.add(
            user,
            by,
            name=name,
            email=email,
            kind="service" if service else "person",
            roles=roles,
            groups=groups,
            password_hash=stored,
        )
        data(f"{person.user}: {person.kind}, {_list(person.roles)}")
        if link:
            _show_link(accounts.joining.reset_link(person.sub, by))
        if service:
            say(f"next: mergepoint tokens create {user} NAME")


@command.command("list")
@click.argument("text", default="")
@json_option
@common_options
def list_(text: str) -> None:
    """List people and services; TEXT is a part of a name or address."""
    from mergepoint.cli.accounts import site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table

    with site_accounts(invocation()) as (accounts, _by):
        people: list[Person] = []
        while page := accounts.people.search(text, after=people[-1].user if people else ""):
            people += page
    if invocation().as_json:
        document({"users": [_row(person) for person in people]})
        return
    if not people:
        say("nobody" + (f" like {text!r}" if text else "; next: mergepoint users add NAME"))
        return
    show_table(
        ("user", "kind", "state", "roles", "groups", "name", "email"),
        (
            (
                p.user,
                p.kind,
                _state(p),
                " ".join(p.roles),
                ", ".join(p.groups),
                p.name,
                p.email,
            )
            for p in people
        ),
    )


@command.command()
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@common_options
def disable(users: tuple[str, ...]) -> None:
    """Keep USER out: sessions end now, API tokens are refused."""
    _each(users, "disable", "disabled; every session has ended")


@command.command()
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@common_options
def enable(users: tuple[str, ...]) -> None:
    """Let USER in again."""
    _each(users, "enable", "may log in")


@command.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@common_options
def delete(user: str, yes: bool) -> None:
    """Remove USER for good, with sessions, API tokens and passkeys.

    The audit log keeps what it wrote, apps keep what they stored. Whoever is given the name later
    is somebody else to every app.
    """
    from mergepoint.cli.accounts import confirmed, person_named, site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data

    with site_accounts(invocation()) as (accounts, by):
        person = person_named(accounts, user)
        ends = ", ".join(
            f"{count} {what}{'' if count == 1 else 's'}"
            for count, what in (
                (len(accounts.sessions.of(person.sub)), "session"),
                (len(accounts.tokens.of(person.sub)), "API token"),
                (accounts.factors.of(person.sub).passkeys, "passkey"),
            )
        )
        question = f"delete {person.user} for good, with {ends}?"
        if yes or confirmed(question, instead=f"mergepoint users delete {user} --yes"):
            accounts.people.delete(person.sub, by)
            data(f"{person.user}: deleted; ended: {ends}")
        else:
            data(f"{person.user}: nothing was changed")


@command.command()
@click.argument("user")
@click.option("--link", is_flag=True, help="Print a link for setting it, ask for none.")
@click.option("--send", is_flag=True, help="Send them that link, and print it only if that fails.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@common_options
def passwd(user: str, link: bool, send: bool, password_stdin: bool) -> None:
    """Set the password of USER; every session of theirs ends."""
    from mergepoint.cli.accounts import ask_password, person_named, site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data

    with site_accounts(invocation()) as (accounts, by):
        person = person_named(accounts, user)
        if link or send:
            issued = accounts.joining.reset_link(person.sub, by)
            _pass_on(accounts, by, issued, person.email, person, send=send)
            return
        instead = f"mergepoint users passwd {user} --link"
        password = ask_password(from_stdin=password_stdin, instead=instead)
        accounts.passwords.set(person.sub, password, by)
        data(f"{user}: password set; every session has ended")


@command.command()
@click.argument("user")
@click.argument("roles", nargs=-1, metavar="[ROLE]...")
@click.option("--none", "nothing", is_flag=True, help="Take every role away.")
@json_option
@common_options
def roles(user: str, roles: tuple[str, ...], nothing: bool) -> None:
    """Show the roles of USER, or give them exactly these.

    Roles that a login provider gives stay until that provider takes them away.
    """
    from mergepoint.cli.accounts import person_named, site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, document, say

    if nothing and roles:
        raise click.UsageError("either --none or roles, not both")
    with site_accounts(invocation()) as (accounts, by):
        person = person_named(accounts, user)
        if roles or nothing:
            person = accounts.people.set_roles(person.sub, roles, by)
        known = {name: list(held) for name, held in sorted(accounts.settings.roles.items())}
    if invocation().as_json:
        document({"user": person.user, "roles": list(person.roles), "site": known})
        return
    data(f"{user}: {_list(person.roles)}")
    if not (roles or nothing):
        say(f"roles of this site: {', '.join(known)}")


@command.command()
@click.option("--email", default="", metavar="ADDRESS", help="Whom it is for.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role; again for more.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group; again for more.")
@click.option("--send", is_flag=True, help="Send the link there, and print it only if that fails.")
@common_options
def invite(email: str, roles: tuple[str, ...], groups: tuple[str, ...], send: bool) -> None:
    """Print a link with which one person makes an account."""
    from mergepoint.cli.accounts import site_accounts
    from mergepoint.cli.invocation import invocation

    with site_accounts(invocation()) as (accounts, by):
        issued = accounts.joining.invite(by, email=email, roles=roles, groups=groups)
        _pass_on(accounts, by, issued, email, None, send=send)


def _each(users: tuple[str, ...], verb: str, said: str) -> None:
    """Do one thing to several people; a wrong name stops before anything is done."""
    from mergepoint.cli.accounts import person_named, site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data

    with site_accounts(invocation()) as (accounts, by):
        people = [person_named(accounts, user) for user in dict.fromkeys(users)]
        act = accounts.people.disable if verb == "disable" else accounts.people.enable
        for person in people:
            act(person.sub, by)
            data(f"{person.user}: {said}")


def _pass_on(
    accounts: Accounts,
    by: Caller,
    issued: IssuedLink,
    email: str,
    person: Person | None,
    *,
    send: bool,
) -> None:
    """Print a link, or send it; one that could not be sent is printed before the error."""
    from mergepoint.cli.output import data
    from mergepoint.identity.accounts.pages.letters import send_now
    from mergepoint.identity.accounts.service.mailer import Letter
    from mergepoint.identity.accounts.service.smtp import MailFailed

    if not send:
        _show_link(issued)
        return
    user, lang = (person.user, person.lang) if person else ("", "")
    try:
        send_now(accounts, Letter(issued, email, user, lang), by)
    except MailFailed:
        _show_link(issued)
        raise
    data(f"sent to {email}")


def _show_link(issued: IssuedLink) -> None:
    from datetime import datetime

    from mergepoint.cli.output import data, say

    data(issued.url)
    until = datetime.fromtimestamp(issued.info.expires_at).astimezone()
    say(f"for one use, until {until:%Y-%m-%d %H:%M %Z}")


def _row(person: Person) -> dict[str, Any]:
    return {
        "user": person.user,
        "sub": person.sub,
        "kind": person.kind,
        "name": person.name,
        "email": person.email,
        "disabled": person.disabled,
        "roles": list(person.roles),
        "groups": list(person.groups),
        "created_at": person.created_at,
        "seen_at": person.seen_at,
        "has_password": person.password_at is not None,
    }


def _state(person: Person) -> str:
    return "disabled" if person.disabled else "active"


def _list(roles: tuple[str, ...]) -> str:
    return ", ".join(roles) or "no role"
