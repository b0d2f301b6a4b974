//! Opening a path so that it cannot leave its root.
//!
//! Place:  locate -> [open] -> the kernel
//! Rule:   the kernel judges every step (`openat2`, RESOLVE_BENEATH), so no race between check and
//!         use exists; where it cannot, no symbolic link is followed at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{openat, Mode, OFlags};
use rustix::io::Errno;

/// `O_NONBLOCK` so that a pipe among the files cannot hold a thread.
const FILE_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// The kernel asks for another try when a directory moves under its feet.
#[cfg(target_os = "linux")]
const TRIES_MAX: usize = 8;

/// Open the root; the root itself may be a symbolic link.
pub(super) fn root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, DIRECTORY_FLAGS, Mode::empty())?)
}

/// Open a file or directory beneath `root`; an absolute link or one that leaves it is `NotFound`.
pub(super) fn beneath(root: &OwnedFd, path: &Path) -> io::Result<File> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let opened = match guarded(root.as_fd(), path) {
        // Old kernels lack the call, and some sandboxes forbid what they do not know.
        Err(Errno::NOSYS | Errno::PERM) => without_links(root, path),
        other => other,
    };
    opened.map(File::from).map_err(|fault| match fault {
        Errno::XDEV | Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO => {
            io::ErrorKind::NotFound.into()
        }
        other => other.into(),
    })
}

#[cfg(target_os = "linux")]
fn guarded(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    use rustix::fs::{openat2, ResolveFlags};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES_MAX {
        match openat2(root, path, FILE_FLAGS, Mode::empty(), resolve) {
            Err(fault @ (Errno::AGAIN | Errno::INTR)) => last = fault,
            other => return other,
        }
    }
    Err(last)
}

#[cfg(not(target_os = "linux"))]
fn guarded(_: BorrowedFd<'_>, _: &Path) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Step by step, each step a plain name that is no link.
fn without_links(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let mut names: Vec<&OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            _ => return Err(Errno::XDEV),
        }
    }
    let last = names.pop().unwrap_or(OsStr::new("."));
    let mut place: Option<OwnedFd> = None;
    for name in names {
        let from = place.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        let next = openat(
            from,
            name,
            DIRECTORY_FLAGS | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        place = Some(next);
    }
    let from = place.as_ref().map_or(root.as_fd(), AsFd::as_fd);
    openat(from, last, FILE_FLAGS | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    type Open = fn(&OwnedFd, &Path) -> Result<OwnedFd, Errno>;

    fn kernel(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
        guarded(root.as_fd(), path)
    }

    fn text(open: Open, root: &OwnedFd, path: &str) -> Option<String> {
        let mut text = String::new();
        File::from(open(root, Path::new(path)).ok()?)
            .read_to_string(&mut text)
            .ok()?;
        Some(text)
    }

    #[test]
    fn neither_way_of_opening_leaves_the_root() {
        let dir = tempfile::TempDir::new().unwrap();
        let inside = dir.path().join("root");
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        std::fs::write(inside.join("a/b/file"), "open").unwrap();
        symlink("../secret", inside.join("out")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("/etc", inside.join("etc")).unwrap();
        symlink(inside.join("a/b/file"), inside.join("absolute")).unwrap();
        let root = root(&inside).unwrap();
        for open in [kernel as Open, without_links] {
            assert_eq!(text(open, &root, "a/b/file").as_deref(), Some("open"));
            for path in [
                "out",
                "up/secret",
                "etc/passwd",
                "absolute",
                "../secret",
                "/etc/passwd",
                "a/../../secret",
            ] {
                assert_eq!(text(open, &root, path), None, "{path}");
            }
        }
    }

    #[test]
    fn a_link_within_the_root_is_followed_where_the_kernel_can_judge_it() {
        let dir = tempfile::TempDir::new().unwrap();
        std::fs::write(dir.path().join("v2.css"), "v2").unwrap();
        symlink("v2.css", dir.path().join("site.css")).unwrap();
        let root = root(dir.path()).unwrap();
        assert_eq!(text(kernel, &root, "site.css").as_deref(), Some("v2"));
        assert_eq!(text(without_links, &root, "site.css"), None);
    }

    #[test]
    fn a_pipe_does_not_hold_the_thread() {
        let dir = tempfile::TempDir::new().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let root = root(dir.path()).unwrap();
        assert!(!beneath(&root, Path::new("pipe"))
            .unwrap()
            .metadata()
            .unwrap()
            .is_file());
    }
}
