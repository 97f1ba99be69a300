//! The replicated machines: what a group's log comes to. Pure functions of the log.

pub mod meta;
pub mod partition;
pub mod session;
pub mod changes;
