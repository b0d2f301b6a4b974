//! Session tokens: whom they prove, what apps are told, and what proves nobody.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use ring::signature::{Ed25519KeyPair, UnparsedPublicKey, ED25519};
use serde_json::{json, Value};

use super::accounts::sign;
use super::{claims, code, now_s, Site};

fn part(token: &str, at: usize) -> Value {
    let text = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[test]
fn a_proven_visitor_is_told_to_the_app() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&claims("ada", &["reader"]));
    let answer = site.get_as("/page", &cookie);
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));

    let seen = site.worker.last();
    assert_eq!(seen.field("remote-user"), Some("ada"));
    assert_eq!(seen.field("remote-name"), Some("ada Ünsal"));
    assert_eq!(seen.field("remote-email"), Some("ada@example.org"));
    assert_eq!(seen.field("remote-groups"), Some("reader,staff"));
    assert_eq!(seen.field("x-who"), Some("ada"));
    assert_eq!(seen.field("cookie"), None, "the session is accounts' alone");
    let told = part(seen.field("mergepoint-identity").unwrap(), 1);
    assert_eq!(
        (told["user"].as_str(), told["aud"].as_str()),
        (Some("ada"), Some("app"))
    );
    assert_eq!(told["permissions"], json!(["tickets.read"]));
    assert_eq!(
        (told["session"].as_str().unwrap().len(), &told["sid"]),
        (22, &Value::Null)
    );
    let life_s = told["exp"].as_f64().unwrap() - now_s();
    assert!(life_s > 0.0 && life_s <= 60.0, "{life_s}");
}

#[test]
fn what_an_app_is_told_verifies_under_the_published_keys() {
    let site = Site::with(crate::stand::Worker::saying("hello"), |snapshot| {
        let earlier = json!({"kid": "e0", "x": URL_SAFE_NO_PAD.encode([3; 32])});
        snapshot["identity"]["published"] = json!([earlier]);
    });
    let keys = site.stand.get("/.well-known/mergepoint/jwks.json");
    assert_eq!(keys.status, 200);
    let keys: Value = serde_json::from_slice(&keys.body).unwrap();
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);

    site.get_as("/", &site.accounts.cookie(&claims("ada", &[])));
    let seen = site.worker.last();
    let token = seen.field("mergepoint-identity").unwrap();
    let head = part(token, 0);
    assert_eq!(
        (head["alg"].as_str(), head["typ"].as_str()),
        (Some("EdDSA"), Some("mpi+jwt"))
    );
    let key = keys.iter().find(|key| key["kid"] == head["kid"]).unwrap();
    assert_eq!(
        (key["kty"].as_str(), key["crv"].as_str()),
        (Some("OKP"), Some("Ed25519"))
    );
    let x = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ED25519, x)
        .verify(signed.as_bytes(), &signature)
        .unwrap();
}

#[test]
fn what_a_client_says_of_itself_never_reaches_an_app() {
    let site = Site::start();
    let lies = [
        "Remote-User: root",
        "Remote-Groups: admin",
        "X-Who: root",
        "X_Who: root",
        "Mergepoint-Identity: a.b.c",
        "Mergepoint-Call: feed",
    ];
    let names = [
        "remote-user",
        "remote-groups",
        "x-who",
        "x_who",
        "mergepoint-identity",
        "mergepoint-call",
    ];

    assert_eq!(site.ask("GET", "/open/x", &lies).status, 200);
    let seen = site.worker.last();
    for name in names {
        assert_eq!(seen.field(name), None, "{name}");
    }

    let cookie = format!("Cookie: {}", site.accounts.cookie(&claims("ada", &[])));
    let mut fields = vec![cookie.as_str()];
    fields.extend(lies);
    site.ask("GET", "/", &fields);
    let seen = site.worker.last().head.to_lowercase();
    assert!(!seen.contains("root") && !seen.contains("a.b.c"), "{seen}");
    assert_eq!(seen.matches("remote-user:").count(), 1);
}

#[test]
fn the_calls_of_the_edge_cannot_be_made_by_a_client() {
    let site = Site::start();
    let answer = site.ask(
        "GET",
        "/-/accounts/edge/feed?epoch=&after=0",
        &["Mergepoint-Call: feed"],
    );
    assert_eq!(answer.status, 404);
}

