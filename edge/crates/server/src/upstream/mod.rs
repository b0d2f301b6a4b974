//! The worker's side: HTTP/1.1 over Unix sockets and TCP, one request at a time per connection.
//!
//! Place: pool and exchange -> [upstream] -> workers
//! Rule:  bodies stream in both directions; a link with any doubt about its state is closed, never reused.
//!
//! This is a client of our own rather than hyper's: the request is encoded once and can be sent again, the answer
//! is read in the task that wants it (no channel, no second wake-up), and an early answer survives a broken upload.

pub mod ask;
pub mod download;
pub mod endpoint;
pub mod framing;
pub mod head;
pub mod link;
pub mod upload;
