//! What identity changes in answers that somebody else made.
//!
//! Place: record.rs, reply.rs, exchange.rs -> [answer]
//! Rule:  an answer that carries or depends on a session is nobody else's: no shared cache may keep it.

use http::header::{self, HeaderMap, HeaderValue};

/// Add the cookies of a renewed session. A cache that kept the answer would give the session to others.
pub fn renew(headers: &mut HeaderMap, cookies: &[HeaderValue]) {
    let name = |cookie: &HeaderValue| {
        let name = cookie.as_bytes().split(|byte| *byte == b'=').next();
        name.map(<[u8]>::to_vec)
    };
    // What accounts itself sets in this answer is newer: whoever logs out must not be given a session.
    let set: Vec<_> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(name)
        .collect();
    let mut added = false;
    for cookie in cookies.iter().filter(|cookie| !set.contains(&name(cookie))) {
        headers.append(header::SET_COOKIE, cookie.clone());
        added = true;
    }
    if !added {
        return;
    }
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
}

/// Keep an answer of the edge's own that needed a proof out of shared caches; the visitor's browser may keep it.
pub fn keep_private(headers: &mut HeaderMap) {
    let told = headers.get(header::CACHE_CONTROL);
    let kept = told.and_then(|value| value.to_str().ok()).map(|text| {
        let directives = text.split(',').map(str::trim);
        let shared = |directive: &&str| {
            let name = directive.split('=').next().unwrap_or("").trim();
            !["public", "s-maxage", "private"]
                .iter()
                .any(|shared| name.eq_ignore_ascii_case(shared))
        };
        let kept: Vec<&str> = directives.filter(shared).collect();
        kept.join(", ")
    });
    let text = match kept.as_deref() {
        None | Some("") => "private".to_owned(),
        Some(kept) => format!("private, {kept}"),
    };
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    headers.append(header::VARY, HeaderValue::from_static("cookie"));
    headers.append(header::VARY, HeaderValue::from_static("authorization"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(given: Option<&'static str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(given));
        }
        keep_private(&mut headers);
        headers[header::CACHE_CONTROL].to_str().unwrap().to_owned()
    }

    #[test]
    fn what_needed_a_proof_is_kept_by_no_shared_cache() {
        assert_eq!(kept(None), "private");
        assert_eq!(kept(Some("public, max-age=60")), "private, max-age=60");
        assert_eq!(kept(Some("S-MaxAge=9,Public")), "private");
        assert_eq!(kept(Some("no-store")), "private, no-store");
    }

    #[test]
    fn a_renewed_session_makes_the_answer_nobody_elses() {
        let mut headers = HeaderMap::new();
        let public = HeaderValue::from_static("public, max-age=60");
        headers.insert(header::CACHE_CONTROL, public);
        renew(&mut headers, &[]);
        assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=60");
        renew(
            &mut headers,
            &[
                HeaderValue::from_static("a=1"),
                HeaderValue::from_static("b=2"),
            ],
        );
        assert_eq!(headers[header::CACHE_CONTROL], "private, no-store");
        assert_eq!(headers.get_all(header::SET_COOKIE).iter().count(), 2);
    }
}
