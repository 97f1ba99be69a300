//! Who a data directory belongs to: one cluster and one node, for life; and with whom the cluster was founded.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Version of the data directory's layout.
pub const FORMAT: u32 = 1;

const FILE: &str = "IDENTITY";

/// Says that the log has been opened once.
const STARTED: &str = "STARTED";
/// Says that the node was removed from its cluster.
const REMOVED: &str = "REMOVED";

/// Whose a directory is, and the numbers that never change.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Ids that the cluster had before this directory went on alone, the oldest first.
    pub former: Vec<String>,
}

/// A node as the founding knew it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The node's number in the cluster.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// UUID of its data directory.
    #[prost(string, tag = "2")]
    pub uuid: String,
    /// `HOST:PORT` of its cluster link, as the seed list spelled it.
    #[prost(string, tag = "3")]
    pub address: String,
}

/// The whole content of the identity file: whose directory it is, and what the founding decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charter {
    /// Whose directory it is.
    pub identity: Identity,
    /// Replicas of each group that were asked for, not yet capped by the number of nodes; 0 where the file
    /// does not say.
    pub replicas: u16,
    /// The founders in the order of their addresses, or the nodes that there were when this one joined; empty for a
    /// cluster of one.
    pub members: Vec<Member>,
    /// Whether the node came to a cluster that was there: it has no vote but what it was given later.
    pub joined: bool,
}

/// The identity file as it lies on disk. What came later than the first files has a default.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    cluster_id: String,
    node_id: u64,
    node_uuid: String,
    partitions: u16,
    session_groups: u16,
    #[serde(default)]
    replicas: u16,
    #[serde(default)]
    members: Vec<Member>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    joined: bool,
    /// Only where there is one, so that an earlier version goes on reading the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<String>,
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
    /// There was data, and it is gone.
    #[error(
        "{path} was in use and its log is gone; a node that forgot what it acknowledged must not start under its old name"
    )]
    Emptied {
        /// The directory.
        path: PathBuf,
    },
    /// The node was removed from its cluster.
    #[error(
        "{path} was node {node}, which was removed from its cluster; to come back it has to join with an empty directory"
    )]
    Removed {
        /// The directory.
        path: PathBuf,
        /// The number.
        node: u64,
    },
    /// There is data without an identity.
    #[error("{path} holds data but no {FILE} file; it is not taken for an empty directory")]
    Lost {
        /// The directory.
        path: PathBuf,
    },
}

impl Charter {
    /// Reads the identity file of `dir`; `None` for an empty or missing directory.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged or newer, or when there is data without one.
    pub fn read(dir: &Path) -> Result<Option<Self>, IdentityError> {
        match read_json::<Stored>(&dir.join(FILE))? {
            Some(stored) => Ok(Some(stored.into())),
            None if dir.join("log").exists() || dir.join("state").exists() => {
                Err(IdentityError::Lost { path: dir.to_owned() })
            }
            None => Ok(None),
        }
    }

    /// Writes the identity file of a new directory and syncs it. Never overwrites one.
    ///
    /// # Errors
    /// When the directory or file cannot be made.
    pub fn create(&self, dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join(FILE);
        let failed = |source| IdentityError::Io { path: path.clone(), source };
        let draft = write_draft(dir, FILE, &Stored::from(self))?;
        fs::hard_link(&draft, &path).map_err(failed)?;
        fs::remove_file(&draft).map_err(failed)?;
        sync_dir(dir)
    }

    /// Makes the node of `dir` the only founder of a cluster that has a new id, which is how whatever comes back of
    /// the old one is kept out: nodes of different clusters do not speak to each other. Synced; a crash leaves the
    /// old file or the new one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn go_on_alone(mut self, dir: &Path) -> Result<Self, IdentityError> {
        let own = self.identity.node_id;
        let address = self.members.iter().find(|member| member.node == own);
        let address = address.map_or_else(String::new, |member| member.address.clone());
        self.members = vec![Member { node: own, uuid: self.identity.node_uuid.clone(), address }];
        self.identity.former.push(std::mem::replace(&mut self.identity.cluster_id, Identity::new_uuid()));
        let path = dir.join(FILE);
        let draft = write_draft(dir, FILE, &Stored::from(&self))?;
        fs::rename(&draft, &path).map_err(|source| IdentityError::Io { path, source })?;
        sync_dir(dir)?;
        Ok(self)
    }
}

impl From<Stored> for Charter {
    fn from(stored: Stored) -> Self {
        let Stored { format, cluster_id, node_id, node_uuid, partitions, session_groups, .. } = stored;
        let former = stored.former;
        let identity =
            Identity { format, cluster_id, node_id, node_uuid, partitions, session_groups, former };
        Self { identity, replicas: stored.replicas, members: stored.members, joined: stored.joined }
    }
}

impl From<&Charter> for Stored {
    fn from(charter: &Charter) -> Self {
        let Identity { format, cluster_id, node_id, node_uuid, partitions, session_groups, former } =
            charter.identity.clone();
        Self {
            format,
            cluster_id,
            node_id,
            node_uuid,
            partitions,
            session_groups,
            replicas: charter.replicas,
            members: charter.members.clone(),
            joined: charter.joined,
            former,
        }
    }
}

/// Reads a file of this directory's layout; `None` when there is none.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, IdentityError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Io { path: path.to_owned(), source }),
    };
    let damaged = |detail: String| IdentityError::Damaged { path: path.to_owned(), detail };
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    let found = value.get("format").and_then(serde_json::Value::as_u64);
    match found.and_then(|format| u32::try_from(format).ok()) {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => {
            return Err(IdentityError::Newer { path: path.to_owned(), found });
        }
        _ => return Err(damaged("it names no layout".to_owned())),
    }
    serde_json::from_value(value).map(Some).map_err(|error| damaged(error.to_string()))
}

