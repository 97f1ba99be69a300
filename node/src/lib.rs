//! Holdfast node.

pub mod admin;
pub mod args;
pub mod config;
pub mod metrics;
pub mod topic;
