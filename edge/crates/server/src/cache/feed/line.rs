//! Lines of the hub, read beside everything else.
//!
//! Place: feed/session.rs -> [line]
//! Rule:  a line has a bound, and few of them wait; whatever cannot be read ends the connection.

use mergepoint_edge_core::cache::feed::Line;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;

/// Longest line, in bytes; the contract's number.
pub const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Lines that wait to be taken in.
const LINES_MAX: usize = 16;

/// Read lines until the connection ends; the channel ends with it.
pub fn lines(half: OwnedReadHalf) -> mpsc::Receiver<Line> {
    let (told, lines) = mpsc::channel(LINES_MAX);
    tokio::spawn(async move {
        let mut reader = BufReader::new(half);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(LINE_BYTES_MAX);
            let mut read = read;
            let ended = !matches!(read.read_until(b'\n', &mut line).await, Ok(1..));
            if ended || line.last() != Some(&b'\n') {
                return;
            }
            let Some(line) = Line::parse(&line) else {
                eprintln!("mergepoint-edge: cache: the hub sent a line that is none");
                return;
            };
            if told.send(line).await.is_err() {
                return;
            }
        }
    });
    lines
}
