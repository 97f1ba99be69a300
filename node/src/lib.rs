//! Holdfast node.

pub mod args;
pub mod config;
pub mod topic;
