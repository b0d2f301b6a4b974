//! The two spellings of the PROXY header, as bytes.
//!
//! Place:  [parse] <- proxy_protocol
//! Rule:   pure; whatever two readers could take in two ways is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ProxyError;

/// Longest version 1 line, its end included; the specification's number.
pub(super) const V1_BYTES_MAX: usize = 107;
/// What follows the signature in version 2: version and command, family, length.
pub(super) const V2_FIXED_BYTES: usize = 4;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

const COMMAND_LOCAL: u8 = 0x20;
const COMMAND_PROXY: u8 = 0x21;
const FAMILY_TCP4: u8 = 0x11;
const FAMILY_TCP6: u8 = 0x21;

#[derive(Debug, PartialEq)]
pub(super) enum Version {
    One,
    Two,
}

/// Tell the version from the first twelve bytes.
pub(super) fn version(start: &[u8; 12]) -> Result<Version, ProxyError> {
    if start == V2_SIGNATURE {
        return Ok(Version::Two);
    }
    if start.starts_with(b"PROXY ") {
        return Ok(Version::One);
    }
    Err(ProxyError::Malformed(
        "the connection begins with something else",
    ))
}

/// Read a whole version 1 line, `\r\n` included.
pub(super) fn line(text: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let text = text
        .strip_suffix(b"\r\n")
        .and_then(|text| std::str::from_utf8(text).ok());
    let text = text.ok_or(ProxyError::Malformed("the line is not ASCII text"))?;
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", "TCP4", from, to, port, to_port] => {
            address::<Ipv4Addr>(to, to_port)?;
            address::<Ipv4Addr>(from, port).map(Some)
        }
        ["PROXY", "TCP6", from, to, port, to_port] => {
            address::<Ipv6Addr>(to, to_port)?;
            address::<Ipv6Addr>(from, port).map(Some)
        }
        _ => Err(ProxyError::Malformed(
            "the line is not PROXY TCP4|TCP6 and four fields",
        )),
    }
}

fn address<A>(ip: &str, port: &str) -> Result<SocketAddr, ProxyError>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let ip: A = ip
        .parse()
        .map_err(|_| ProxyError::Malformed("an address is invalid"))?;
    // `parse` alone would take "+80" and "0080".
    let number: Option<u16> = port
        .parse()
        .ok()
        .filter(|number: &u16| number.to_string() == port);
    let number = number.ok_or(ProxyError::Malformed("a port is invalid"))?;
    Ok(SocketAddr::new(ip.into().to_canonical(), number))
}

/// Read a version 2 header after its signature.
pub(super) fn binary(
    command: u8,
    family: u8,
    rest: &[u8],
) -> Result<Option<SocketAddr>, ProxyError> {
    match (command, family) {
        (COMMAND_LOCAL, _) => Ok(None),
        (COMMAND_PROXY, FAMILY_TCP4) => source::<4>(rest, 12, 8),
        (COMMAND_PROXY, FAMILY_TCP6) => source::<16>(rest, 36, 32),
        // Unspecified and Unix clients have no IP address; datagrams cannot arrive here.
        (COMMAND_PROXY, 0x00 | 0x31) => Ok(None),
        (COMMAND_PROXY, _) => Err(ProxyError::Malformed("the address family is unknown")),
        _ => Err(ProxyError::Malformed("the version or command is unknown")),
    }
}

fn source<const N: usize>(
    rest: &[u8],
    bytes_min: usize,
    port_at: usize,
) -> Result<Option<SocketAddr>, ProxyError>
where
    IpAddr: From<[u8; N]>,
{
    let short = ProxyError::Malformed("the addresses are cut short");
    if rest.len() < bytes_min {
        return Err(short);
    }
    match (rest.first_chunk::<N>(), rest.get(port_at..port_at + 2)) {
        (Some(ip), Some(&[high, low])) => {
            let port = u16::from_be_bytes([high, low]);
            Ok(Some(SocketAddr::new(
                IpAddr::from(*ip).to_canonical(),
                port,
            )))
        }
        _ => Err(short),
    }
}
