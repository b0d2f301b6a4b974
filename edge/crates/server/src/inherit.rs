//! Descriptors handed over by the supervisor.
//!
//! Place: startup.rs -> [inherit] -> kernel
//! Rule:  the only place that turns numbers into descriptors; each number is taken once, at the start.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{fcntl_getfd, fcntl_setfd, FdFlags};

/// The first descriptor that can be handed over; 0 to 2 are the standard streams.
const FIRST: RawFd = 3;

/// Descriptors already taken by this process.
static TAKEN: parking_lot::Mutex<Vec<RawFd>> = parking_lot::Mutex::new(Vec::new());

/// The descriptor behind a number, closed on exec from now on.
///
/// # Errors
/// The number is a standard stream, not open, or was taken before.
pub fn take(number: RawFd) -> Result<OwnedFd, String> {
    if number < FIRST {
        return Err(format!("descriptor {number} is a standard stream"));
    }
    // SAFETY: the borrow ends with the two calls below, which fail on a number that is not open and change nothing
    // but its close-on-exec flag.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).map_err(|_| format!("descriptor {number} is not open"))?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)
        .map_err(|error| format!("descriptor {number}: {error}"))?;
    let mut taken = TAKEN.lock();
    if taken.contains(&number) {
        return Err(format!("descriptor {number} was handed over twice"));
    }
    taken.push(number);
    // SAFETY: the descriptor is open, and `TAKEN` makes sure that this is its only owner: whoever started the process
    // gave it away by naming it in the environment.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
