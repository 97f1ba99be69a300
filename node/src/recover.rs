//! For the day on which a majority of the nodes is lost for good: an account of what one stopped node's directory has
//! kept, and making it go on alone.
//!
//! Nothing of it happens by itself: whoever runs it says that the others are lost. A directory that goes on alone is a
//! cluster with a new id, so a node of the old one that comes back is not let in.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_cluster::founding::Start;
use holdfast_cluster::{Charter, Identity, IdentityError};
use holdfast_log::{
    Account, GroupId, LogError, NodeId, Outcome, Recovery, RocksConfig, RocksStore, Saved, Standing,
    StoreError,
};

use crate::admin::{Time, columns};
use crate::route::{META, Partition, Route};

/// What is told to the operator.
#[derive(Debug)]
pub struct Told {
    /// The account.
    pub text: String,
    /// Every group of the cluster can go on.
    pub whole: bool,
}

/// Why there is no account, or nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// There is nothing to recover.
    #[error("{path} holds no data of a node; an empty directory joins a cluster, it does not save one")]
    Blank {
        /// The directory.
        path: PathBuf,
    },
    /// The directory belongs elsewhere, is damaged or cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node runs.
    #[error("{path} is in use; stop its node first")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The log is damaged.
    #[error("cannot read the log")]
    Log(#[from] LogError),
    /// All groups have this replica only.
    #[error("{path} goes on alone already, or always was a cluster of one; just start it")]
    Alone {
        /// The directory.
        path: PathBuf,
    },
    /// Without the meta group no node gets the right to serve.
    #[error("the meta group cannot go on from {path}, and without it nothing does; nothing was changed")]
    NoMeta {
        /// The directory.
        path: PathBuf,
    },
}

impl RecoverError {
    /// The fault is in what the command was given.
    pub fn is_misuse(&self) -> bool {
        match self {
            Self::Blank { .. } | Self::Identity(_) | Self::InUse { .. } | Self::Alone { .. } => true,
            Self::Store(_) | Self::Log(_) | Self::NoMeta { .. } => false,
        }
    }
}

/// What `dir` has kept of each group. Changes nothing.
///
/// # Errors
/// When there is nothing, or it cannot be read.
pub fn account(dir: &Path) -> Result<Told, RecoverError> {
    let (charter, recovery) = open(dir)?;
    let ledger = Ledger::new(&charter, recovery.accounts());
    let mut text = ledger.text(&charter.identity, dir);
    if ledger.is_alone() {
        text += "\nIt is the only replica of every group: there is nothing to recover, just start it.\n";
    } else {
        let _ = write!(text, "\n{MEANING}\n\n{ADVICE}\n\n  {}\n", command(dir));
    }
    Ok(Told { text, whole: ledger.whole })
}

/// Makes `dir` the only member of its cluster, which loses whatever it does not have.
///
/// # Errors
/// When there is nothing, it cannot be read or written, or it would not serve afterwards.
pub fn go_on_alone(dir: &Path) -> Result<Told, RecoverError> {
    let (charter, recovery) = open(dir)?;
    let ledger = Ledger::new(&charter, recovery.accounts());
    // First the identity: a crash between the two leaves a directory that can be told again.
    if ledger.is_alone() && charter.members.len() <= 1 {
        return Err(RecoverError::Alone { path: dir.to_owned() });
    }
    if !ledger.has_meta {
        return Err(RecoverError::NoMeta { path: dir.to_owned() });
    }
    let (mut text, whole) = (ledger.text(&charter.identity, dir), ledger.whole);
    let former = charter.identity.cluster_id.clone();
    let charter = charter.go_on_alone(dir)?;
    recovery.accept_data_loss()?;
    let Identity { node_id, cluster_id, .. } = charter.identity;
    let _ = write!(
        text,
        "\n{MEANING}\n\nNode {node_id} goes on alone, as cluster {cluster_id} (it was {former}).\n{AFTERWARDS}\n"
    );
    Ok(Told { text, whole })
}

const MEANING: &str = "\
Kept is everything up to the last entry. Entries after the one that is known to be committed, and offsets from the
safe one on, may be others than those that were acknowledged. Whatever was acknowledged later than the last entry and
is on none of the directories that are left is lost.";

const ADVICE: &str = "\
Nothing was changed. While a majority of the nodes can still be started, start them instead: they lose nothing. If it
is lost for good, compare this account with that of every other directory that is left, and choose the one with the
highest term and last entry. Copy the directory first; then, on this one only:";

