//! What a comparison ran on, in the words of its report.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::{BenchArgs, Recipe};
use crate::broker;

/// The head of the report.
pub(super) fn describe<'a>(
    args: &BenchArgs,
    recipes: impl Iterator<Item = &'a Recipe>,
) -> io::Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = after(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism()?;
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let directory = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut text = format!(
        "{cores} cores of {cpu}, {memory} of memory, Linux {}, data on {}, load average before: {}\n",
        kernel.trim(),
        file_system(&directory, &read("/proc/mounts")),
        load.split(' ').next().unwrap_or("?")
    );
    text += &format!(
        "Payload 100 bytes; driver and broker share the machine; median of {} rounds, brokers in turn; \
         the ratio is how many times better the first broker is.\n",
        args.rounds()
    );
    for recipe in recipes {
        text += &match recipe {
            Recipe::One(broker::Recipe::Holdfast(path)) => format!(
                "holdfast: {}, one node, defaults: each acknowledgement waits for the disk.\n",
                first_line(path, "version")
            ),
            Recipe::Cluster(_, nodes) => format!(
                "holdfast, {nodes} nodes: the same on this one machine, everything replicated and synced on a majority; \
                 connections go round the nodes, CPU and memory are those of all.\n"
            ),
            Recipe::One(broker::Recipe::Mosquitto(path)) => format!(
                "mosquitto: {}, no persistence, no queue limits: an acknowledgement is a promise of memory.\n",
                first_line(path, "-h")
            ),
            Recipe::One(broker::Recipe::Command(words)) => format!("{}\n", words.join(" ")),
        };
    }
    text.push('\n');
    Ok(text)
}

fn after(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("?", |(_, value)| value.trim()).to_owned()
}

/// The type of the file system that holds `directory`: the longest mount point that it lies under.
fn file_system(directory: &Path, mounts: &str) -> String {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let holds = |point: &str| directory.starts_with(point);
    let longest = mounts.filter(|(point, _)| holds(point)).max_by_key(|(point, _)| point.len());
    longest.map_or("?", |(_, kind)| kind).to_owned()
}

fn first_line(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("version unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_point_holds_a_directory() {
        let mounts = "a / ext4 rw 0 0\nb /proc proc rw 0 0\nc / overlay rw 0 0\n";
        assert_eq!(file_system(Path::new("/proc/self"), mounts), "proc");
    }
}
