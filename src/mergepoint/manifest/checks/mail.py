"""Mail as a whole: one place for the password, files that are there, and secrets that are none.

Place:  manifest.load -> [manifest.checks.mail]
Rule:   looks at files and the handed environment, never at the network; no secret in a message.
"""

from __future__ import annotations

from pathlib import Path

from mergepoint.core.problems import Severity
from mergepoint.manifest.access import ACCOUNTS, Mail
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.shown import KeyPath
from mergepoint.manifest.site import Mode, Site
from mergepoint.manifest.validate import Draft, Report

MAIL: KeyPath = ("identity", "mail")
VARIABLE = "SMTP_PASSWORD"


def check_mail(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    """Report what of [identity.mail] cannot work."""
    mail = site.identity.mail if site.identity else None
    if mail is None or "mail" in draft.identity_broken:
        return
    _places(mail, report)
    _password(mail, site.mode, report)
    _files(mail, report, machine)


def _places(mail: Mail, report: Report) -> None:
    written = mail.password.value or mail.password.variable
    if written and mail.password_file:
        fix = "keep one of them"
        report.add((*MAIL, "password_file"), "there is a password beside it", fix=fix)
    if (written or mail.password_file) and not mail.user:
        fix = 'write the name into smtp: "smtp://accounts@mail.example.org:587"'
        report.add((*MAIL, "smtp"), "names nobody the password belongs to", fix=fix)


def _password(mail: Mail, mode: Mode, report: Report) -> None:
    secret, path = mail.password, (*MAIL, "password")
    if secret.variable and not secret.value:
        message = f"the variable {secret.variable} is not set"
        fix = f"export {secret.variable}=..., or in development write it into .env"
        _stops(report, path, message, fix, secret.shown)
    elif secret.value and not secret.variable:
        report.add(
            path,
            "is a secret in a file that is copied and committed",
            fix=f'write "env:{VARIABLE}" and put the secret into that variable',
            severity=Severity.ERROR if mode is Mode.PRODUCTION else Severity.WARNING,
        )


def _files(mail: Mail, report: Report, machine: Machine) -> None:
    for key, written in (("password_file", mail.password_file), ("ca", mail.ca)):
        if written and not machine.is_file(Path(written)):
            fix = "correct the path, or remove the key"
            _stops(report, (*MAIL, key), f"there is no file {written}", fix)
    if mail.password_file and machine.is_open_to_others(Path(mail.password_file)):
        report.add(
            (*MAIL, "password_file"),
            f"every user may read {mail.password_file}",
            fix=f"chmod 600 {mail.password_file}",
            severity=Severity.WARNING,
        )


def _stops(report: Report, path: KeyPath, message: str, fix: str, value: object = None) -> None:
    report.add(path, message, fix=fix, value=value, severity=Severity.APP, app=ACCOUNTS)
