#![doc = include_str!("../README.md")]

mod background;
mod pace;
mod periodic;
mod runner;
mod status;
mod supervisor;
mod worker;

pub use background::{Background, lower_priority};
pub use pace::Pace;
pub use periodic::Periodic;
pub use status::{State, WorkerStatus};
pub use supervisor::{Handle, Supervisor};
pub use worker::{Error, Unit, Work, Worker};

#[cfg(test)]
mod tests;
