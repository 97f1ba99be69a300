//! The `holdfast-chaos` command.
fn main() {}
