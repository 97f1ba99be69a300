//! Clock and disk as one node sees them: a small library that is loaded into its process and looks at a file.
//!
//! The library is C, is compiled when a storm begins, and is nowhere but in the processes that a storm starts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library.
const SOURCE: &str = include_str!("weather.c");
/// Places in the file of a node, and how many there are.
const CLOCK: u64 = 0;
const SYNC: u64 = 1;
const FREE: u64 = 2;
const FULL: u64 = 3;
const PLACES: usize = 4;

/// The compiled library.
#[derive(Clone, Debug)]
pub(super) struct Shim {
    library: PathBuf,
}

impl Shim {
    /// Compiles it into `directory`.
    pub(super) fn build(directory: &Path) -> io::Result<Shim> {
        let (source, library) = (directory.join("weather.c"), directory.join("weather.so"));
        std::fs::write(&source, SOURCE)?;
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let built = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()?;
        if !built.status.success() {
            let words = String::from_utf8_lossy(&built.stderr).into_owned();
            return Err(io::Error::other(format!("{}: {words}", compiler.display())));
        }
        Ok(Shim { library })
    }

    /// The variables of a process that keeps its data in `data` and has this weather.
    pub(super) fn environment(&self, weather: &Weather, data: &Path) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", self.library.clone()),
            ("HOLDFAST_CHAOS_WEATHER", weather.path.clone()),
            ("HOLDFAST_CHAOS_DATA", data.to_owned()),
        ]
    }
}

/// The weather of one node. It outlives its process.
#[derive(Debug)]
pub struct Weather {
    path: PathBuf,
    file: File,
}

impl Weather {
    pub(super) fn new(path: PathBuf) -> io::Result<Weather> {
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
        file.write_all_at(&[0; 8 * PLACES], 0)?;
        Ok(Weather { path, file })
    }

    /// The wall clock is ahead by so many milliseconds, or behind.
    pub fn set_clock(&self, ms: i64) -> io::Result<()> {
        self.set(CLOCK, ms.saturating_mul(1_000_000))
    }

    /// Each sync takes so much longer.
    pub fn set_sync_micros(&self, micros: u32) -> io::Result<()> {
        self.set(SYNC, i64::from(micros))
    }

    /// The file system says that it has no room, or the truth.
    pub fn set_short(&self, short: bool) -> io::Result<()> {
        self.set(FREE, i64::from(short))
    }

    /// Writes fail for lack of room.
    pub fn set_full(&self, full: bool) -> io::Result<()> {
        self.set(FULL, i64::from(full))
    }

    fn set(&self, place: u64, value: i64) -> io::Result<()> {
        self.file.write_all_at(&value.to_ne_bytes(), 8 * place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(shim: &Shim, weather: &Weather, data: &Path, script: &str) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).envs(shim.environment(weather, data)).current_dir(data);
        let output = shell.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    #[test]
    fn a_process_sees_the_clock_and_the_disk_that_it_is_given() {
        let directory = tempfile::tempdir().unwrap();
        let shim = Shim::build(directory.path()).unwrap();
        let weather = Weather::new(directory.path().join("sky")).unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let year = |weather| said(&shim, weather, &data, "date -u +%Y").trim().parse::<u32>().unwrap();
        let now = year(&weather);
        weather.set_clock(400 * 86_400_000).unwrap();
        assert_eq!(year(&weather), now + 1);
        weather.set_clock(0).unwrap();
        let write = "dd if=/dev/zero of=file bs=100 count=3 2>&1; stat -c %s file";
        weather.set_full(true).unwrap();
        let full = said(&shim, &weather, &data, write);
        assert!(full.contains("No space") && full.ends_with("50\n"), "{full}");
        weather.set_full(false).unwrap();
        assert!(said(&shim, &weather, &data, write).ends_with("300\n"));
        weather.set_sync_micros(300_000).unwrap();
        let start = std::time::Instant::now();
        said(&shim, &weather, &data, "dd if=/dev/zero of=file bs=1 count=1 conv=fdatasync");
        assert!(start.elapsed() >= std::time::Duration::from_millis(300));
    }
}
