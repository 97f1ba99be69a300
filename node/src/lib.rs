//! Holdfast node.

pub mod topic;
