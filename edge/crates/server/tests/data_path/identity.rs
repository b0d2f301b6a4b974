//! Who asks: proven at the edge, told to apps, refused where it must be.
//!
//! Place: tests -> [identity] -> a site with an accounts app, an app, files and a redirect
//! Rule:  every test has a site of its own; what is awaited is an event, never a length of time.

mod accounts;
mod cookies;
mod credentials;
mod guards;
mod origin;
mod proof;
mod refresh;
mod refused_tokens;
mod revocation;
mod unavailable;

use serde_json::{json, Value};

use crate::stand::{Answer, Client, Stand, Worker};
pub use accounts::{claims, now_s, Accounts};

/// How a site lies: `/` needs a proven visitor, `/open` nobody, `/files` and `/old` one as well.
pub struct Site {
    pub stand: Stand,
    pub accounts: Accounts,
    pub worker: Worker,
    _files: tempfile::TempDir,
}

impl Site {
    pub fn start() -> Site {
        Self::with(Worker::saying("hello"), |_| {})
    }

    /// A site with its app at `worker`; `change` edits the snapshot.
    pub fn with(worker: Worker, change: impl FnOnce(&mut Value)) -> Site {
        Self::beside(worker, Accounts::start(), change)
    }

    pub fn beside(worker: Worker, accounts: Accounts, change: impl FnOnce(&mut Value)) -> Site {
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("a.txt"), "a file").unwrap();
        let stand = Stand::start(&[&worker], |snapshot| {
            describe(snapshot, &accounts.worker.address(), files.path());
            change(snapshot);
        });
        Site {
            stand,
            accounts,
            worker,
            _files: files,
        }
    }

    /// One request without a body on a connection of its own; `fields` are whole lines.
    pub fn ask(&self, method: &str, path: &str, fields: &[&str]) -> Answer {
        ask(&mut self.stand.client(), method, path, fields)
    }

    /// `ask` with GET as somebody with a cookie.
    pub fn get_as(&self, path: &str, cookie: &str) -> Answer {
        self.ask("GET", path, &[&format!("Cookie: {cookie}")])
    }

    /// The edge's numbers about identity.
    pub fn stats(&self) -> Value {
        self.stand.control().ask(json!({"id": 1, "verb": "stats"}))["identity"].clone()
    }
}

pub fn ask(client: &mut Client, method: &str, path: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = if method == "POST" {
        "Content-Length: 0\r\n"
    } else {
        ""
    };
    client
        .send(format!(
            "{method} {path} HTTP/1.1\r\nHost: site.example\r\n{length}{fields}\r\n"
        ))
        .answer()
}

/// The code in the body of a refusal.
pub fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}

/// What an app asks when it asks for somebody proven.
pub fn access() -> Value {
    json!({
        "require": ["user"],
        "guards": [
            {"path": "/admin", "methods": ["POST"], "require": ["role:admin"]},
            {"path": "/open", "methods": [], "require": ["public"]}
        ],
        "csrf_exempt": ["/hooks"], "cookies": "confine", "headers": {"x-who": "user"},
        "authorization": "consume"
    })
}

fn describe(snapshot: &mut Value, accounts: &str, files: &std::path::Path) {
    snapshot["identity"] = json!({
        "app": "accounts", "mount": "/-/accounts", "issuer": "mergepoint:test",
        "signing": {"kid": "e1", "seed": "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="},
        "published": [],
        "refresh_before_s": 300.0, "stale_s": 900.0, "skew_s": 30.0, "poll_s": 0.1, "call_s": 2.0,
        "sessions_max": 1000, "credentials_max": 1000, "credential_s": 60.0, "revocations_max": 1000,
        "roles": {"reader": ["tickets.read"], "admin": ["*"]}
    });
    snapshot["apps"]["app"]["access"] = access();
    // Longer than any test waits: whatever ends a stream is not its silence.
    snapshot["apps"]["app"]["timeouts"]["body_idle_s"] = json!(60.0);
    let mut front = snapshot["apps"]["app"].clone();
    front["slots"][0]["address"] = json!(accounts);
    front["access"]["require"] = json!(["public"]);
    snapshot["apps"]["accounts"] = front;
    snapshot["apps"]["files"] = json!({
        "kind": "static", "root": files, "index": ["index.html"], "fallback": null,
        "cache_control": "public, max-age=60", "compress": false, "access": access()
    });
    snapshot["apps"]["old"] = json!({
        "kind": "redirect", "to": "https://example.org/new", "status": 308, "keep_path": false,
        "access": access()
    });
    snapshot["hosts"][0]["routes"] = json!([
        {"prefix": "/", "app": "app", "origin": "test:1"},
        {"prefix": "/-/accounts", "app": "accounts", "origin": "test:2"},
        {"prefix": "/files", "app": "files", "origin": "test:3"},
        {"prefix": "/old", "app": "old", "origin": "test:4"}
    ]);
}
