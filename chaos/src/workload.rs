//! The clients of a storm: who they are, how they behave, and what they write down.
//!
//! Each client is a thread that connects, works until its connection ends, and comes back by another door. It
//! records only what it saw; `check` judges later.

mod actor;
mod subscriber;
mod publisher;
mod reader;
mod testament;
pub(crate) mod cast;
pub(crate) mod drain;
mod doors;
pub(crate) mod inbox;
pub(crate) mod recorder;
pub(crate) mod payload;

pub(crate) use actor::Actor;
pub(crate) use doors::Doors;