/// Writes and syncs the draft of `file` and returns its path. It becomes the file by a link or a rename,
/// so that a crash leaves the old file or the new one.
pub(crate) fn write_draft<T: Serialize>(dir: &Path, file: &str, value: &T) -> Result<PathBuf, IdentityError> {
    let draft = dir.join(format!("{file}.new"));
    let failed = |source| IdentityError::Io { path: draft.clone(), source };
    fs::create_dir_all(dir).map_err(failed)?;
    let text = serde_json::to_vec_pretty(value).expect("plain fields");
    let mut made = File::create(&draft).map_err(failed)?;
    made.write_all(&text).and_then(|()| made.sync_all()).map_err(failed)?;
    Ok(draft)
}

/// Makes what was linked, renamed or removed in `dir` last.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Io { path: dir.to_owned(), source };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)
}

impl Identity {
    /// Reads the identity of `dir`; `None` for an empty or missing directory.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged or newer, or when there is data without one.
    pub fn read(dir: &Path) -> Result<Option<Self>, IdentityError> {
        Ok(Charter::read(dir)?.map(|charter| charter.identity))
    }

    /// Writes the identity of a new directory that no founding names, and syncs it. Never overwrites one.
    ///
    /// # Errors
    /// When the directory or file cannot be made.
    pub fn create(&self, dir: &Path) -> Result<(), IdentityError> {
        Charter { identity: self.clone(), replicas: 0, members: Vec::new(), joined: false }.create(dir)
    }

    /// Refuses a directory whose log was there once and is not now: it never starts empty.
    ///
    /// # Errors
    /// When the log is gone.
    pub fn check_log(dir: &Path) -> Result<(), IdentityError> {
        if dir.join(STARTED).exists() && !dir.join("log").join("CURRENT").exists() {
            return Err(IdentityError::Emptied { path: dir.to_owned() });
        }
        Ok(())
    }

    /// Whether the directory's log has ever been opened.
    pub fn was_started(dir: &Path) -> bool {
        dir.join(STARTED).exists()
    }

    /// Writes down that the directory's log has been opened. From then on it must be there.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn mark_started(dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join(STARTED);
        if path.exists() {
            return Ok(());
        }
        let failed = |source| IdentityError::Io { path: path.clone(), source };
        File::create(&path).and_then(|file| file.sync_all()).map_err(failed)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)
    }

    /// Writes down that the node was removed from its cluster: the directory is of no more use to it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn mark_removed(dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join(REMOVED);
        File::create(&path)
            .and_then(|file| file.sync_all())
            .map_err(|source| IdentityError::Io { path, source })?;
        sync_dir(dir)
    }

    /// Checks that `node_id`, where the operator gave one, is whose directory this is, and that it is still a member.
    ///
    /// # Errors
    /// When it is another node's, or the node was removed.
    pub fn check_node(&self, dir: &Path, node_id: Option<u64>) -> Result<(), IdentityError> {
        match node_id {
            _ if dir.join(REMOVED).exists() => {
                Err(IdentityError::Removed { path: dir.to_owned(), node: self.node_id })
            }
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
            former: Vec::new(),
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
    fn the_founders_are_kept_and_a_file_without_them_is_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let member = Member { node: 3, uuid: "u".to_owned(), address: "a:1".to_owned() };
        let charter = Charter { identity: identity(), replicas: 3, members: vec![member], joined: true };
        charter.create(dir.path()).expect("created");
        assert_eq!(Charter::read(dir.path()).expect("read"), Some(charter));

        let first = r#"{"format": 1, "cluster_id": "c", "node_id": 1, "node_uuid": "u",
            "partitions": 16, "session_groups": 8}"#;
        fs::write(dir.path().join(FILE), first).expect("written");
        let charter = Charter::read(dir.path()).expect("read").expect("there");
        assert_eq!((charter.identity.partitions, charter.replicas, charter.members.len()), (16, 0, 0));
    }

    #[test]
    fn a_directory_that_goes_on_alone_has_a_new_cluster_and_knows_the_old_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let member = |node: u64| Member { node, uuid: format!("u{node}"), address: format!("a:{node}") };
        let old =
            Charter { identity: identity(), replicas: 3, members: vec![member(1), member(3)], joined: false };
        old.create(dir.path()).expect("created");
        let new = old.clone().go_on_alone(dir.path()).expect("written");
        assert_eq!(Charter::read(dir.path()).expect("read"), Some(new.clone()));
        let uuid = old.identity.node_uuid.clone();
        assert_eq!(new.members, [Member { uuid, ..member(3) }]);
        assert_ne!(new.identity.cluster_id, old.identity.cluster_id);
        assert_eq!(new.identity.former, [old.identity.cluster_id]);
        let again = new.clone().go_on_alone(dir.path()).expect("written");
        assert_eq!(again.identity.former.last(), Some(&new.identity.cluster_id));
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
    fn a_log_that_was_there_must_be_there() {
        let dir = tempfile::tempdir().expect("a folder");
        Identity::check_log(dir.path()).expect("never started");
        fs::create_dir(dir.path().join("log")).expect("made");
        fs::write(dir.path().join("log/CURRENT"), b"").expect("written");
        Identity::mark_started(dir.path()).expect("marked");
        Identity::check_log(dir.path()).expect("it is there");
        fs::remove_dir_all(dir.path().join("log")).expect("removed");
        assert!(matches!(Identity::check_log(dir.path()), Err(IdentityError::Emptied { .. })));
    }

    #[test]
    fn data_without_an_identity_is_not_taken_for_empty() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("log")).expect("made");
        assert!(matches!(Identity::read(dir.path()), Err(IdentityError::Lost { .. })));
    }
}
