//! Two brokers, one after the other.

use std::io;

/// Bench.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {}

impl BenchArgs {
    /// Runs.
    pub fn run(&self) -> io::Result<String> {
        Ok(String::new())
    }
}
