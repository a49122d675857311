//! The commands that ask any registry: the real binary between real registries, over connections that break, and
//! beside other programs that read and write the same files.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and writes and damages the files that it reads"
)]

mod administered;
mod bad;
mod broken;
mod completed;
mod copied;
mod deleted;
mod faulty;
mod files;
mod hostile;
mod images;
mod mirrored;
mod mirrored_from_faulty;
mod others;
mod parts;
mod referring;
mod registries;
mod scene;
mod shelf;
mod tagged;
mod told;
mod transcripts;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    copied::add_to(&mut suite);
    broken::add_to(&mut suite);
    files::add_to(&mut suite);
    images::add_to(&mut suite);
    parts::add_to(&mut suite);
    bad::add_to(&mut suite);
    mirrored::add_to(&mut suite);
    mirrored_from_faulty::add_to(&mut suite);
    others::add_to(&mut suite);
    deleted::add_to(&mut suite);
    tagged::add_to(&mut suite);
    referring::add_to(&mut suite);
    told::add_to(&mut suite);
    completed::add_to(&mut suite);
    administered::add_to(&mut suite);
    faulty::add_to(&mut suite);
    hostile::add_to(&mut suite);
    transcripts::add_to(&mut suite);
    let conclusion = suite.run();
    wharf_testkit::docker::stop();
    conclusion.exit();
}
