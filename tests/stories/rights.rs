//! What clients may do: by the tokens of a token server, and by the rules of the operator.

mod issued;
mod rules;
mod tokens;
