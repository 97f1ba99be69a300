//! Session groups: what a session is when no connection holds it.

mod load;
mod lag;
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
pub use lag::Backlog;
pub use load::{Figures, position};
pub use share::Membership;
