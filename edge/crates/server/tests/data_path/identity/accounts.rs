//! An accounts app for tests: a worker that speaks the contract, with people and sessions that a test decides.
//!
//! Place: identity.rs -> [accounts] -> stand/worker.rs
//! Rule:  signs with a key of its own; answers 404 to a call that does not come from the edge.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{json, Value};

use crate::stand::{Seen, Worker, LIMIT};

/// The only right secret of a refresh cookie, of 43 characters.
pub const REFRESH_SECRET: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// Seconds since 1970.
pub fn now_s() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// What the app knows and was asked.
#[derive(Default)]
pub struct Known {
    pub epoch: String,
    pub position: u64,
    pub revocations: Vec<Value>,
    /// Claims that a refresh brings now; none ends the session.
    pub refreshed: Option<Value>,
    /// Claims of each API token, by its whole text.
    pub tokens: Vec<(String, Value)>,
    /// Answer every check with 429.
    pub busy: bool,
    /// Refuse to tell the feed.
    pub deaf: bool,
    /// The public key it tells in place of its own.
    pub told_key: Option<String>,
    /// The database is lost: no refresh, no check.
    pub lost: bool,
    /// Refreshes wait until the test lets them go.
    pub hold_refresh: bool,
    pub refreshes: Vec<Value>,
    pub checks: Vec<Value>,
}

/// The app.
pub struct Accounts {
    pub worker: Worker,
    pub known: Arc<(Mutex<Known>, Condvar)>,
    key: Arc<Ed25519KeyPair>,
}

impl Accounts {
    pub fn start() -> Accounts {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.keep().join("accounts.sock");
        Self::start_at(&path)
    }

    pub fn start_at(path: &Path) -> Accounts {
        let known = Known {
            epoch: "first".into(),
            ..Known::default()
        };
        let known = Arc::new((Mutex::new(known), Condvar::new()));
        let key = Arc::new(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
        let (told, signs) = (Arc::clone(&known), Arc::clone(&key));
        let worker = Worker::start_at(path, move |stream, seen| serve(stream, seen, &told, &signs));
        Accounts { worker, known, key }
    }

    /// Look at or change what the app knows.
    pub fn with<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let done = change(&mut self.known.0.lock().unwrap());
        self.known.1.notify_all();
        done
    }

    /// A session token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        sign(&self.key, "mps+jwt", claims)
    }

    /// A token of another type with these claims.
    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        sign(&self.key, typ, claims)
    }

    /// The `Cookie` field of a visitor with these claims.
    pub fn cookie(&self, claims: &Value) -> String {
        format!(
            "mergepoint-session={}; mergepoint-refresh={}.{REFRESH_SECRET}",
            self.token(claims),
            claims["sid"].as_str().unwrap()
        )
    }

    /// Revoke, and say at which position.
    pub fn revoke(&self, kind: &str, id: &str) -> u64 {
        self.with(|known| known.revoke(kind, id))
    }
}

impl Known {
    pub fn revoke(&mut self, kind: &str, id: &str) -> u64 {
        self.position += 1;
        let now = now_s();
        let revocation =
            json!({"position": self.position, "kind": kind, "id": id, "before": now, "at": now});
        self.revocations.push(revocation);
        self.position
    }
}

/// Claims of somebody who logged in a moment ago.
pub fn claims(user: &str, roles: &[&str]) -> Value {
    let now = now_s() - 1.0;
    json!({
        "iss": "mergepoint:test", "aud": "test", "sub": format!("sub-{user}"), "sid": format!("sid-{user}"),
        "iat": now as u64, "exp": now as u64 + 600, "auth_time": now as u64, "amr": ["pwd"], "kind": "person",
        "user": user, "name": format!("{user} Ünsal"), "email": format!("{user}@example.org"), "lang": "en",
        "roles": roles, "groups": ["staff"]
    })
}

/// A JWT under `key`.
pub fn sign(key: &Ed25519KeyPair, typ: &str, claims: &Value) -> String {
    let kid = "s1";
    let head = json!({"alg": "EdDSA", "typ": typ, "kid": kid}).to_string();
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(head),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn answer(stream: &mut UnixStream, status: &str, fields: &str, body: &Value) -> bool {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).is_ok()
}

