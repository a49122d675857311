//! The stores of Google Cloud and of Azure, by their own protocols.
//!
//! `object_store` speaks them. This adds what it does not have: attempts that are bounded in time and repeated whatever the
//! operation, listings that survive keys that no path can name and that begin where they should, what an
//! [append blob](azure) needs, and a check at the start whose sentences have a remedy.
//!
//! What these stores honour is documented by their vendors and does not differ from account to account, so it is not tried:
//! see [`Gcs`] and [`Azure`].

mod azure;
mod check;
mod gcs;
mod listing;
mod requests;
mod steady;

pub use self::{
    azure::{Azure, AzureLogin, AzureSettings},
    gcs::{Gcs, GcsLogin, GcsSettings},
};

#[cfg(test)]
mod tests;
