//! Where the broker's binary is, for tests that start it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `HOLDFAST_BIN`, or the binary beside this test in the target directory, built if it is missing.
pub(crate) fn holdfast() -> PathBuf {
    if let Some(path) = std::env::var_os("HOLDFAST_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test knows its own path");
    // target/<profile>/deps/<test>-<hash>
    let profile = own.ancestors().nth(2).expect("a test lies two levels below its target directory");
    let path = profile.join("holdfast");
    if !path.exists() {
        build(profile);
    }
    assert!(path.exists(), "{} does not exist after its build", path.display());
    path
}

fn build(profile: &Path) {
    let target = profile.parent().expect("a profile lies in a target directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "-p", "holdfast-node", "--bin", "holdfast", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be started");
    assert!(status.success(), "holdfast does not build");
}
