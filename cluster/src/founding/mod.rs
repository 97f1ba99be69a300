//! Founding a cluster exactly once, in whatever order its first nodes start. No IO but in the driver: it performs the
//! effects in their order, and a record is synced before the next effect is performed.
//!
//! ```text
//!            every seed blank and agreed            all have promised
//!   Blank ------------------------------> Promised ------------------> Founded
//!     |    lowest address: proposes           |  lowest address: decides    ^
//!     |    others: promise when asked         |  others: hear that it did   |
//!     |                                       +-----------------------------+
//!     |  a seed is founded
//!     +------------------------------> Joining
//! ```
//!
//! Invariant: only the first member of a proposal decides it, only when every member has the promise on disk,
//! and only while it has not replaced the proposal on its own disk. A promise is given up for nothing but a
//! later proposal of the same proposer, or the decision. So two clusters would need two proposers with every
//! seed's promise, while each seed promises to one.

mod driver;
mod join;
mod lead;
mod doubt;
mod machine;
mod port;
mod record;
mod message;
mod proposal;
mod error;
mod terms;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use doubt::SKEW_MS_MAX;
pub use driver::{Driver, FormError, Formed, Notice};
pub use error::{FoundingError, Waiting};
pub use join::{Applicant, Applied, JoinAnswer, JoinError, JoinRequest, Joined};
pub use machine::{ASK_EVERY_MS, Founding, SAY_EVERY_MS};
pub use message::{Answer, Malformed, Question};
pub use port::{Effect, Input, Now, Setup};
pub use proposal::Proposal;
pub use record::{Promise, Record, Start};
pub use terms::{Difference, SEEDS_MAX, Terms, by_address};
