//! The thread that owns the sink.
//!
//! Place:  access_log -> [writer] -> stdout
//! Rule:   a sink that blocks costs log lines, one that fails costs its lines, neither costs a request.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::Message;
use crate::metrics::Counter;

/// Lines are gathered up to this size, so that a busy edge makes few system calls.
const BATCH_BYTES: usize = 64 * 1024;
/// Lines wait this long to be gathered: a writer that woke for every line would cost each request a
/// system call and a change of thread.
const GATHER_PAUSE: Duration = Duration::from_millis(10);
/// Pause before another try on a pipe that someone else made non-blocking.
const FULL_PIPE_PAUSE: Duration = Duration::from_millis(5);

/// Write lines until every sender is gone.
pub(super) fn write_lines(
    mut sink: impl Write,
    queue: &Receiver<Message>,
    waiting_bytes: &AtomicUsize,
    lost: &Counter,
) {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    while let Ok(first) = queue.recv() {
        let mut next = Some(first);
        let mut lines = 0;
        let mut flushed = Vec::new();
        while let Some(message) = next {
            match message {
                Message::Line(line) => {
                    batch.extend_from_slice(&line);
                    lines += 1;
                }
                Message::Flush(done) => flushed.push(done),
            }
            next = if batch.len() < BATCH_BYTES {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        if write_all(&mut sink, &batch).is_err() {
            lost.add(lines);
        }
        waiting_bytes.fetch_sub(batch.len(), Ordering::Relaxed);
        batch.clear();
        if flushed.is_empty() {
            std::thread::sleep(GATHER_PAUSE);
        }
        for done in flushed {
            // Nobody waits any more: then nobody needs to know.
            let _ = done.try_send(());
        }
    }
}

fn write_all(sink: &mut impl Write, mut rest: &[u8]) -> std::io::Result<()> {
    while !rest.is_empty() {
        match sink.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(FULL_PIPE_PAUSE);
            }
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    sink.flush()
}
