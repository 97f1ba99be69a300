//! Holdfast chaos.