const AFTERWARDS: &str = "\
Start it with the command line that it had. The directories of the other nodes must not be started again: their nodes
join anew with empty ones.";

fn command(dir: &Path) -> String {
    format!("holdfast recover --data-dir {} --i-accept-data-loss", dir.display())
}

fn open(dir: &Path) -> Result<(Charter, Recovery), RecoverError> {
    let charter = match Start::read(dir)? {
        Start::Founded(charter) if Identity::was_started(dir) => charter,
        Start::Founded(_) | Start::Promised(_) | Start::Blank { .. } => {
            return Err(RecoverError::Blank { path: dir.to_owned() });
        }
    };
    Identity::check_log(dir)?;
    let store = RocksStore::open(dir, &RocksConfig::default()).map_err(|error| match error {
        StoreError::InUse { .. } => RecoverError::InUse { path: dir.to_owned() },
        error => error.into(),
    })?;
    let recovery = Recovery::plan(Arc::new(store), NodeId::new(charter.identity.node_id))?;
    Ok((charter, recovery))
}

/// All groups of a cluster, with what a directory has of them.
struct Ledger<'a> {
    groups: Vec<(GroupId, Option<&'a Account>)>,
    has_meta: bool,
    whole: bool,
}

impl<'a> Ledger<'a> {
    fn new(charter: &Charter, accounts: &'a [Account]) -> Self {
        let route = Route::new(charter.identity.partitions, charter.identity.session_groups);
        let of = |group| accounts.iter().find(|account: &&Account| account.group == group);
        let groups: Vec<_> = route.all_groups().map(|group| (group, of(group))).collect();
        let goes_on = |(_, account): &(GroupId, Option<&Account>)| account.is_some_and(goes_on);
        Self { has_meta: goes_on(&groups[0]), whole: groups.iter().all(goes_on), groups }
    }

    fn is_alone(&self) -> bool {
        let mut saved = self.groups.iter().filter_map(|(_, account)| saved((*account)?));
        self.whole && saved.all(|saved| saved.alone)
    }

    fn text(&self, identity: &Identity, dir: &Path) -> String {
        let Identity { node_id, cluster_id, .. } = identity;
        let head = format!("{}: node {node_id} of cluster {cluster_id}\n\n", dir.display());
        let rows = self.groups.iter().map(|(group, account)| row(*group, *account)).collect();
        head + &columns(
            &["group", "term", "last entry", "committed", "next offset", "safe", "until", "remark"],
            rows,
        )
    }
}

fn saved(account: &Account) -> Option<&Saved> {
    if let Outcome::Kept(saved) = &account.outcome { Some(saved) } else { None }
}

/// A replica that was taken out of its group has not lost it: the group is elsewhere.
fn goes_on(account: &Account) -> bool {
    saved(account).is_some_and(|saved| saved.standing.is_some())
}

fn row(group: GroupId, account: Option<&Account>) -> Vec<String> {
    let partition = Partition::of_group(group);
    let name = match partition {
        Some(partition) => format!("partition {}", partition.get()),
        None if group == META => "meta".to_owned(),
        None => format!("session group {}", group.get()),
    };
    let Some(saved) = account.and_then(saved) else {
        let why = match account.map(|account| &account.outcome) {
            Some(Outcome::Lost(reason)) => format!("cannot go on: {reason}"),
            _ => "cannot go on: there is no replica here".to_owned(),
        };
        let mut row = vec![name];
        row.extend(std::iter::repeat_n("-".to_owned(), 6));
        row.push(why);
        return row;
    };
    let offset =
        |offset: holdfast_log::Offset| partition.map_or_else(|| "-".to_owned(), |_| offset.get().to_string());
    vec![
        name,
        saved.term.get().to_string(),
        saved.last.get().to_string(),
        saved.committed.get().to_string(),
        offset(saved.next_offset),
        offset(saved.safe_offset),
        if saved.stamp.get() > 0 { Time(saved.stamp.get()).to_string() } else { "-".to_owned() },
        remark(saved),
    ]
}

fn remark(saved: &Saved) -> String {
    let mut remarks = Vec::new();
    match saved.standing {
        None => remarks.push("cannot go on: it was taken out of this group, which is elsewhere".to_owned()),
        Some(Standing::Voter) => {}
        Some(_) => remarks.push("had no full vote, and may be far behind".to_owned()),
    }
    if let Some(below) = saved.lost_below {
        remarks.push(format!("offsets below {} are lost, their copy was not whole", below.get()));
    }
    remarks.join("; ")
}
