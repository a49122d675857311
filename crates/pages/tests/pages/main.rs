//! The pages as a browser gets them, and the templates as they are written.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(clippy::disallowed_methods, reason = "templates are read as they are written")]

mod hostile;
mod html;
mod samples;
mod source;
mod templates;
