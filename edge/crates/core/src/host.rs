//! A host name with an optional port, checked and in one canonical spelling.
//!
//! Place: used for Host, authority, X-Forwarded-Host and the addresses of workers.
//! Rule: two spellings that a name server treats alike compare equal; anything else that looks like a host but is none is refused.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use crate::digits::{ascii, push_decimal};

/// Longest name of the DNS in text form.
pub const NAME_BYTES_MAX: usize = 253;

/// Why a text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host name with an optional port")]
pub struct HostError;

/// A host as named by a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    /// Lower case, without port and final dot; an IPv6 address is in brackets and in its shortest spelling.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it is written in a field: the name, and the port if one was given.
    pub fn text(&self) -> Cow<'_, str> {
        let Some(port) = self.port else {
            return Cow::Borrowed(&self.name);
        };
        Cow::Owned(ascii(self.name.len() + 6, |text| {
            text.extend_from_slice(self.name.as_bytes());
            text.push(b':');
            push_decimal(text, port.into());
        }))
    }

    /// The port if one was given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port, or the default of the scheme.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }

    /// The host of `name`, `name:port`, `a.b.c.d` or `[v6]:port`.
    ///
    /// # Errors
    /// Anything else: user info, empty names, bad bytes, ports out of range.
    pub fn parse(text: &str) -> Result<Host, HostError> {
        let (name, rest) = match text.strip_prefix('[') {
            Some(inner) => bracketed(inner)?,
            None => plain(text)?,
        };
        Ok(Host {
            name,
            port: port(rest)?,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

fn bracketed(inner: &str) -> Result<(String, &str), HostError> {
    let (address, rest) = inner.split_once(']').ok_or(HostError)?;
    let address: Ipv6Addr = address.parse().map_err(|_| HostError)?;
    Ok((format!("[{address}]"), rest))
}

fn plain(text: &str) -> Result<(String, &str), HostError> {
    let end = text.find(':').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels_fit = name
        .split('.')
        .all(|label| !label.is_empty() && label.len() <= 63);
    let bytes_fit = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if name.len() > NAME_BYTES_MAX || !labels_fit || !bytes_fit {
        return Err(HostError);
    }
    Ok((name.to_ascii_lowercase(), rest))
}

fn port(rest: &str) -> Result<Option<u16>, HostError> {
    let Some(digits) = rest.strip_prefix(':') else {
        return if rest.is_empty() {
            Ok(None)
        } else {
            Err(HostError)
        };
    };
    // RFC 3986 allows an empty port: it means the default.
    if digits.is_empty() {
        return Ok(None);
    }
    if digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HostError);
    }
    match digits.parse::<u16>() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(HostError),
    }
}
