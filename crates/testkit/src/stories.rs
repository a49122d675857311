//! Macros that register a story as a test for each storage engine.

#![expect(
    clippy::crate_in_macro_def,
    reason = "the launcher is a constant of the test crate, `crate::LAUNCHER`"
)]

/// Registers tests, `async fn name(server: Server)`, once for each storage engine.
///
/// A function that is not registered is dead code, which the lints refuse.
#[macro_export]
macro_rules! on_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod filesystem {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(crate::LAUNCHER).start()).await });
            })+
        }
        mod inmemory {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(crate::LAUNCHER).inmemory().start()).await });
            })+
        }
    };
}

/// Registers tests, `async fn name(builder: ServerBuilder)`, that configure their server, once for
/// each storage engine.
#[macro_export]
macro_rules! configured_on_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod configured_filesystem {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(crate::LAUNCHER)).await });
            })+
        }
        mod configured_inmemory {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(crate::LAUNCHER).inmemory()).await });
            })+
        }
    };
}

/// Registers tests, `async fn name(builder: ServerBuilder)`, that need a tree on a disk.
#[macro_export]
macro_rules! on_disk {
    ($($test:ident),+ $(,)?) => {
        mod disk {
            $(#[test] fn $test() {
                $crate::run(async { super::$test($crate::Server::builder(crate::LAUNCHER)).await });
            })+
        }
    };
}
