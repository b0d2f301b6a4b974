//! From bytes to the types of the snapshot, or to the list of places that do not fit.
//!
//! Place: first step of `Snapshot::parse`.
//! Rule: the strict decoder decides; the second pass only finds more places to report, one for each part.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Access, AccessLog, Balance, Certificate, Compression, Guard, Health, Host, Identity, Limits,
    Listener, Mode, Pool, Problem, PublicKey, Queue, Redirect, Retry, Route, Secret, Signing, Slot,
    Snapshot, SnapshotError, StaticFiles, Timeouts,
};

/// Most problems listed; the rest of a document that broken is no news.
const PROBLEMS_MAX: usize = 50;

/// The decoded, not yet checked snapshot.
pub(super) fn decode(document: &[u8]) -> Result<Snapshot, SnapshotError> {
    let mut reader = serde_json::Deserializer::from_slice(document);
    let whole = serde_path_to_error::deserialize::<_, Snapshot>(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        problem(if path == "." { "$" } else { &path }, error.inner())
    });
    let first = match whole {
        Ok(snapshot) => match reader.end() {
            Ok(()) => return Ok(snapshot),
            Err(error) => problem("$", &error),
        },
        Err(first) => first,
    };
    let mut problems = match serde_json::from_slice::<Value>(document) {
        Ok(Value::Object(fields)) => Places::default().document(fields),
        Ok(_) | Err(_) => Vec::new(),
    };
    if problems.is_empty() {
        problems.push(first);
    }
    problems.truncate(PROBLEMS_MAX);
    Err(SnapshotError { problems })
}

