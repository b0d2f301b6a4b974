"""A real OpenID Connect provider (npm's oidc-provider) as a child process, and a person at it.

Place:  tests -> [openid] -> node, tests/accounts_pages/provider
Rule:   installed from the lock file into .tools/, never into the repository; ended by its own id.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx2

from mergepoint_testkit.services import require_program

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "tests" / "accounts_pages" / "provider"
PLACE = ROOT / ".tools" / "openid-provider"
INSTALL_S_MAX = 240
END_S_MAX = 10
STEPS_MAX = 12
SECRET = "a-secret-that-only-this-test-and-its-provider-know"
PEOPLE = {
    "subject-rosa": {
        "name": "Rosa Quince",
        "preferred_username": "rosa",
        "email": "rosa@orchard.example",
        "email_verified": True,
        "groups": ["growers", "everybody"],
    },
    "subject-otto": {"name": "Otto", "email": "otto@orchard.example", "email_verified": False},
}


@dataclass(frozen=True, slots=True)
class OpenId:
    """A running provider."""

    issuer: str
    process: subprocess.Popen[str]


def installed() -> Path:
    """Return the directory with the provider, installed as its lock file says."""
    npm = require_program("npm")
    lock = (SOURCE / "package-lock.json").read_text()
    stamp = PLACE / "installed.json"
    if not stamp.is_file() or stamp.read_text() != lock:
        PLACE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(SOURCE / name, PLACE / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=PLACE, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False
        )
        assert done.returncode == 0, done.stderr
        stamp.write_text(lock)
    shutil.copyfile(SOURCE / "provider.mjs", PLACE / "provider.mjs")
    return PLACE


@contextmanager
def running_provider(*redirect_uris: str, **client: object) -> Iterator[OpenId]:
    """Run a provider that knows one client, ``mergepoint``, and `PEOPLE`."""
    node = require_program("node")
    told: dict[str, object] = {
        "client_id": "mergepoint",
        "client_secret": SECRET,
        "redirect_uris": list(redirect_uris),
        "scope": "openid profile email groups",
        **client,
    }
    process = subprocess.Popen(
        [node, "provider.mjs"],
        cwd=installed(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(
            json.dumps(
                {"clients": [{k: v for k, v in told.items() if v is not None}], "people": PEOPLE}
            )
            + "\n"
        )
        process.stdin.flush()
        issuer = process.stdout.readline().strip()
        assert issuer.startswith("http://127.0.0.1:"), "the provider did not start"
        yield OpenId(issuer, process)
    finally:
        process.kill()
        process.wait(END_S_MAX)
        process.stdin.close()
        process.stdout.close()


def log_in(address: str, account: str, *, agrees: bool = True) -> str:
    """Return where the provider sends somebody who logs in as `account`, as a browser would."""
    with httpx2.Client(timeout=10) as browser:
        answer = browser.get(address)
        for _ in range(STEPS_MAX):
            if answer.is_redirect:
                onward = urljoin(str(answer.url), answer.headers["location"])
                if not onward.startswith(address.split("/auth")[0]):
                    return onward
                answer = browser.get(onward)
                continue
            assert answer.status_code == 200, answer.text
            form = re.search(r'action="([^"]+)"', answer.text)
            assert form, answer.text
            prompt = "login" if 'name="login"' in answer.text else "consent"
            if not agrees:
                answer = browser.get(f"{form[1]}/abort")
                continue
            typed = {"prompt": prompt, "login": account, "password": "any will do"}
            answer = browser.post(urljoin(str(answer.url), form[1]), data=typed)
    raise AssertionError(f"the provider did not send the browser back within {STEPS_MAX} steps")
