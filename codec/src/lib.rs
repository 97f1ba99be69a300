//! Holdfast codec.
