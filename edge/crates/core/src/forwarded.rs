//! Where a request comes from, and the fields that tell the worker.
//!
//! Place: after `strict`, before routing (`Origin::host` is the host to route by) and before the request is sent.
//! Rule: a forwarding field is believed only from a trusted peer, and only as far as trusted addresses reach.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::cookie::list_tokens;
use crate::digits::{ascii, push_address};
use crate::host::Host;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Most addresses of one X-Forwarded-For that are looked at, from the right.
pub const HOPS_MAX: usize = 32;

/// Longest address in text form.
const ADDRESS_BYTES_MAX: usize = 45;

/// The scheme the visitor used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    fn parse(text: &str) -> Option<Scheme> {
        match text {
            _ if text.eq_ignore_ascii_case("http") => Some(Scheme::Http),
            _ if text.eq_ignore_ascii_case("https") => Some(Scheme::Https),
            _ => None,
        }
    }
}

/// Where a request comes from, as far as it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The visitor; `None` for a peer on a Unix socket that named nobody.
    pub client: Option<IpAddr>,
    /// The visitor's scheme.
    pub scheme: Scheme,
    /// The host the visitor asked for; route by this.
    pub host: Host,
    /// The peer of the connection is a trusted proxy.
    pub trusted: bool,
}

/// Whether an address is that of a trusted proxy; IPv4 inside IPv6 counts as IPv4.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

impl Origin {
    /// Reads the client's forwarding fields; call before `headers::strip_request`.
    ///
    /// `peer` is the address of the connection, or what the PROXY protocol said; `None` stands for a Unix socket,
    /// whose peer is on this machine and trusted. `scheme` is that of the listener.
    pub fn evaluate(
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        scheme: Scheme,
        host: &Host,
        trusted: &[IpNet],
    ) -> Origin {
        let peer = peer.map(|address| address.to_canonical());
        if peer.is_some_and(|address| !is_trusted(address, trusted)) {
            return Origin {
                client: peer,
                scheme,
                host: host.clone(),
                trusted: false,
            };
        }
        let (client, hops) = walk(headers, peer, trusted);
        let told = |name| element(headers, name, hops);
        Origin {
            client,
            scheme: told(&X_FORWARDED_PROTO)
                .and_then(Scheme::parse)
                .unwrap_or(scheme),
            host: told(&X_FORWARDED_HOST)
                .and_then(|text| Host::parse(text).ok())
                .unwrap_or_else(|| host.clone()),
            trusted: true,
        }
    }

    /// The port the visitor used.
    pub fn port(&self) -> u16 {
        self.host.port_or(self.scheme.default_port())
    }

    /// Sets Host and the forwarding fields for a worker; call after `headers::strip_request`.
    ///
    /// X-Forwarded-For holds the visitor alone: workers differ in which end of a list they believe, and with one
    /// address they agree. `mount` is the prefix of the route; `/` sets no X-Forwarded-Prefix.
    pub fn apply(&self, headers: &mut HeaderMap, mount: &str) {
        let host = self.host.text();
        set(headers, header::HOST, host.as_bytes());
        match self.client {
            Some(client) => {
                let text = ascii(ADDRESS_BYTES_MAX, |text| push_address(text, client));
                set(headers, X_FORWARDED_FOR, text.as_bytes());
            }
            None => drop(headers.remove(X_FORWARDED_FOR)),
        }
        let scheme = HeaderValue::from_static(self.scheme.as_str());
        headers.insert(X_FORWARDED_PROTO, scheme);
        set(headers, X_FORWARDED_HOST, host.as_bytes());
        headers.insert(X_FORWARDED_PORT, self.port().into());
        match mount {
            "/" | "" => drop(headers.remove(X_FORWARDED_PREFIX)),
            _ => set(headers, X_FORWARDED_PREFIX, mount.as_bytes()),
        }
        set(headers, header::FORWARDED, &self.forwarded(&host));
    }

    /// The value of Forwarded (RFC 7239).
    fn forwarded(&self, host: &str) -> Vec<u8> {
        let mut text = Vec::with_capacity(host.len() + ADDRESS_BYTES_MAX + 32);
        match self.client {
            Some(client) => {
                let (open, close): (&[u8], &[u8]) = match client {
                    IpAddr::V4(_) => (b"for=", b""),
                    IpAddr::V6(_) => (b"for=\"[", b"]\""),
                };
                text.extend_from_slice(open);
                push_address(&mut text, client);
                text.extend_from_slice(close);
            }
            None => text.extend_from_slice(b"for=unknown"),
        }
        let quote = if host.contains([':', '[']) { "\"" } else { "" };
        let scheme = self.scheme.as_str();
        for part in [";host=", quote, host, quote, ";proto=", scheme] {
            text.extend_from_slice(part.as_bytes());
        }
        text
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &[u8]) {
    match HeaderValue::from_bytes(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

/// The elements of all fields of a name, from the right.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let mut values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    values.reverse();
    values.into_iter().flat_map(|value| {
        let mut tokens: Vec<&str> = value
            .to_str()
            .map(|text| list_tokens(text).collect())
            .unwrap_or_default();
        tokens.reverse();
        tokens
    })
}

/// The rightmost address that is not trusted, and how many trusted proxies stand before it.
fn walk(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet]) -> (Option<IpAddr>, usize) {
    let mut client = peer;
    let mut hops = 1;
    for text in elements(headers, &X_FORWARDED_FOR).take(HOPS_MAX) {
        // Beyond a text that is no address nothing can be known.
        let Some(address) = address(text) else { break };
        client = Some(address);
        if !is_trusted(address, trusted) {
            break;
        }
        hops += 1;
    }
    (client, hops)
}

/// The element set by the trusted proxy that saw the visitor: proxies that append leave it `hops` from the right,
/// proxies that overwrite leave only one.
fn element<'a>(headers: &'a HeaderMap, name: &HeaderName, hops: usize) -> Option<&'a str> {
    elements(headers, name).take(hops).last()
}

fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(with_port) = text.parse::<std::net::SocketAddr>() {
        return Some(with_port.ip().to_canonical());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner
        .parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}
