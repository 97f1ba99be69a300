//! Who a data directory belongs to: one cluster and one node, for life.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Version of the data directory's layout.
pub const FORMAT: u32 = 1;

const FILE: &str = "IDENTITY";

/// The content of the identity file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Version of the layout.
    pub format: u32,
    /// UUID of the cluster.
    pub cluster_id: String,
    /// The node's number in the cluster.
    pub node_id: u64,
    /// UUID of this node, that is of this directory.
    pub node_uuid: String,
    /// Partitions the cluster was founded with.
    pub partitions: u16,
    /// Session groups the cluster was founded with.
    pub session_groups: u16,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Reading or writing failed.
    #[error("cannot use {path}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("{path} is damaged: {detail}; restore it, the data is worth nothing without it")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A newer program wrote it.
    #[error("{path} has layout {found}; this program knows layouts up to {FORMAT}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u32,
    },
    /// The directory belongs to another node.
    #[error(
        "{path} belongs to node {found}, not to node {wanted}; start it with --node-id {found} or give this node a directory of its own"
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: u64,
        /// Who wanted it.
        wanted: u64,
    },
    /// There is data without an identity.
    #[error("{path} holds data but no {FILE} file; it is not taken for an empty directory")]
    Lost {
        /// The directory.
        path: PathBuf,
    },
}

impl Identity {
    /// Reads the identity of `dir`; `None` for an empty or missing directory.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged or newer, or when there is data without one.
    pub fn read(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if dir.join("log").exists() || dir.join("state").exists() {
                    Err(IdentityError::Lost { path: dir.to_owned() })
                } else {
                    Ok(None)
                };
            }
            Err(source) => return Err(IdentityError::Io { path, source }),
        };
        let damaged = |detail: String| IdentityError::Damaged { path: path.clone(), detail };
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let found = value.get("format").and_then(serde_json::Value::as_u64);
        match found.and_then(|format| u32::try_from(format).ok()) {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => return Err(IdentityError::Newer { path, found: newer }),
            _ => return Err(damaged("it names no layout".to_owned())),
        }
        serde_json::from_value(value).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Writes the identity of a new directory and syncs it. Never overwrites one.
    ///
    /// # Errors
    /// When the directory or file cannot be made.
    pub fn create(&self, dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join(FILE);
        let failed = |source| IdentityError::Io { path: path.clone(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        let draft = dir.join("IDENTITY.new");
        let mut file = File::create(&draft).map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).expect("plain fields");
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::hard_link(&draft, &path).map_err(failed)?;
        fs::remove_file(&draft).map_err(failed)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)
    }

    /// Checks that `node_id`, where the operator gave one, is whose directory this is.
    ///
    /// # Errors
    /// When it is another node's.
    pub fn check_node(&self, dir: &Path, node_id: Option<u64>) -> Result<(), IdentityError> {
        match node_id {
            Some(wanted) if wanted != self.node_id => {
                Err(IdentityError::OtherNode { path: dir.to_owned(), found: self.node_id, wanted })
            }
            _ => Ok(()),
        }
    }

    /// A new UUID, for a cluster or a node.
    pub fn new_uuid() -> String {
        uuid::Uuid::new_v4().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            format: FORMAT,
            cluster_id: Identity::new_uuid(),
            node_id: 3,
            node_uuid: Identity::new_uuid(),
            partitions: 16,
            session_groups: 8,
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(Identity::read(dir.path()).expect("empty"), None);
        let mine = identity();
        mine.create(dir.path()).expect("created");
        assert_eq!(Identity::read(dir.path()).expect("read"), Some(mine.clone()));
        assert!(matches!(identity().create(dir.path()), Err(IdentityError::Io { .. })));
        assert_eq!(Identity::read(dir.path()).expect("read"), Some(mine));
    }

    #[test]
    fn a_directory_of_another_node_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = identity().check_node(dir.path(), Some(4)).expect_err("other node");
        assert!(error.to_string().contains("belongs to node 3, not to node 4"), "{error}");
        identity().check_node(dir.path(), None).expect("no number given");
    }

    #[test]
    fn damage_and_newer_layouts_are_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(FILE), b"{\"format\": 9}").expect("written");
        assert!(matches!(Identity::read(dir.path()), Err(IdentityError::Newer { found: 9, .. })));
        fs::write(dir.path().join(FILE), b"not json").expect("written");
        assert!(matches!(Identity::read(dir.path()), Err(IdentityError::Damaged { .. })));
    }

    #[test]
    fn data_without_an_identity_is_not_taken_for_empty() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("log")).expect("made");
        assert!(matches!(Identity::read(dir.path()), Err(IdentityError::Lost { .. })));
    }
}
