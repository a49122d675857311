//! The tables in which sentences stand.

/// A code of a table, with the names of its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code.
    pub code: &'static str,
    /// The names of its arguments.
    pub arguments: &'static [&'static str],
}

/// Makes an enum of sentences. Each row has the code, below the prefix of the enum, and the English text, in which fields are captured.
///
/// Before each field stands its kind, one of the makers of [`Argument`](crate::Argument). A field `n` is the number that the plural form
/// of other languages depends on. A variant becomes a [`Sentence`](crate::Sentence) by `into`.
///
/// ```
/// wharf_message::messages! {
///     /// Why a tag stays.
///     pub enum Stays in "stays" {
///         /// A pattern protects it.
///         Protected { text pattern: String } = "protected", "protected by `{pattern}`";
///         /// No rule selects it.
///         NoRule = "no-rule", "no rule is about it";
///     }
/// }
///
/// let sentence: wharf_message::Sentence = Stays::Protected { pattern: "v*".to_owned() }.into();
/// assert_eq!(sentence.as_str(), "protected by `v*`");
/// assert_eq!(sentence.messages()[0].code, "stays.protected");
/// assert_eq!(Stays::CODES[0].arguments, ["pattern"]);
/// ```
#[macro_export]
macro_rules! messages {
    ($(#[$meta:meta])+ $visibility:vis enum $name:ident in $prefix:literal {
        $($(#[$doc:meta])+ $variant:ident $({ $($kind:ident $field:ident: $type:ty),+ $(,)? })? = $code:literal, $english:literal;)+
    }) => {
        $(#[$meta])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$doc])+ $variant $({
                $(#[doc = concat!("The argument `", stringify!($field), "`.")] $field: $type),+
            })?,)+
        }

        impl $name {
            /// The codes of all these sentences.
            pub const CODES: &[$crate::Code] = &[$($crate::Code {
                code: concat!($prefix, ".", $code),
                arguments: &[$($(stringify!($field)),+)?],
            }),+];
        }

        /// In English.
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self {
                    $(Self::$variant $({ $($field),+ })? => ::std::write!(f, $english),)+
                }
            }
        }

        impl ::std::convert::From<&$name> for $crate::Message {
            fn from(said: &$name) -> Self {
                match said {
                    $($name::$variant $({ $($field),+ })? => {
                        Self::new(concat!($prefix, ".", $code))
                            $($(.with(stringify!($field), $crate::Argument::$kind($field)))+)?
                    })+
                }
            }
        }

        impl ::std::convert::From<$name> for $crate::Sentence {
            fn from(said: $name) -> Self {
                Self::new(said.to_string(), $crate::Message::from(&said))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Argument, Names, Sentence, Span};

    crate::messages! {
        /// Sentences with each kind of argument.
        pub enum Said in "said" {
            /// Nothing in it.
            Plain = "plain", "nothing is in it";
            /// One of each kind.
            Each {
                text tag: String,
                texts tags: Names,
                number n: usize,
                seconds age: Span,
                bytes size: u64,
                english why: String,
            } = "each", "`{tag}` and {tags}: {n}, {age}, {size} bytes; {why}";
        }
    }

    #[test]
    fn a_sentence_is_english_and_carries_its_arguments() {
        let each: Sentence = Said::Each {
            tag: "a".to_owned(),
            tags: Names::from_iter(["b"]),
            n: 3,
            age: Span::from(Duration::from_secs(7200)),
            size: 5,
            why: "broken pipe".to_owned(),
        }
        .into();
        let sentence = Sentence::from(Said::Plain).and(each).and("and more");
        assert_eq!(
            sentence.as_str(),
            "nothing is in it; `a` and `b`: 3, 2 hours, 5 bytes; broken pipe; and more"
        );
        let codes: Vec<&str> = sentence.messages().iter().map(|message| &*message.code).collect();
        assert_eq!(codes, ["said.plain", "said.each", "english"]);
        let arguments = &sentence.messages()[1].arguments;
        assert_eq!(arguments["age"], Argument::Seconds(7200));
        assert_eq!(arguments["tags"], Argument::Texts(vec!["b".to_owned()]));
        assert_eq!(
            Said::CODES[1].arguments,
            ["tag", "tags", "n", "age", "size", "why"]
        );
    }
}