fn problem(path: &str, error: &serde_json::Error) -> Problem {
    Problem {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

#[derive(Default)]
struct Places {
    found: Vec<Problem>,
}

impl Places {
    fn document(mut self, mut fields: Map<String, Value>) -> Vec<Problem> {
        self.each_entry(&mut fields, "listeners", Places::fits::<Listener>);
        self.each_item(&mut fields, "certificates", Places::fits::<Certificate>);
        self.each_item(&mut fields, "hosts", Places::host);
        self.each_entry(&mut fields, "apps", Places::app);
        self.part::<Mode>(&mut fields, "mode", "\"production\"");
        self.part::<Secret>(&mut fields, "secret", "\"\"");
        self.part::<AccessLog>(&mut fields, "access_log", "\"off\"");
        self.part::<Compression>(
            &mut fields,
            "compression",
            r#"{"enabled":false,"bytes_min":0}"#,
        );
        self.part::<Limits>(&mut fields, "limits", LIMITS);
        self.identity(&mut fields);
        self.fits::<Snapshot>("", Value::Object(fields));
        self.found
    }

    fn host(&mut self, path: &str, value: Value) {
        let Value::Object(mut fields) = value else {
            return self.fits::<Host>(path, value);
        };
        let mut routes = Places::default();
        routes.each_item(&mut fields, "routes", Places::fits::<Route>);
        self.adopt(path, routes);
        self.fits::<Host>(path, Value::Object(fields));
    }

    fn app(&mut self, path: &str, value: Value) {
        let Value::Object(mut fields) = value else {
            return self.add(path, "an app is an object with a kind");
        };
        match fields.remove("kind").as_ref().and_then(Value::as_str) {
            Some("pool") => self.pool(path, fields),
            Some("static") => self.guarded::<StaticFiles>(path, fields),
            Some("redirect") => self.guarded::<Redirect>(path, fields),
            _ => self.add(
                &join(path, "kind"),
                "must be \"pool\", \"static\" or \"redirect\"",
            ),
        }
    }

    fn pool(&mut self, path: &str, mut fields: Map<String, Value>) {
        let mut parts = Places::default();
        parts.each_item(&mut fields, "slots", Places::fits::<Slot>);
        parts.part::<Queue>(&mut fields, "queue", QUEUE);
        parts.part::<Balance>(&mut fields, "balance", BALANCE);
        parts.part::<Timeouts>(&mut fields, "timeouts", TIMEOUTS);
        parts.part::<Retry>(&mut fields, "retry", RETRY);
        parts.part::<Health>(&mut fields, "health", HEALTH);
        self.adopt(path, parts);
        self.guarded::<Pool>(path, fields);
    }

    /// An app of any kind: what it asks of its visitors is judged for itself.
    fn guarded<T: DeserializeOwned>(&mut self, path: &str, mut fields: Map<String, Value>) {
        let mut parts = Places::default();
        if let Some(Value::Object(access)) = fields.get_mut("access") {
            let mut inner = Places::default();
            inner.each_item(access, "guards", Places::fits::<Guard>);
            parts.adopt("access", inner);
        }
        parts.part::<Option<Access>>(&mut fields, "access", "null");
        self.adopt(path, parts);
        self.fits::<T>(path, Value::Object(fields));
    }

    fn identity(&mut self, fields: &mut Map<String, Value>) {
        if let Some(Value::Object(identity)) = fields.get_mut("identity") {
            let mut parts = Places::default();
            parts.each_item(identity, "published", Places::fits::<PublicKey>);
            parts.part::<Signing>(identity, "signing", r#"{"kid":"","seed":""}"#);
            self.adopt("identity", parts);
        }
        self.part::<Option<Identity>>(fields, "identity", "null");
    }

    fn add(&mut self, path: &str, message: &str) {
        self.found.push(Problem {
            path: path.to_owned(),
            message: message.to_owned(),
        });
    }

    fn adopt(&mut self, path: &str, inner: Places) {
        for problem in inner.found {
            self.add(&join(path, &problem.path), &problem.message);
        }
    }

    /// Reports why a value is no `T`.
    fn fits<T: DeserializeOwned>(&mut self, path: &str, value: Value) {
        if let Err(error) = serde_path_to_error::deserialize::<_, T>(value) {
            let inner = error.path().to_string();
            let place = if inner == "." {
                path.to_owned()
            } else {
                join(path, &inner)
            };
            let place = if place.is_empty() { "$" } else { &place };
            self.add(place, &error.inner().to_string());
        }
    }

    /// Judges a part for itself and puts a part known to fit in its place, so that the whole shows other errors.
    fn part<T: DeserializeOwned>(
        &mut self,
        fields: &mut Map<String, Value>,
        name: &str,
        fitting: &str,
    ) {
        let Some(value) = fields.get_mut(name) else {
            return;
        };
        self.fits::<T>(name, value.take());
        *value = serde_json::from_str(fitting).unwrap_or_default();
    }

    /// Judges the items of a list and leaves the list empty; what is no list stays.
    fn each_item(
        &mut self,
        fields: &mut Map<String, Value>,
        name: &str,
        judge: fn(&mut Places, &str, Value),
    ) {
        if let Some(Value::Array(items)) = fields.get_mut(name) {
            for (index, item) in std::mem::take(items).into_iter().enumerate() {
                judge(self, &format!("{name}[{index}]"), item);
            }
        }
    }

    /// Judges the values of an object and leaves the object empty; what is no object stays.
    fn each_entry(
        &mut self,
        fields: &mut Map<String, Value>,
        name: &str,
        judge: fn(&mut Places, &str, Value),
    ) {
        if let Some(Value::Object(entries)) = fields.get_mut(name) {
            for (key, value) in std::mem::take(entries) {
                judge(self, &join(name, &key), value);
            }
        }
    }
}

fn join(path: &str, inner: &str) -> String {
    match (path.is_empty(), inner.starts_with('[')) {
        (true, _) => inner.to_owned(),
        (false, true) => format!("{path}{inner}"),
        (false, false) => format!("{path}.{inner}"),
    }
}

// Parts known to fit, put in the place of parts that were judged already.
const LIMITS: &str = r#"{"header_bytes_max":1,"headers_max":1,"target_bytes_max":1,"header_timeout_s":1,
    "idle_timeout_s":1,"body_idle_timeout_s":1,"connections_max":1,"h2_streams_max":1,"drain_s":1}"#;
const QUEUE: &str = r#"{"length_max":1,"wait_s":1}"#;
const BALANCE: &str = r#"{"by":"least","name":"","segments":1,"load_factor":1,"load_floor":1}"#;
const TIMEOUTS: &str = r#"{"connect_s":1,"request_s":1,"body_idle_s":1,"tunnel_idle_s":1}"#;
const RETRY: &str =
    r#"{"budget_ratio":1,"budget_min_per_s":1,"attempts_max":1,"body_bytes_max":1}"#;
const HEALTH: &str = r#"{"path":null,"headers":{},"status_min":1,"status_max":1,"interval_s":1,"timeout_s":1,
    "eject_after":1,"eject_s":1}"#;
