//! Holdfast log.
