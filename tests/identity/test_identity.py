"""The identity an app holds: decoded late, frozen, and nothing where nobody was proven."""

from __future__ import annotations

import ast
import copy
import dataclasses
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mergepoint_testkit.identities import claims, signed

from mergepoint.host import offer, who
from mergepoint.identity import ANONYMOUS, Identity, IdentityUnreadable, contract
from mergepoint.identity.permissions import PermissionRefused, checked, covering, grants
from mergepoint.identity.subject import arrived, of_claims

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "mergepoint" / "identity"
PLAIN = ("contract", "demand", "finding", "permissions", "refusal", "subject")

names = st.sampled_from([*contract.TEXTS, *contract.LISTS])
values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text() | st.integers())
words = st.text(st.sampled_from("ab."), min_size=1, max_size=8)


def test_an_identity_says_what_the_edge_signed() -> None:
    told = claims("ada", roles=["admin"], groups=["team"], permissions=["wiki.*"])
    found = arrived(signed(told))

    assert (found.sub, found.user, found.kind) == ("sub-of-ada", "ada", "person")
    assert found.name == "Ada Ünique"
    assert (found.email, found.lang, found.amr) == ("ada@example.org", "de", ("pwd",))
    assert (found.roles, found.groups) == (("admin",), ("team",))
    assert found.has_role("admin") and not found.has_role("team") and found.in_group("team")
    assert found.auth_time == told["auth_time"]
    assert found.session == "s" * 22
    assert not found.anonymous
    assert found == of_claims(told)


def test_nobody_is_anonymous_and_may_nothing() -> None:
    assert ANONYMOUS.anonymous
    assert not ANONYMOUS.may("wiki.edit")
    assert not Identity(permissions=("*",)).may("wiki.edit"), "permissions without a subject"
    assert ANONYMOUS.user == "" and ANONYMOUS.roles == ()


def test_it_cannot_be_changed() -> None:
    for found in (ANONYMOUS, arrived(signed(claims()))):
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.user = "root"  # type: ignore[misc]


def test_a_name_that_is_no_field_is_an_attribute_error_and_decodes_nothing() -> None:
    with pytest.raises(AttributeError, match="no attribute 'username'"):
        arrived("no token at all").username  # noqa: B018


def test_copies_and_pickles_carry_the_fields_and_never_the_token() -> None:
    token = signed(claims())
    for made in (pickle.loads(pickle.dumps(arrived(token))), copy.deepcopy(arrived(token))):
        assert made == arrived(token)
    assert token.rpartition(".")[2].encode() not in pickle.dumps(arrived(token))


def test_threads_that_look_at_once_all_see_the_same() -> None:
    for _ in range(50):
        found = arrived(signed(claims("ada", roles=["admin"])))
        gate = threading.Barrier(4)
        seen: list[object] = []

        def look(who: Identity = found, at: threading.Barrier = gate) -> None:
            at.wait()
            seen.append((who.user, who.roles))  # noqa: B023

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [("ada", ("admin",))] * 4
    # One that asked before and comes to decode after all others finds what they left.
    assert found.__getattr__("user") == "ada"


