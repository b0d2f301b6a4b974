//! The PROXY protocol, versions 1 and 2: who the client behind a trusted balancer is.
//!
//! Place:  listener -> [proxy_protocol] -> TLS or HTTP
//! Rule:   reads exactly the header and not one byte more; the caller asks only trusted peers.

mod parse;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use parse::{Version, V1_BYTES_MAX, V2_FIXED_BYTES};

/// Longest version 2 header accepted: the addresses and room for extensions, which are skipped.
pub const HEADER_BYTES_MAX: usize = 4096;

/// Why a connection is closed unheard.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The peer spoke something else, or spoke it wrongly.
    #[error("no valid PROXY header: {0}")]
    Malformed(&'static str),
    /// The header did not arrive in time.
    #[error("no PROXY header within {0:?}")]
    Timeout(Duration),
    /// The connection broke.
    #[error("connection lost before its PROXY header: {0}")]
    Io(#[from] io::Error),
}

/// Read the header and return the client's address with the stream at the first byte after it.
///
/// The address is `None` where the balancer speaks for itself (`LOCAL`, `UNKNOWN`) or names no
/// IP address; the connection's own peer is then the client.
///
/// # Errors
/// When the header is missing, malformed, longer than `HEADER_BYTES_MAX` or late; the connection
/// is then of no use, because nothing tells where the request begins.
pub async fn read<S>(
    mut stream: S,
    timeout: Duration,
) -> Result<(Option<SocketAddr>, S), ProxyError>
where
    S: AsyncRead + Unpin,
{
    match tokio::time::timeout(timeout, header(&mut stream)).await {
        Ok(found) => Ok((found?, stream)),
        Err(_) => Err(ProxyError::Timeout(timeout)),
    }
}

async fn header<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<SocketAddr>, ProxyError> {
    // Twelve bytes tell the versions apart, and no header of either is shorter.
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    match parse::version(&start)? {
        Version::One => line(stream, &start).await,
        Version::Two => binary(stream).await,
    }
}

/// Byte by byte: a line has no length, and what follows it belongs to the next protocol.
async fn line<S: AsyncRead + Unpin>(
    stream: &mut S,
    start: &[u8],
) -> Result<Option<SocketAddr>, ProxyError> {
    let mut text = Vec::with_capacity(V1_BYTES_MAX);
    text.extend_from_slice(start);
    while !text.ends_with(b"\r\n") {
        if text.len() == V1_BYTES_MAX {
            return Err(ProxyError::Malformed("the line is longer than 107 bytes"));
        }
        text.push(stream.read_u8().await?);
    }
    parse::line(&text)
}

async fn binary<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<SocketAddr>, ProxyError> {
    let mut fixed = [0; V2_FIXED_BYTES];
    stream.read_exact(&mut fixed).await?;
    let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if length > HEADER_BYTES_MAX {
        return Err(ProxyError::Malformed(
            "the header is longer than 4096 bytes",
        ));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    parse::binary(fixed[0], fixed[1], &rest)
}

#[cfg(test)]
mod tests;
