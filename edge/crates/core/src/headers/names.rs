//! The names of fields by who may set them.
//!
//! Place: tables of `headers`.
//! Rule: names are in lower case, as `http::HeaderName` keeps them.

/// Meant for one connection only.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    // Asked for every field of every message, hence the first look at the first letter.
    matches!(
        name.as_bytes(),
        [b'c' | b'h' | b'k' | b'p' | b't' | b'u', ..]
    ) && NAMES.contains(&name)
}

/// Fields that Connection cannot remove, because the message would mean something else without them.
pub(super) fn is_end_to_end(name: &str) -> bool {
    const NAMES: [&str; 18] = [
        "authorization",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-range",
        "content-security-policy",
        "content-type",
        "cookie",
        "date",
        "expect",
        "host",
        "location",
        "origin",
        "range",
        "referer",
        "set-cookie",
        "vary",
    ];
    const PREFIXES: [&str; 4] = ["access-control-", "if-", "sec-", "www-"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Set by the edge for another purpose, or read by it or by any server, so that a site cannot give it a second meaning.
pub(super) fn is_spoken_for(name: &str) -> bool {
    const NAMES: [&str; 4] = ["forwarded", "traceparent", "tracestate", "x-request-id"];
    const PREFIXES: [&str; 5] = ["accept", "content-", "mergepoint-", "proxy-", "x-forwarded"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Set by the edge alone, or read by some worker as a proxy's word about who asks, from where, and for what.
///
/// Asked for every field of every request, hence the first look at the first letters.
pub(super) fn is_reserved(name: &str) -> bool {
    match name.as_bytes() {
        [b'x', b'-', ..] => is_reserved_x(name),
        [b'a' | b'c' | b'f' | b'm' | b'p' | b'r' | b's' | b't' | b'u' | b'w', ..] => {
            is_reserved_plain(name)
        }
        _ => false,
    }
}

fn is_reserved_plain(name: &str) -> bool {
    const NAMES: [&str; 18] = [
        "auth-user",
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "cf-pseudo-ipv4",
        "cf-visitor",
        "client-cert",
        "client-cert-chain",
        "client-ip",
        "client-verify",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",
        "forwarded-for",
        "front-end-https",
        "proxy",
        "script-name",
        "true-client-ip",
        "url-scheme",
    ];
    const PREFIXES: [&str; 5] = ["cf-access-", "mergepoint-", "remote-", "ssl-", "wl-proxy-"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn is_reserved_x(name: &str) -> bool {
    const NAMES: [&str; 27] = [
        "x-arr-clientcert",
        "x-auth-user",
        "x-authenticated-user",
        "x-authenticated-userid",
        "x-azure-clientip",
        "x-client-dn",
        "x-client-ip",
        "x-client-verify",
        "x-cluster-client-ip",
        "x-credential-username",
        "x-host",
        "x-http-host-override",
        "x-http-scheme",
        "x-mount",
        "x-proxyuser-ip",
        "x-real-ip",
        "x-real-port",
        "x-request-uri",
        "x-rewrite-url",
        "x-scheme",
        "x-script-name",
        "x-tls-client-cert",
        "x-url-scheme",
        "x-user",
        "x-user-dn",
        "x-webauth-user",
        "x-user-cert",
    ];
    const PREFIXES: [&str; 16] = [
        "x-accel-",
        "x-amzn-oidc-",
        "x-appengine-",
        "x-auth-request-",
        "x-client-cert",
        "x-envoy-",
        "x-forwarded",
        "x-goog-authenticated-user-",
        "x-goog-iap-",
        "x-lighttpd-",
        "x-ms-client-principal",
        "x-original-",
        "x-remote-",
        "x-sendfile",
        "x-ssl-",
        "x-webauth-",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Orders of a worker to the server in front of it.
pub(super) fn is_directive(name: &str) -> bool {
    const PREFIXES: [&str; 5] = [
        "mergepoint-",
        "x-accel-",
        "x-lighttpd-",
        "x-mergepoint-",
        "x-sendfile",
    ];
    matches!(name.as_bytes(), [b'm' | b'x', ..])
        && PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
