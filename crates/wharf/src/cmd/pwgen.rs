//! `wharf pwgen`: random passwords.

use std::io::{self, Write as _};

use wharf_access::password;

pub(crate) fn run(length: u16, count: u16) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for _ in 0..count {
        writeln!(out, "{}", password::generate(usize::from(length))?)?;
    }
    out.flush()?;
    Ok(())
}
