//! What apps are told, and that they can verify it.

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::Engine as _;
use mergepoint_edge_core::identity::issue::{session_hash, IssueError, IDENTITY_BYTES_MAX};
use mergepoint_edge_core::identity::{Issuer, Roles};
use mergepoint_edge_core::snapshot::Identity;
use ring::signature::{UnparsedPublicKey, ED25519};
use serde_json::{json, Value};

use super::claims;

/// The seed and the public key of RFC 8037 appendix A.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

pub fn identity() -> Value {
    let seed = STANDARD.encode(URL_SAFE_NO_PAD.decode(SEED).unwrap());
    json!({
        "app": "accounts", "mount": "/-/accounts", "issuer": "mergepoint:acme",
        "signing": {"kid": "e1", "seed": seed}, "published": [{"kid": "e0", "x": PUBLIC}],
        "refresh_before_s": 300.0, "stale_s": 900.0, "skew_s": 30.0, "poll_s": 0.5, "call_s": 2.0,
        "sessions_max": 65536, "credentials_max": 16384, "credential_s": 60.0, "revocations_max": 100_000,
        "roles": {"developer": ["tickets.edit", "tickets.read"], "admin": ["*"]}
    })
}

fn checked() -> Identity {
    serde_json::from_value(identity()).unwrap()
}

fn roles() -> Roles {
    checked().roles
}

fn opened(token: &str) -> (Value, Value) {
    let (start, signature) = token.rsplit_once('.').unwrap();
    let x = URL_SAFE_NO_PAD.decode(PUBLIC).unwrap();
    UnparsedPublicKey::new(&ED25519, &x)
        .verify(
            start.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .unwrap();
    let (header, payload) = start.split_once('.').unwrap();
    let read = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (read(header), read(payload))
}

#[test]
fn an_app_can_verify_who_asks_and_never_learns_the_session() {
    let issuer = Issuer::new(&checked()).unwrap();
    let who = claims(json!({"iat": 1000.7, "auth_time": 990.2}));
    let (header, payload) = opened(&issuer.issue(&who, &roles(), "tickets", 1100.9).unwrap());
    assert_eq!(
        header,
        json!({"alg": "EdDSA", "kid": "e1", "typ": "mpi+jwt"})
    );
    assert_eq!(
        payload,
        json!({
            "iss": "mergepoint:acme", "aud": "tickets", "sub": "u1", "session": session_hash(&who),
            "iat": 1100, "exp": 1160, "auth_time": 990, "amr": ["pwd", "otp"], "kind": "person",
            "user": "ann", "name": "Ann Ä. Other", "email": "ann@example.org", "lang": "en",
            "roles": ["developer"], "groups": ["staff"], "permissions": ["tickets.edit", "tickets.read"]
        })
    );
}

#[test]
fn what_an_app_is_told_never_outlives_the_proof() {
    let issuer = Issuer::new(&checked()).unwrap();
    let end = |now_s: f64| {
        let token = issuer
            .issue(&claims(json!({})), &roles(), "tickets", now_s)
            .unwrap();
        opened(&token).1["exp"].as_u64().unwrap()
    };
    assert_eq!(end(1100.0), 1160);
    assert_eq!(end(1570.5), 1600);
    // Held up beyond its end while accounts cannot be asked: until that ends too.
    assert_eq!(end(1600.0), 1660);
    assert_eq!(end(2490.0), 2500);
}

#[test]
fn an_api_token_is_named_and_has_a_session_of_its_own() {
    let issuer = Issuer::new(&checked()).unwrap();
    let by_token =
        claims(json!({"sid": "", "token": "abcdefghijkl", "permissions": ["wiki.read"]}));
    let (_, payload) = opened(&issuer.issue(&by_token, &roles(), "wiki", 1100.0).unwrap());
    assert_eq!(payload["token"], "abcdefghijkl");
    assert_eq!(
        payload["permissions"],
        json!(["tickets.edit", "tickets.read", "wiki.read"])
    );
    let hashes = [
        session_hash(&by_token),
        session_hash(&claims(json!({}))),
        session_hash(&claims(json!({"sid": "s2"}))),
        session_hash(&claims(json!({"sid": "", "token": "bbcdefghijkl"}))),
    ];
    for (at, hash) in hashes.iter().enumerate() {
        assert_eq!(hash.len(), 22);
        assert!(!hashes[..at].contains(hash));
    }
    assert_eq!(session_hash(&claims(json!({"user": "ben"}))), hashes[1]);
}

#[test]
fn an_identity_that_no_app_could_take_is_an_error() {
    let issuer = Issuer::new(&checked()).unwrap();
    let wide = claims(json!({"name": "x".repeat(IDENTITY_BYTES_MAX)}));
    assert_eq!(
        issuer.issue(&wide, &roles(), "tickets", 1100.0),
        Err(IssueError::TooLong)
    );
}

#[test]
fn the_published_keys_begin_with_the_one_that_signs() {
    let mut identity = checked();
    identity.published.push(identity.published[0].clone());
    identity.published[1].kid = "e1".into();
    let issuer = Issuer::new(&identity).unwrap();
    let document: Value = serde_json::from_str(issuer.jwks()).unwrap();
    let key = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": PUBLIC});
    assert_eq!(document, json!({"keys": [key("e1"), key("e0")]}));
}

#[test]
fn no_debug_output_shows_the_seed() {
    let shown = format!("{:?} {:?}", checked(), Issuer::new(&checked()).unwrap());
    let seed = checked().signing.seed.bytes().to_vec();
    assert!(shown.contains("Secret(hidden)"));
    assert!(!shown.contains(&STANDARD.encode(&seed)) && !shown.contains(&format!("{seed:?}")));
}
