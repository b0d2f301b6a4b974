"""Session tokens that were never issued, or not like this, or not to this client.

Place:  [forgeries] -> test_forgeries
Rule:   each differs from a genuine token in one thing only, so that only one check can refuse it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ENCODED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Forger:
    """Has one genuine token, the site's own signing key for shapes only, and a key of their own."""

    def __init__(self, genuine: str, site_key: Ed25519PrivateKey) -> None:
        self.genuine = genuine
        self.site = site_key
        self.own = Ed25519PrivateKey.generate()
        self.head_text, self.claims_text, self.signature_text = genuine.split(".")
        self.head: dict[str, Any] = json.loads(unb64(self.head_text))
        self.claims: dict[str, Any] = json.loads(unb64(self.claims_text))

    def signed(self, head: bytes, claims: bytes, key: Ed25519PrivateKey) -> str:
        content = f"{b64(head)}.{b64(claims)}"
        return f"{content}.{b64(key.sign(content.encode()))}"

    def by_site(self, head: dict[str, Any] | None = None, **changes: Any) -> str:
        """Sign with the site's key: only the content may refuse it."""
        claims = {k: v for k, v in {**self.claims, **changes}.items() if v is not ...}
        return self.signed(as_json(head or self.head), as_json(claims), self.site)

    def unsigned(self) -> dict[str, str]:
        """Return tokens without the site's signature."""
        head, claims, signature = self.head_text, self.claims_text, self.signature_text
        root = b64(as_json({**self.claims, "user": "root", "roles": ["admin"]}))
        none = {
            alg: b64(as_json({**self.head, "alg": alg})) for alg in ("none", "None", "NONE", "")
        }
        public = self.site.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        pem = self.site.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        own_x = b64(self.own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": own_x}
        tokens = {f"algorithm {alg!r}": f"{text}.{claims}." for alg, text in none.items()}
        tokens |= {
            f"algorithm {a!r}, old signature": f"{t}.{claims}.{signature}" for a, t in none.items()
        }
        for name, key in {"raw": public, "PEM": pem, "base64": b64(public).encode()}.items():
            text = b64(as_json({**self.head, "alg": "HS256"}))
            mac = hmac.new(key, f"{text}.{claims}".encode(), hashlib.sha256).digest()
            tokens[f"HS256 with the public key, {name}"] = f"{text}.{claims}.{b64(mac)}"
        for extra in (
            {"jwk": jwk},
            {"jku": "http://127.0.0.1/keys"},
            {"x5u": "http://127.0.0.1/c"},
        ):
            head_bytes = as_json({**self.head, **extra})
            tokens[f"own key offered by {next(iter(extra))}"] = self.signed(
                head_bytes, as_json(self.claims), self.own
            )
        tokens["own key under the site's name"] = self.signed(
            as_json(self.head), as_json(self.claims), self.own
        )
        for kid in ("", "../../etc/passwd", "' or 1=1 --", "e0\0", "x" * 300, 7, None, ["e0"]):
            tokens[f"key {str(kid)[:20]!r}"] = self.signed(
                as_json({**self.head, "kid": kid}), as_json(self.claims), self.own
            )
        return tokens | {
            "changed claims": f"{head}.{root}.{signature}",
            "no signature": f"{head}.{claims}.",
            "zero signature": f"{head}.{claims}.{b64(bytes(64))}",
            "short signature": f"{head}.{claims}.{signature[:-4]}",
            "long signature": f"{head}.{claims}.{signature}AAAA",
            "high S": f"{head}.{claims}.{b64(_malleable(unb64(signature)))}",
        }

    def misspelt(self) -> dict[str, str]:
        """Return genuine content and signature in another spelling."""
        head, claims, signature = self.head_text, self.claims_text, self.signature_text
        last = ENCODED[(ENCODED.index(signature[-1]) & ~0b1111) | 0b0001]
        return {
            "padding": f"{head}==.{claims}.{signature}==",
            "unused bits": f"{head}.{claims}.{signature[:-1]}{last}",
            "fourth part": f"{self.genuine}.AAAA",
            "two parts": f"{head}.{claims}",
            "empty part in front": f".{self.genuine}",
            "JSON form": json.dumps({"protected": head, "payload": claims, "signature": signature}),
            "percent": self.genuine.replace(".", "%2E"),
            "standard alphabet": f"{head}+/.{claims}.{signature}",
            "doubled": self.genuine + self.genuine,
        }

    def miswritten(self) -> dict[str, str]:
        """Return tokens that the site's own key signed, with content the site never writes."""
        head = self.head
        far = self.claims["iat"] + 10 * 365 * 86400
        crit = {**head, "crit": ["exp"]}
        twice = as_json(self.claims)[:-1] + b',"user":"root"}'
        return {
            "another type": self.by_site({**head, "typ": "JWT"}),
            "the type of an app's token": self.by_site({**head, "typ": "mpi+jwt"}),
            "no type": self.by_site({k: v for k, v in head.items() if k != "typ"}),
            "no key name": self.by_site({k: v for k, v in head.items() if k != "kid"}),
            "crit": self.by_site(crit),
            "b64 false": self.by_site({**head, "b64": False}),
            "compressed": self.by_site({**head, "zip": "DEF"}),
            "another site": self.by_site(aud="another"),
            "several sites": self.by_site(aud=[self.claims["aud"], "another"]),
            "no site": self.by_site(aud=...),
            "another issuer": self.by_site(iss="mergepoint:another"),
            "no issuer": self.by_site(iss=...),
            "ended long ago": self.by_site(iat=1.0, exp=601.0),
            "no end": self.by_site(exp=...),
            "end as text": self.by_site(exp=str(far)),
            "end before beginning": self.by_site(iat=far, exp=far - 1),
            "from the future": self.by_site(iat=far, exp=far + 600),
            "no subject": self.by_site(sub=...),
            "empty subject": self.by_site(sub=""),
            "subject as number": self.by_site(sub=1),
            "no session": self.by_site(sid=...),
            "a name no person has": self.by_site(user="Root\r\nRemote-User: root"),
            "upper-case name": self.by_site(user="ROOT"),
            "claims as list": self.signed(as_json(head), b"[1]", self.site),
            "claims not JSON": self.signed(as_json(head), b"{", self.site),
            "a claim twice": self.signed(as_json(head), twice, self.site),
            "header twice": self.signed(
                as_json(head)[:-1] + b',"alg":"none"}', as_json(self.claims), self.site
            ),
        }


def _malleable(signature: bytes) -> bytes:
    """Add the order of the group to S (RFC 8032 section 5.1.7 has verifiers refuse it)."""
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    return signature[:32] + s.to_bytes(32, "little")
