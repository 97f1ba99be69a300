//! Session groups: what a session is when no connection holds it.

mod load;
mod apply;
mod share;
mod past;
pub mod outbox;
pub mod op;
pub mod record;
mod key;

#[cfg(test)]
mod tests;

pub use apply::{Attached, Outcome, Sessions};
pub use load::{Figures, position};
pub use share::Membership;
