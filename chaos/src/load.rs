//! Load.

use std::io;

/// Load.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {}

impl LoadArgs {
    /// Runs.
    pub fn run(&self) -> io::Result<String> {
        Ok(String::new())
    }
}
