//! A node that somebody else runs, and the commands that its owner gave for it.

use std::io;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Commands for the shell, in which `{node}` stands for the number of a node, from 1.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    /// Ends it without a word.
    pub kill: Option<String>,
    /// Starts it again.
    pub start: Option<String>,
    /// Stops it as one should, and waits.
    pub stop: Option<String>,
    /// Freezes it.
    pub pause: Option<String>,
    /// Thaws it.
    pub resume: Option<String>,
}

/// A node and its commands.
pub(super) struct Hooked {
    hooks: Hooks,
    index: usize,
    up: AtomicBool,
    starts: AtomicU32,
}

impl Hooked {
    pub(super) fn new(hooks: Hooks, index: usize) -> Hooked {
        Hooked { hooks, index, up: AtomicBool::new(true), starts: AtomicU32::new(1) }
    }

    fn run(&self, hook: Option<&String>) -> io::Result<()> {
        let hook = hook.ok_or(io::ErrorKind::Unsupported)?;
        let words = hook.replace("{node}", &(self.index + 1).to_string());
        let status = Command::new("sh").args(["-c", &words]).stdin(Stdio::null()).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("`{words}` ended with {status}")))
        }
    }

    pub(super) fn start(&self) -> io::Result<()> {
        if !self.is_up() {
            self.run(self.hooks.start.as_ref())?;
            self.starts.fetch_add(1, Ordering::SeqCst);
            self.up.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        self.end(self.hooks.kill.as_ref())
    }

    pub(super) fn stop(&self) -> io::Result<()> {
        self.end(self.hooks.stop.as_ref())
    }

    fn end(&self, hook: Option<&String>) -> io::Result<()> {
        if self.up.swap(false, Ordering::SeqCst) {
            self.run(hook)?;
        }
        Ok(())
    }

    pub(super) fn pause(&self) -> io::Result<()> {
        if self.is_up() { self.run(self.hooks.pause.as_ref()) } else { Ok(()) }
    }

    pub(super) fn resume(&self) -> io::Result<()> {
        if self.is_up() { self.run(self.hooks.resume.as_ref()) } else { Ok(()) }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }

    pub(super) fn lives(&self) -> u32 {
        self.starts.load(Ordering::SeqCst)
    }

    pub(super) fn obeys(&self) -> (bool, bool) {
        let Hooks { kill, start, stop, pause, resume } = &self.hooks;
        let ends = start.is_some() && kill.is_some() && stop.is_some();
        (ends, pause.is_some() && resume.is_some())
    }
}
