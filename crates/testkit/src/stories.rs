//! Macros that register a story as a test for each storage engine.
//!
//! The launcher of the servers is a constant of the test crate, `crate::LAUNCHER`, unless the list begins with the path
//! of another one and a semicolon.

#![expect(
    clippy::crate_in_macro_def,
    reason = "the launcher is a constant of the test crate"
)]

/// Registers tests, `async fn name(server: Server)`, once for each storage engine.
///
/// A function that is not registered is dead code, which the lints refuse.
#[macro_export]
macro_rules! on_both_engines {
    ($launcher:path; $($test:ident),+ $(,)?) => {
        mod filesystem {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder($launcher).start()).await });
            })+
        }
        mod inmemory {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder($launcher).inmemory().start()).await });
            })+
        }
    };
    ($($test:ident),+ $(,)?) => { $crate::on_both_engines![crate::LAUNCHER; $($test),+]; };
}

/// Registers tests, `async fn name(builder: ServerBuilder)`, that configure their server, once for
/// each storage engine.
#[macro_export]
macro_rules! configured_on_both_engines {
    ($launcher:path; $($test:ident),+ $(,)?) => {
        mod configured_filesystem {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder($launcher)).await });
            })+
        }
        mod configured_inmemory {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder($launcher).inmemory()).await });
            })+
        }
    };
    ($($test:ident),+ $(,)?) => { $crate::configured_on_both_engines![crate::LAUNCHER; $($test),+]; };
}

/// Registers tests, `async fn name(builder: ServerBuilder)`, that need a tree on a disk.
#[macro_export]
macro_rules! on_disk {
    ($launcher:path; $($test:ident),+ $(,)?) => {
        mod disk {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder($launcher)).await });
            })+
        }
    };
    ($($test:ident),+ $(,)?) => { $crate::on_disk![crate::LAUNCHER; $($test),+]; };
}
