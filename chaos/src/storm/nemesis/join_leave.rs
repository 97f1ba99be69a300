//! A node more joins through the seeds, takes its part, and leaves again.
//!
//! It needs `holdfast drain` and `holdfast remove`. A binary that lacks them is told so, and the fault is not tried.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::scene::Scene;
use crate::fleet::Fleet;
use crate::seed::Seed;

pub(super) fn lacks(fleet: &Fleet) -> Option<String> {
    let Some((binary, _)) = fleet.nodes()[0].own() else {
        return Some("the nodes are not processes of this storm".to_owned());
    };
    if fleet.founders() < 2 {
        return Some("nobody joins a cluster of one".to_owned());
    }
    let mut drain = Command::new(binary);
    drain.args(["drain", "--help"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let knows = drain.status().is_ok_and(|status| status.success());
    let what = if knows { "this storm does not know how to use" } else { "this holdfast has no" };
    Some(format!("{what} `drain` and `remove`"))
}

pub(super) fn strike(_: &Scene<'_>, _: &mut Seed, _: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
