//! Requests as hyper would hand them over, and what `strict` says to them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use mergepoint_edge_core::snapshot::Snapshot;
use mergepoint_edge_core::strict::{check, Accepted, Head, Refusal};

const MINIMAL: &str = include_str!("../../../../../tests/golden/snapshot/valid/minimal.json");
pub const BODY: [(&str, &str); 2] = [("host", "a.example"), ("content-length", "5")];

pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
}

pub fn request(line: &str, fields: &[(&str, &str)]) -> Request {
    let mut parts = line.split(' ');
    let method = parts.next().unwrap().parse().unwrap();
    let uri = parts.next().unwrap().parse().unwrap();
    let version = match parts.next().unwrap() {
        "1.0" => Version::HTTP_10,
        "1.1" => Version::HTTP_11,
        "2" => Version::HTTP_2,
        "0.9" => Version::HTTP_09,
        other => panic!("{other}"),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    Request {
        method,
        uri,
        version,
        headers,
    }
}

impl Request {
    pub fn check(&self) -> Result<Accepted, Refusal> {
        let limits = Snapshot::parse(MINIMAL.as_bytes()).unwrap().limits;
        let head = Head {
            method: &self.method,
            uri: &self.uri,
            version: self.version,
            headers: &self.headers,
        };
        check(head, &limits)
    }
}

pub fn accepted(line: &str, fields: &[(&str, &str)]) -> Accepted {
    request(line, fields)
        .check()
        .unwrap_or_else(|refusal| panic!("{line} {fields:?}: {refusal:?}"))
}

pub fn refused(line: &str, fields: &[(&str, &str)]) -> (u16, &'static str) {
    match request(line, fields).check() {
        Ok(accepted) => panic!("{line} {fields:?}: {accepted:?}"),
        Err(refusal) => (refusal.status.as_u16(), refusal.code),
    }
}