#[test]
fn tokens_that_are_not_ours_prove_nobody() {
    let site = Site::start();
    let good = claims("ada", &["admin"]);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        site.accounts.token(&claims)
    };
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let own = site.accounts.token(&good);
    let (signed, _) = own.rsplit_once('.').unwrap();
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"mps+jwt"}"#);
    let body = own.split('.').nth(1).unwrap();
    let forged = [
        ("another key", sign(&other, "mps+jwt", &good)),
        ("another type", site.accounts.sign("mpi+jwt", &good)),
        ("no algorithm", format!("{unsigned}.{body}.")),
        ("no signature", format!("{signed}.")),
        ("another site", with("aud", json!("elsewhere"))),
        ("another issuer", with("iss", json!("mergepoint:elsewhere"))),
        ("the future", with("iat", json!(now_s() + 500.0))),
        ("ended long ago", with("exp", json!(now_s() - 1000.0))),
        ("a strange name", with("user", json!("Root\u{7}"))),
        ("no token", "abc".to_owned()),
    ];
    for (what, token) in &forged {
        let answer = site.get_as("/", &format!("mergepoint-session={token}"));
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (401, "identity.required"),
            "{what}"
        );
        let open = site.get_as("/open", &format!("mergepoint-session={token}"));
        assert_eq!(open.status, 200, "{what}");
        assert_eq!(site.worker.last().field("remote-user"), None, "{what}");
    }
    assert_eq!(
        site.get_as("/", &format!("mergepoint-session={own}"))
            .status,
        200
    );
    assert_eq!(site.worker.count(), forged.len() + 1);
    let refused = &site.stats()["refused"];
    let total: u64 = refused
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    assert!(total >= forged.len() as u64, "{refused}");
}

#[test]
fn an_app_cannot_be_told_of_a_visitor_by_a_token_made_for_another_connection() {
    let site = Site::start();
    let token = site.accounts.token(&claims("ada", &[]));
    // On a connection in clear the names of TLS mean nothing.
    let answer = site.get_as("/", &format!("__Host-mergepoint-session={token}"));
    assert_eq!(answer.status, 401);
}

#[test]
fn behind_a_trusted_proxy_the_scheme_of_the_visitor_counts() {
    let site = Site::with(crate::stand::Worker::saying("hello"), |snapshot| {
        snapshot["trusted_proxies"] = json!(["127.0.0.0/8"]);
    });
    let token = site.accounts.token(&claims("ada", &[]));
    let ask = |name: &str| {
        let cookie = format!("Cookie: {name}={token}");
        let fields = [cookie.as_str(), "X-Forwarded-Proto: https"];
        site.ask("GET", "/", &fields).status
    };
    assert_eq!(ask("__Host-mergepoint-session"), 200);
    assert_eq!(ask("mergepoint-session"), 401);
}

#[test]
fn a_session_is_verified_once_and_then_remembered() {
    let site = Site::start();
    let cookie = site.accounts.cookie(&claims("ada", &[]));
    for _ in 0..3 {
        assert_eq!(site.get_as("/", &cookie).status, 200);
    }
    assert_eq!(site.stats()["sessions"], 1);
    site.get_as("/", &site.accounts.cookie(&claims("bob", &[])));
    assert_eq!(site.stats()["sessions"], 2);
    assert_eq!(site.worker.last().field("remote-user"), Some("bob"));
}

#[test]
fn a_visitor_keeps_their_slot_where_slots_are_chosen_by_who_asks() {
    let other = crate::stand::Worker::saying("the other");
    let site = Site::with(crate::stand::Worker::saying("the one"), |snapshot| {
        let mut slot = snapshot["apps"]["app"]["slots"][0].clone();
        slot["slot"] = json!(1);
        slot["address"] = json!(other.address());
        let slots = snapshot["apps"]["app"]["slots"].as_array_mut().unwrap();
        slots.push(slot);
        snapshot["apps"]["app"]["balance"] = json!({
            "by": "header", "name": "remote-user", "segments": 1, "load_factor": 2.0, "load_floor": 9
        });
    });
    let mut homes = std::collections::BTreeSet::new();
    for number in 0..16 {
        let cookie = site.accounts.cookie(&claims(&format!("ada{number}"), &[]));
        // What the client says of itself leads nowhere.
        let home = |lie: &str| {
            let cookie = format!("Cookie: {cookie}");
            let lie = format!("Remote-User: {lie}");
            site.ask("GET", "/", &[&cookie, &lie]).text()
        };
        let first = home("ada0");
        for lie in ["ada1", "ada2", "ada3", "ada4"] {
            assert_eq!(home(lie), first, "ada{number}");
        }
        homes.insert(first);
    }
    assert_eq!(homes.len(), 2, "{homes:?}");
}
