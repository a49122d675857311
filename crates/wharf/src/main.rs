//! The binary: the command line of the library, on an allocator of its own.

use std::process::ExitCode;

/// Transfers pass through buffers of 128 KiB and more, which glibc takes from the kernel and gives back each
/// time (its mmap threshold); mimalloc keeps them, and returns what an idle server no longer needs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wharf::main()
}
