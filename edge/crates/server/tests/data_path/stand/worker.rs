//! A worker whose every byte a test decides.
//!
//! Place: stand.rs -> [worker] on a Unix socket, one thread per connection
//! Rule:  what reached it is kept as it came.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::field;

/// A request as it reached a worker.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Request line and fields, as sent.
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("")
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

type Behave = dyn Fn(&mut UnixStream, &Seen) -> bool + Send + Sync;

/// A worker on a Unix socket. Its behaviour answers one request and says whether the connection goes on.
pub struct Worker {
    path: PathBuf,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<AtomicUsize>,
    _directory: Option<tempfile::TempDir>,
}

impl Worker {
    pub fn start(
        behave: impl Fn(&mut UnixStream, &Seen) -> bool + Send + Sync + 'static,
    ) -> Worker {
        let directory = tempfile::tempdir().unwrap();
        let mut worker = Self::start_at(&directory.path().join("w.sock"), behave);
        worker._directory = Some(directory);
        worker
    }

    pub fn start_at(
        path: &Path,
        behave: impl Fn(&mut UnixStream, &Seen) -> bool + Send + Sync + 'static,
    ) -> Worker {
        let listener = UnixListener::bind(path).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (behave, noted, open): (Arc<Behave>, _, _) = (
            Arc::new(behave),
            Arc::clone(&seen),
            Arc::clone(&connections),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (behave, noted, open) =
                    (Arc::clone(&behave), Arc::clone(&noted), Arc::clone(&open));
                std::thread::spawn(move || {
                    open.fetch_add(1, Ordering::SeqCst);
                    converse(stream, &*behave, &noted);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Worker {
            path: path.to_owned(),
            seen,
            connections,
            _directory: None,
        }
    }

    /// A worker that says `name` to everything.
    pub fn saying(name: &'static str) -> Worker {
        Worker::start(move |stream, _| say(stream, name))
    }

    pub fn address(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }
}

/// A plain answer.
pub fn say(stream: &mut UnixStream, text: &str) -> bool {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).is_ok()
}

fn converse(mut stream: UnixStream, behave: &Behave, seen: &Mutex<Vec<Seen>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer) {
        seen.lock().unwrap().push(request.clone());
        if !behave(&mut stream, &request) {
            return;
        }
    }
}

/// One request; with `X-Unread` in its head the body is left where it is.
fn read_request(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, buffer)?;
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).ok()?;
    let mut body = Vec::new();
    if head.contains("x-unread") {
        return Some(Seen { head, body });
    }
    if let Some(length) = field(&head, "content-length") {
        let length: usize = length.parse().ok()?;
        while buffer.len() < length {
            read_more(stream, buffer)?;
        }
        body = buffer.drain(..length).collect();
    } else if field(&head, "transfer-encoding").is_some() {
        loop {
            let line = read_line(stream, buffer)?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            while buffer.len() < size + 2 {
                read_more(stream, buffer)?;
            }
            body.extend(buffer.drain(..size));
            buffer.drain(..2);
            if size == 0 {
                break;
            }
        }
    }
    Some(Seen { head, body })
}

fn read_line(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = buffer.iter().position(|&byte| byte == b'\n') {
            return String::from_utf8(buffer.drain(..=at).collect()).ok();
        }
        read_more(stream, buffer)?;
    }
}

fn read_more(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 65536];
    let read = stream.read(&mut piece).ok().filter(|&read| read > 0)?;
    buffer.extend_from_slice(&piece[..read]);
    Some(())
}
