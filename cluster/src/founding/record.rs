//! What a founding leaves on disk: the promise in a file of its own, the decision as the identity.
//!
//! | file | content |
//! | --- | --- |
//! | `FOUNDING` | JSON: `format`, `node_uuid`, `proposal`; gone once `IDENTITY` is there |
//! | `JOINING` | JSON: `format`, `node_uuid`; by it a node that asked to be taken in is known when it asks again |
//! | `IDENTITY` | JSON: the [`Charter`] |

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Proposal;
use crate::identity::{read_json, sync_dir, write_draft};
use crate::{Charter, FORMAT, Identity, IdentityError};

const FILE: &str = "FOUNDING";
const JOINING: &str = "JOINING";

/// The UUID under which a node asks to be taken in.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    format: u32,
    node_uuid: String,
}

/// A node's word that it founds this cluster and no other, until its proposer replaces or decides it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    format: u32,
    /// UUID of the node that promised.
    pub node_uuid: String,
    /// What it promised.
    pub proposal: Proposal,
}

/// What must be on disk and synced before the next effect is performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A promise; replaces an earlier one.
    Promise(Promise),
    /// The decision; replaces the promise.
    Charter(Charter),
}

/// What a directory says when the process starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing. The UUID is new and counts once it is part of a promise or an identity, or has been told to a
    /// cluster that was to take it in.
    Blank {
        /// UUID of the node.
        uuid: String,
    },
    /// It has promised, and does not know whether the cluster was founded.
    Promised(Promise),
    /// It belongs to a cluster.
    Founded(Charter),
}

/// Writes and syncs the UUID under which a node asks to be taken in.
pub(super) fn write_asked(dir: &Path, uuid: &str) -> Result<(), IdentityError> {
    let draft = write_draft(dir, JOINING, &Asked { format: FORMAT, node_uuid: uuid.to_owned() })?;
    let path = dir.join(JOINING);
    fs::rename(&draft, &path).map_err(|source| IdentityError::Io { path, source })?;
    sync_dir(dir)
}

impl Promise {
    pub(super) fn new(node_uuid: String, proposal: Proposal) -> Self {
        Self { format: FORMAT, node_uuid, proposal }
    }
}

impl Start {
    /// Reads what `dir` says; an empty or missing directory is blank.
    ///
    /// # Errors
    /// When a file cannot be read, is damaged or newer, or when there is data without an identity.
    pub fn read(dir: &Path) -> Result<Self, IdentityError> {
        if let Some(charter) = Charter::read(dir)? {
            return Ok(Self::Founded(charter));
        }
        let path = dir.join(FILE);
        let Some(promise) = read_json::<Promise>(&path)? else {
            let asked = read_json::<Asked>(&dir.join(JOINING))?;
            return Ok(Self::Blank { uuid: asked.map_or_else(Identity::new_uuid, |asked| asked.node_uuid) });
        };
        if !promise.proposal.is_valid() || promise.proposal.member(&promise.node_uuid).is_none() {
            let detail = "its proposal is not one that this node could have promised".to_owned();
            return Err(IdentityError::Damaged { path, detail });
        }
        Ok(Self::Promised(promise))
    }
}

impl Record {
    /// Writes the record to `dir` and syncs it. A crash leaves what was there before, or the record.
    ///
    /// # Errors
    /// When it cannot be written: the process ends, because nobody knows what is on the disk.
    pub fn write(&self, dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join(FILE);
        let failed = |source| IdentityError::Io { path: path.clone(), source };
        match self {
            Self::Promise(promise) => {
                let draft = write_draft(dir, FILE, promise)?;
                fs::rename(&draft, &path).map_err(failed)?;
            }
            Self::Charter(charter) => {
                charter.create(dir)?;
                for path in [path.clone(), dir.join(JOINING)] {
                    match fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                        _ => {}
                    }
                }
            }
        }
        sync_dir(dir)
    }
}
