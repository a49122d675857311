//! Sentences of services, as values: English for logs, programs and the command line, and a code with arguments for everything else.
//!
//! A service says why something stays, is missing, or was refused. The sentence is a variant of an enum that [`messages!`] makes: the
//! English text stands there and nowhere else. On its way to a reader it is a [`Sentence`], which is that text, and carries for each of
//! its parts a [`Message`]: a code that does not change when the wording does, and the arguments. Pages in other languages have a text
//! for each code; what has none, such as an error of the operating system, has the code [`ENGLISH`].

mod argument;
mod sentence;
mod table;

pub use argument::{Argument, Count, Names, Span};
pub use sentence::{ENGLISH, Message, Sentence};
pub use table::Code;
