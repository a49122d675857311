//! YAML as operators write it: a tree of texts that knows the line and the spelling of every value.
//!
//! [`parse`] reads a text; what its values mean is for the reader of the [`Node`]s to say, and with [`Place`]s and
//! [`words`] it says precisely what is wrong.

mod tree;
pub mod words;
mod yaml;

pub use tree::{Map, Node, Place, Scalar, Value, parse_duration};
pub use yaml::{Oddity, Parsed, SyntaxError, Warning, parse};
