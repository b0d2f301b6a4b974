//! Addresses of workers and networks of proxies, from their text.
//!
//! Place: leaf types of the snapshot.
//! Rule: whatever prints as an address parses back to the same address.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

/// Longest path a Unix socket can have: `sun_path` is 108 bytes with its final NUL.
pub const UNIX_PATH_BYTES_MAX: usize = 107;

/// Where a worker listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A Unix socket; the path is absolute.
    Unix(PathBuf),
    /// `host:port`; an IPv6 host is in brackets.
    Tcp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp(authority) => write!(f, "tcp:{authority}"),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if let Some(authority) = text.strip_prefix("tcp:") {
            return tcp(authority);
        }
        Err(format!(
            "{text:?} is neither unix:/absolute/path nor tcp:host:port"
        ))
    }
}

fn unix(path: &str) -> Result<Address, String> {
    if !path.starts_with('/') || path.contains('\0') {
        return Err(format!("unix:{path} needs an absolute path"));
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        return Err(format!(
            "unix:{path} is longer than the {UNIX_PATH_BYTES_MAX} bytes a socket path may have"
        ));
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

fn tcp(authority: &str) -> Result<Address, String> {
    let wrong = || format!("tcp:{authority} is not tcp:host:port with a port from 1 to 65535");
    let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
    let number: u16 = port.parse().map_err(|_| wrong())?;
    // `parse` also takes "+80" and "080"; only the plain form prints back as itself.
    if number == 0 || number.to_string() != port {
        return Err(wrong());
    }
    crate::host::Host::parse(host).map_err(|_| wrong())?;
    Ok(Address::Tcp(authority.to_owned()))
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Networks; a bare address is a network of one.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts
        .iter()
        .map(|text| network(text).map_err(serde::de::Error::custom))
        .collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<std::net::IpAddr>()
        .map(IpNet::from)
        .or_else(|_| text.parse::<IpNet>())
        .map_err(|_| format!("{text:?} is neither an IP address nor a network such as 10.0.0.0/8"))
}
