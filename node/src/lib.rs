//! Holdfast node.
