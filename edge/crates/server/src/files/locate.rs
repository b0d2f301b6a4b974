//! From a path to an open file: index pages, the fallback, precompressed siblings.
//!
//! Place:  files -> [locate] -> open
//! Rule:   blocks on the file system and nothing else; what it returns is open, regular and described.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use mergepoint_edge_core::accept::Encoding;

use super::{open, unreadable, Refusal};

/// A file up to this size is read by the thread that opens it.
const EAGER_BYTES_MAX: u64 = 64 * 1024;
/// Encodings and the endings of files that hold them.
const SIBLINGS: [(Encoding, &str); 3] = [
    (Encoding::Br, ".br"),
    (Encoding::Zstd, ".zst"),
    (Encoding::Gzip, ".gz"),
];

/// What a request asks for, free of the request.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) root: PathBuf,
    /// Under the root, safe.
    pub(super) path: PathBuf,
    /// The path asks for a directory.
    pub(super) directory: bool,
    /// The address ends with a slash.
    pub(super) slash: bool,
    pub(super) index: Vec<String>,
    pub(super) fallback: Option<String>,
    /// Taken by the client, best first.
    pub(super) encodings: Vec<Encoding>,
    /// Read small files at once.
    pub(super) eager: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    File(Box<Opened>),
    /// A directory with an index page, asked for without its slash.
    Directory,
    Nothing,
}

/// An open regular file and what is known of it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    /// Of the file that was asked for, whichever sibling is open.
    pub(super) name: PathBuf,
    pub(super) encoding: Encoding,
    /// There are several representations.
    pub(super) varies: bool,
    /// All of it, if it was read at once.
    pub(super) content: Option<Bytes>,
}

/// Find and open what is wanted.
pub(super) fn locate(wanted: &Wanted) -> Result<Found, Refusal> {
    let root = open::root(&wanted.root).map_err(|fault| {
        let root = wanted.root.display();
        unreadable(format!(
            "the root {root} cannot be opened: {fault}; make it or mend the manifest"
        ))
    })?;
    match search(&root, wanted)? {
        Found::Nothing => match &wanted.fallback {
            Some(page) => regular(&root, Path::new(page), wanted).map(found),
            None => Ok(Found::Nothing),
        },
        other => Ok(other),
    }
}

fn found(file: Option<Opened>) -> Found {
    file.map_or(Found::Nothing, |file| Found::File(Box::new(file)))
}

fn search(root: &OwnedFd, wanted: &Wanted) -> Result<Found, Refusal> {
    if !wanted.directory {
        if let Some(file) = regular(root, &wanted.path, wanted)? {
            return Ok(Found::File(Box::new(file)));
        }
    }
    for name in &wanted.index {
        if let Some(file) = regular(root, &wanted.path.join(name), wanted)? {
            let here = wanted.slash;
            return Ok(if here {
                Found::File(Box::new(file))
            } else {
                Found::Directory
            });
        }
    }
    Ok(Found::Nothing)
}

/// The best representation of a regular file; none when there is no such file.
fn regular(root: &OwnedFd, path: &Path, wanted: &Wanted) -> Result<Option<Opened>, Refusal> {
    let Some(mut plain) = opened(root, path)? else {
        return Ok(None);
    };
    let mut siblings = Vec::new();
    for (encoding, ending) in SIBLINGS {
        let mut name = OsString::from(path);
        name.push(ending);
        // One that is older than its original was left behind by an edit.
        let sibling = opened(root, Path::new(&name)).ok().flatten();
        if let Some(found) = sibling.filter(|found| found.modified >= plain.modified) {
            siblings.push(Opened {
                name: path.to_owned(),
                encoding,
                varies: true,
                ..found
            });
        }
    }
    plain.varies = !siblings.is_empty();
    let best = wanted.encodings.iter().find_map(|liked| {
        siblings
            .iter()
            .position(|sibling| sibling.encoding == *liked)
    });
    let mut chosen = best.map_or(plain, |at| siblings.swap_remove(at));
    if wanted.eager && chosen.size <= EAGER_BYTES_MAX {
        chosen.content = Some(content(&chosen).map_err(unreadable)?);
    }
    Ok(Some(chosen))
}

fn opened(root: &OwnedFd, path: &Path) -> Result<Option<Opened>, Refusal> {
    let file = match open::beneath(root, path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
        Err(fault) if fault.kind() == ErrorKind::PermissionDenied => return Err(forbidden()),
        Err(fault) => return Err(unreadable(fault)),
    };
    let data = file.metadata().map_err(unreadable)?;
    if !data.is_file() {
        return Ok(None);
    }
    Ok(Some(Opened {
        file,
        size: data.len(),
        modified: data.modified().map_err(unreadable)?,
        name: path.to_owned(),
        encoding: Encoding::Identity,
        varies: false,
        content: None,
    }))
}

fn forbidden() -> Refusal {
    let detail = "The edge's user has no permission to read this file.".to_owned();
    Refusal::new(
        StatusCode::FORBIDDEN,
        "edge.file_forbidden",
        "You may not see this",
        detail,
    )
}

fn content(opened: &Opened) -> io::Result<Bytes> {
    let size = usize::try_from(opened.size).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    opened.file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.into())
}
