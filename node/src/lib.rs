//! One node of Holdfast: doors, sessions, routes and delivery around the log.
//!
//! The modules are listed from the face to the ground; each uses only those below it. ARCHITECTURE.md draws the
//! path of a publish through them.

pub mod args;
pub mod start;
pub mod recover;
mod listener;
mod driver;
pub mod worker;
pub mod hub;
pub mod catchup;
pub mod session;
pub mod mail;
pub mod admin;
pub mod state;
pub mod record;
pub mod board;
pub mod route;
mod task;
pub mod clock;
pub mod config;
pub mod metrics;
pub mod topic;

pub use {holdfast_cluster as cluster, holdfast_codec as codec, holdfast_log as log};
