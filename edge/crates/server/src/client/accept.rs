//! Accepts connections on one listener for as long as the edge serves.
//!
//! Place: main spawns one per listener -> [accept] -> serve.rs
//! Rule:  never more connections than the snapshot allows; a failed accept costs a pause, not the listener.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use mergepoint_edge_core::forwarded::is_trusted;
use mergepoint_edge_core::snapshot::Listener as Settings;
use socket2::{Domain, Socket};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::connection::Connection;
use super::io::Transport;
use super::registry::Registry;
use super::serve::{serve, Agreed};
use crate::clock::seconds;
use crate::drain::Stage;
use crate::edge::Edge;
use crate::metrics::Handshake;
use crate::proxy_protocol;
use crate::tls::HANDSHAKE_TIMEOUT;

/// Why a connection ended before its first request.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Pause after a failed accept, so that a full descriptor table does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener handed over by the supervisor.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// The listener behind a descriptor.
    ///
    /// # Errors
    /// It is no listening stream socket.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Listener> {
        let socket = Socket::from(descriptor);
        if !socket.is_listener()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the descriptor is not a listening socket",
            ));
        }
        socket.set_nonblocking(true)?;
        if socket.local_addr()?.domain() == Domain::UNIX {
            Ok(Listener::Unix(UnixListener::from_std(socket.into())?))
        } else {
            Ok(Listener::Tcp(TcpListener::from_std(socket.into())?))
        }
    }

    async fn accept(&self) -> io::Result<(Transport, Option<SocketAddr>)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Transport::Tcp(stream), Some(peer)))
            }
            Listener::Unix(listener) => Ok((Transport::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// Accept until the edge drains; then the descriptor is closed. What was accepted is served in any case.
pub async fn accept(edge: Arc<Edge>, name: String, listener: Listener) {
    let drains = edge.drain.reached(Stage::Draining);
    tokio::pin!(drains);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut drains => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((transport, peer)) => {
                let most = edge.loaded().snapshot.limits.connections_max.max(1);
                tokio::select! {
                    biased;
                    () = edge.connections.room(most) => {}
                    () = edge.drain.reached(Stage::Draining) => {}
                }
                begin(&edge, &name, transport, peer);
            }
            // The client left before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                eprintln!("mergepoint-edge: listener {name}: cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin(edge: &Arc<Edge>, name: &str, transport: Transport, peer: Option<SocketAddr>) {
    let loaded = edge.loaded();
    let Some(settings) = loaded.snapshot.listeners.get(name).cloned() else {
        // A snapshot took the name away; the supervisor will take the listener.
        return;
    };
    let edge = Arc::clone(edge);
    let connection = Arc::new(Connection::new(peer, &settings));
    // Entered before its task first runs: a drain that begins in between waits for it.
    let entered = Registry::enter(&edge, Arc::clone(&connection));
    tokio::spawn(async move {
        // A connection that fails concerns its client alone.
        let _ = greet(edge, connection, settings, transport).await;
        drop(entered);
    });
}

async fn greet(
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    settings: Settings,
    transport: Transport,
) -> Result<(), Failure> {
    let transport = match transport {
        Transport::Tcp(stream) if settings.proxy_protocol => {
            let (client, stream) = unwrap_proxy(&edge, stream, connection.peer()).await?;
            client
                .into_iter()
                .for_each(|client| connection.speaks_for(client));
            Transport::Tcp(stream)
        }
        transport => transport,
    };
    let (transport, agreed) = match transport {
        Transport::Tcp(stream) if settings.tls => encrypt(&edge, stream).await?,
        transport => (transport, Agreed::Nothing),
    };
    serve(edge, connection, transport, agreed).await
}

/// Shake hands over TLS, and agree on the protocol within it.
async fn encrypt(edge: &Edge, stream: TcpStream) -> Result<(Transport, Agreed), Failure> {
    let tls = edge.tls().ok_or("a TLS listener without certificates")?;
    let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)).await;
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            edge.metrics.handshake(Handshake::Failed);
            return Err(error.into());
        }
        Err(error) => {
            edge.metrics.handshake(Handshake::Timeout);
            return Err(error.into());
        }
    };
    edge.metrics.handshake(Handshake::Done);
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let agreed = if http2 { Agreed::Http2 } else { Agreed::Http1 };
    Ok((Transport::Tls(Box::new(stream)), agreed))
}

/// The client that a trusted proxy speaks for.
async fn unwrap_proxy(
    edge: &Edge,
    stream: TcpStream,
    peer: Option<SocketAddr>,
) -> Result<(Option<SocketAddr>, TcpStream), Failure> {
    let snapshot = &edge.loaded().snapshot;
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    if !is_trusted(address, &snapshot.trusted_proxies) {
        return Err("a peer that is not trusted may not speak the PROXY protocol".into());
    }
    let (client, stream) =
        proxy_protocol::read(stream, seconds(snapshot.limits.header_timeout_s)).await?;
    Ok((client, stream))
}
