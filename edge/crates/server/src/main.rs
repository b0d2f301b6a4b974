//! The edge binary: what it is asked, and the exit status of the answer.

use std::ffi::OsString;
use std::process::ExitCode;

use mergepoint_edge::serving;
use mergepoint_edge::startup::{self, Task, EXIT_CONFIG};

/// Every request costs dozens of small allocations, and this allocator makes them cheaper than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = startup::task(&arguments).and_then(|task| match task {
        Task::Version => {
            println!("mergepoint-edge {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Task::Check(file) => startup::read_snapshot(&file).map(drop),
        Task::Serve => {
            startup::raise_descriptor_limit();
            serving::run(startup::settings(|name| std::env::var_os(name))?)
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mergepoint-edge: {why}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}
