"""A place to type Git commands at, as on the machine of somebody who works on the forge.

Place:  tests/forge_identity -> [git_desk] -> git
Rule:   real Git with no configuration but what a command says.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

GIT_S_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Runs Git in `place`; `code` is where the forge keeps repositories."""

    place: Path
    code: str

    def url(self, token: str = "", user: str = "__token__", repository: str = "orchard.git") -> str:
        """Return the address of a repository, with a token as its password."""
        scheme, _, rest = self.code.partition("://")
        proof = f"{quote(user, safe='')}:{quote(token, safe='')}@" if token else ""
        return f"{scheme}://{proof}{rest}/{repository}"

    def run(self, *arguments: str, at: str = ".") -> tuple[int, str]:
        """Run Git and return its exit code and everything it said."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.place / at,
            env=self._environment(),
            capture_output=True,
            timeout=GIT_S_MAX,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace").strip()

    def git(self, *arguments: str, at: str = ".") -> str:
        """Run Git, which must succeed, and return what it said."""
        code, said = self.run(*arguments, at=at)
        assert code == 0, said
        return said

    def commit(self, at: str, name: str, data: bytes = b"text\n") -> str:
        """Commit a file and return the commit's name."""
        (self.place / at / name).write_bytes(data)
        self.git("add", name, at=at)
        self.git("commit", "-q", "-m", f"Add {name}", at=at)
        return self.git("rev-parse", "HEAD", at=at)

    def tip(self, branch: str, url: str = "") -> str:
        """Return the commit a branch of the forge is at; empty for none."""
        return self.git("ls-remote", url or self.url(), f"refs/heads/{branch}")[:40]

    def _environment(self) -> dict[str, str]:
        parts = {"NAME": "Writer", "EMAIL": "writer@example.org"}
        who = {f"GIT_{r}_{p}": v for r in ("AUTHOR", "COMMITTER") for p, v in parts.items()}
        quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}
        return (
            {"PATH": os.environ["PATH"], "HOME": str(self.place), "LC_ALL": "C.UTF-8"} | who | quiet
        )
