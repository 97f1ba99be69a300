//! What can go wrong with a disk.

use std::path::PathBuf;

/// The world's fault, not ours. After an error of a write or a sync the process stops: the kernel
/// may have dropped what it failed to write, so a second try would report success for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the data directory.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// No space is left.
    #[error("no space left for {}: {detail}", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
        /// The store's own words.
        detail: String,
    },
    /// What was read is not what was written.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// The store's own words, with the file and the offset where it knows them.
        detail: String,
    },
    /// Written by a version that this one does not know.
    #[error("{} has format {found}, this version knows {known}", path.display())]
    Format {
        /// The directory.
        path: PathBuf,
        /// The version on disk.
        found: u8,
        /// The newest version that is known.
        known: u8,
    },
    /// The disk refused.
    #[error("{} cannot be read or written: {detail}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The store's own words.
        detail: String,
    },
    /// A write has failed before, so nothing is written any more.
    #[error("a write has failed before")]
    Stopped,
}
