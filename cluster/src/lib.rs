//! Holdfast cluster.