fn serve(
    stream: &mut UnixStream,
    seen: &Seen,
    known: &(Mutex<Known>, Condvar),
    key: &Ed25519KeyPair,
) -> bool {
    let path = seen.path().to_owned();
    let Some(asked) = path.strip_prefix("/-/accounts/edge/") else {
        return page(stream, seen, known);
    };
    let call = seen.field("mergepoint-call").unwrap_or("");
    if !asked.starts_with(call) || call.is_empty() {
        return answer(stream, "404 Not Found", "", &json!({}));
    }
    let (lock, changed) = known;
    let mut known = lock.lock().unwrap();
    if known.lost || known.deaf && call == "feed" {
        let error = json!({"error": {"code": "accounts.database", "message": "It is lost."}});
        return answer(stream, "503 Service Unavailable", "", &error);
    }
    match call {
        "feed" => feed(stream, &path, &known, key),
        "refresh" => {
            known
                .refreshes
                .push(serde_json::from_slice(&seen.body).unwrap());
            let held = |known: &mut Known| known.hold_refresh;
            let (known, _) = changed.wait_timeout_while(known, LIMIT, held).unwrap();
            refresh(stream, &seen.body, &known, key)
        }
        _ => {
            known
                .checks
                .push(serde_json::from_slice(&seen.body).unwrap());
            check(stream, &known)
        }
    }
}

fn feed(stream: &mut UnixStream, path: &str, known: &Known, key: &Ed25519KeyPair) -> bool {
    let asked = |name: &str| {
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(found, _)| *found == name);
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let after: u64 = asked("after").parse().unwrap();
    let reset = asked("epoch") != known.epoch || after > known.position;
    let after = if reset { 0 } else { after };
    let news = known
        .revocations
        .iter()
        .filter(|one| one["position"].as_u64().unwrap() > after);
    let own = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let x = known.told_key.clone().unwrap_or(own);
    let not_after = now_s() + 86_400.0;
    let told = json!({
        "epoch": known.epoch, "position": known.position, "reset": reset,
        "keys": [{"kid": "s1", "x": x, "not_after": not_after}], "revocations": news.collect::<Vec<_>>()
    });
    answer(stream, "200 OK", "", &told)
}

fn refresh(stream: &mut UnixStream, body: &[u8], known: &Known, key: &Ed25519KeyPair) -> bool {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let right = asked["refresh"]
        .as_str()
        .is_some_and(|text| text.ends_with(REFRESH_SECRET));
    let Some(claims) = known.refreshed.as_ref().filter(|_| right) else {
        let gone = "mergepoint-session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax";
        return answer(
            stream,
            "401 Unauthorized",
            "",
            &json!({"set_cookie": [gone]}),
        );
    };
    let token = sign(key, "mps+jwt", claims);
    let cookie = format!("mergepoint-session={token}; Path=/; HttpOnly; SameSite=Lax");
    answer(
        stream,
        "200 OK",
        "",
        &json!({"token": token, "set_cookie": [cookie]}),
    )
}

fn check(stream: &mut UnixStream, known: &Known) -> bool {
    let asked = known.checks.last().cloned().unwrap_or_default();
    if known.busy {
        return answer(
            stream,
            "429 Too Many Requests",
            "",
            &json!({"retry_after_s": 7}),
        );
    }
    let right = known
        .tokens
        .iter()
        .find(|(text, _)| asked["secret"] == **text);
    match right {
        Some((_, claims)) => answer(
            stream,
            "200 OK",
            "",
            &json!({"claims": claims, "expires": now_s() + 3600.0}),
        ),
        None => answer(stream, "401 Unauthorized", "", &json!({})),
    }
}

/// The pages of the app: `logout` ends the session of `sid-ada` and says where the feed stands then.
fn page(stream: &mut UnixStream, seen: &Seen, known: &(Mutex<Known>, Condvar)) -> bool {
    if seen.path().ends_with("/logout") {
        let position = known.0.lock().unwrap().revoke("session", "sid-ada");
        let fields = format!(
            "Mergepoint-Feed: {position}\r\nSet-Cookie: mergepoint-session=; Max-Age=0; Path=/\r\nClear-Site-Data: \"cookies\"\r\n"
        );
        return answer(stream, "200 OK", &fields, &json!({"bye": true}));
    }
    answer(
        stream,
        "200 OK",
        "",
        &json!({"page": seen.path(), "cookie": seen.field("cookie")}),
    )
}