BROKEN = {
    "no token": "nonsense",
    "two parts": "a.b",
    "no base64": "a.!!!.c",
    "no JSON": "a." + "bm9uc2Vuc2U" + ".c",
    "a list": "a." + "W10" + ".c",
    "nobody": signed(claims(sub="")),
    "no name": signed(claims(user="")),
    "roles as a text": signed(claims(roles="admin")),
    "a number for a role": signed(claims(roles=[1])),
    "a text for a time": signed(claims(auth_time="now")),
    "a number for a name": signed(claims(name=3)),
    "longer than any header": "a." + "A" * 20_000 + ".c",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_read_is_an_error_at_the_first_look_and_never_nobody(what: str) -> None:
    found = arrived(BROKEN[what])

    for _ in range(2):
        with pytest.raises(IdentityUnreadable):
            found.anonymous  # noqa: B018


@settings(deadline=None)
@given(st.dictionaries(names, values))
def test_any_claims_give_an_identity_or_a_clear_error(told: dict[str, object]) -> None:
    try:
        found = of_claims(json.loads(json.dumps(told)))
    except IdentityUnreadable:
        return
    assert found.sub and found.user
    assert all(isinstance(name, str) for name in found.roles)


@settings(deadline=None)
@given(st.sets(words | words.map(lambda w: w + ".*") | st.just("*"), max_size=4), words)
def test_a_permission_covers_what_the_contract_says(held: set[str], wanted: str) -> None:
    by_rule = any(
        name in ("*", wanted) or (name.endswith(".*") and wanted.startswith(name[:-1]))
        for name in held
    )

    assert grants(held, wanted) is by_rule
    assert Identity(sub="1", user="a", permissions=tuple(held)).may(wanted) is by_rule


def test_the_covering_names_begin_with_the_permission_itself() -> None:
    assert covering("a.b.c") == ["a.b.c", "*", "a.*", "a.b.*"]


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\n", "x" * 129])
def test_a_text_that_cannot_name_a_permission_is_refused(name: str) -> None:
    with pytest.raises(PermissionRefused):
        checked(name)


def test_the_host_and_the_package_mean_the_same_names() -> None:
    assert contract.ENVIRON_KEY == who.ENVIRON_KEY
    assert contract.SCOPE_KEYS == ("mergepoint", who.SCOPE_KEY)
    assert who.HEADER.decode() == contract.HEADER.lower()
    assert "HTTP_" + contract.HEADER.upper().replace("-", "_") == who.ENVIRON_HEADER


def sources() -> list[Path]:
    plain = [PACKAGE / f"{name}.py" for name in PLAIN]
    host = (ROOT / "src" / "mergepoint" / "host").glob("*.py")
    return [*plain, *PACKAGE.glob("adapters/*.py"), PACKAGE / "verify.py", *host]


@pytest.mark.parametrize("path", sources(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_python_3_8_can_read_what_apps_import(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = [base for node in classes for base in node.bases]
    assert not any(isinstance(base, ast.Subscript) for base in bases), "list[...] is of 3.9"
    assert "from __future__ import annotations" in path.read_text() or path.stem == "__init__"


OLD = """
import base64, importlib, json, pickle, runpy, sys
boot = runpy.run_path(sys.argv[1], run_name="boot")
boot["load_package"]()
importlib.import_module("mergepoint_host.offer").register()
shim = importlib.import_module("mergepoint_host.wsgi").WsgiShim
importlib.import_module("mergepoint_host.together")
from mergepoint.identity import of, requires
import mergepoint.identity.verify

@requires("a.b", role="x")
def app(environ, start_response):
    start_response("200 OK", [])
    return [of(environ).user.encode(), environ["REMOTE_USER"].encode()]

def ask(**more):
    heads = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "",
               "wsgi.url_scheme": "http", **more}
    body = shim(app, True, set())(environ, lambda status, headers, error=None: heads.append(status))
    return heads[0][:3] + " " + b"".join(body).decode().split(";")[0]

print(ask(HTTP_MERGEPOINT_IDENTITY=sys.argv[2], HTTP_REMOTE_USER="ada"), ask(), sep="|")
try:
    import mergepoint.bus.errors
except ImportError as error:
    assert sys.version_info < (3, 11) and "MERGEPOINT_BUS_HTTP" in str(error), error
"""


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_old_and_new_pythons_run_the_host_and_what_apps_import(
    version: str, tmp_path: Path
) -> None:
    python = shutil.which(f"python{version}")
    environ = {**os.environ, "PYENV_VERSION": version}  # which of its Pythons pyenv starts
    if python is None or subprocess.run([python, "-V"], env=environ, check=False).returncode != 0:
        pytest.skip(f"no Python {version} here")
    (tmp_path / "old.py").write_text(OLD)
    token = signed(claims("ada", permissions=["a.*"]))
    done = subprocess.run(
        [python, "-I", "-B", tmp_path / "old.py", ROOT / "src/mergepoint/host/boot.py", token],
        capture_output=True, text=True, timeout=60, check=False, env=environ,
    )  # fmt: skip

    assert done.stdout == "200 adaada|401 this needs permission a.b or role x\n", done.stderr


def test_importing_it_loads_nothing_but_the_standard_library() -> None:
    script = (
        "import sys; before = set(sys.modules); import mergepoint.identity\n"
        "print('\\n'.join(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", script], env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout.split()  # fmt: skip
    others = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    ours = {name for name in loaded if name.startswith("mergepoint")}

    assert others == {"mergepoint"}
    assert ours == {
        "mergepoint",
        "mergepoint.identity",
        *(f"mergepoint.identity.{n}" for n in PLAIN),
    }
    assert not {"asyncio", "urllib.request", "ssl", "email"} & set(loaded)


def test_what_is_offered_to_apps_leaves_out_what_belongs_to_the_site() -> None:
    offered = {
        "mergepoint.identity": True,
        "mergepoint.identity.adapters.django": True,
        "mergepoint.identity.accounts": False,
        "mergepoint.identity.accounts.service.login": False,
        "mergepoint.identity.keys": False,
        "mergepoint.identity.guards": False,
        "mergepoint.identity.told": False,
        "mergepoint.identity.": False,
        "mergepoint.identityx": False,
        "mergepoint.bus": True,
        "mergepoint.bus.adapters.hub": True,
        "mergepoint.bus.hub": False,
        "mergepoint.bus.gateway.run": False,
        "mergepoint.tasks.runner": True,
        "mergepoint.assembly": True,
        "mergepoint.assembly.connect": True,
        "mergepoint.assembly.build": False,
        "mergepoint.cli": False,
        "mergepoint": False,
    }

    assert {name: offer.is_offered(name) for name in offered} == offered
    assert offer.Offer().find_spec("mergepoint.cli") is None
    assert offer.Offer().find_spec("mergepoint.identity.nothing") is None
    found = offer.Offer().find_spec("mergepoint")
    assert found is not None and found.submodule_search_locations == []
