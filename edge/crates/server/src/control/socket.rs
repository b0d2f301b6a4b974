//! The socket file of the control channel: bound closed to others, peers checked, descriptors sent.
//!
//! Place:  control -> [socket] -> kernel
//! Rule:   never removes anything but a dead socket of our own user.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::Mode;
use rustix::net::{
    self, AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

/// Connections the kernel keeps for us while we are busy.
const BACKLOG: i32 = 64;
/// Descriptors in one message; the kernel's `SCM_MAX_FD`.
pub(super) const DESCRIPTORS_MAX: usize = 253;

/// Bind a listening socket at `path` with mode 0600.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    clear_stale(path)?;
    let address = SocketAddrUnix::new(path)
        .map_err(|fault| named(path, "is no usable socket path", fault.into()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux gives the file the mode of the socket, so there is no moment in which others could connect.
    let _ = rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR);
    net::bind(&socket, &address).map_err(|fault| named(path, "cannot be bound", fault.into()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(socket.into())
}

/// The inode of the socket file: tells ours from a successor's.
pub(super) fn inode(path: &Path) -> io::Result<u64> {
    Ok(std::fs::symlink_metadata(path)?.ino())
}

/// Whether the peer runs as our own user or as root.
pub(super) fn peer_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| uid_allowed(peer.uid(), own))
}

fn uid_allowed(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

fn clear_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !found.file_type().is_socket() {
        return Err(taken(path, "exists and is not a socket; move it away"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(taken(path, "is a socket of another user"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(taken(path, "is in use: another edge answers there")),
        Err(fault) if fault.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(fault) => Err(named(path, "cannot be told from a socket in use", fault)),
    }
}

fn taken(path: &Path, what: &str) -> io::Error {
    io::Error::new(
        ErrorKind::AddrInUse,
        format!("control socket {} {what}", path.display()),
    )
}

fn named(path: &Path, what: &str, fault: io::Error) -> io::Error {
    io::Error::new(
        fault.kind(),
        format!("control socket {} {what}: {fault}", path.display()),
    )
}

/// Send as much of `line` as fits, with the descriptors on its first byte; bytes sent.
pub(super) async fn send_with(
    stream: &UnixStream,
    line: &[u8],
    descriptors: &[OwnedFd],
) -> io::Result<usize> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    loop {
        stream.writable().await?;
        match stream.try_io(Interest::WRITABLE, || send_once(stream, line, &borrowed)) {
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn send_once(stream: &UnixStream, line: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "too many descriptors for one message",
        ));
    }
    let sent = net::sendmsg(
        stream,
        &[IoSlice::new(line)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_user_and_root_may_connect() {
        assert!(uid_allowed(1000, 1000));
        assert!(uid_allowed(0, 1000));
        assert!(!uid_allowed(1001, 1000));
        assert!(!uid_allowed(1000, 0));
    }
}
