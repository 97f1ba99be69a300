//! A multi-Raft log: many groups, one RocksDB, one sync per turn.
//!
//! It keeps opaque bytes in order, on a majority of disks, and gives them back by offset. It has
//! never heard of MQTT, of sockets, or of the time of day: messages leave as values and come in as
//! values, time and chance are arguments, and the only IO is the store.
//!
//! The way in is [`Opening`], which ends in an [`Engine`]; [`Reader`] reads beside it.

mod opening;
mod recover;
mod engine;
mod reader;
mod load;
mod replica;
mod error;
mod journal;
mod pace;
mod tail;
mod shelf;
mod progress;
mod logged;
mod key;
mod rows;
mod ledger;
mod proposal;
mod group;
mod effects;
mod bulk;
mod message;
mod committed;
mod fault;
mod members;
mod entry;
mod envelope;
pub mod store;
mod config;
mod id;

pub use bulk::{Bulk, BulkError};
pub use committed::Committed;
pub use config::{Config, Sabotage};
pub use effects::{Effects, ReadReady, Role};
pub use engine::{Engine, Figures, Flush, Flushed};
pub use entry::Entry;
pub use envelope::{EnvelopeError, Kind};
pub use error::LogError;
pub use fault::{Fault, Violation};
pub use group::{GroupSpec, GroupStatus, ReplicaStatus, StateBatch};
pub use id::{BootEpoch, GroupId, Index, NodeId, Offset, Proposer, ReplicaId, Sequence, Stamp, Term};
pub use members::{Change, Members, Standing};
pub use message::{Message, MessageError};
pub use opening::Opening;
pub use proposal::{Body, ChangeRefusal, Proposal, Refusal};
pub use reader::{ReadError, Reader, SideRows};
pub use recover::{Account, Outcome, Recovery, Saved};
pub use store::{HalfFigures, MemoryStore, RocksConfig, RocksStore, Store, StoreError, Usage};
