//! Faults put in on purpose, to see a checker fail. A build without debug assertions has none: there
//! [`Fault::is_in`] is `false` at compile time.

use holdfast_log::Sabotage;

/// A fault. Each breaks one promise, and the checker of that promise has to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A message is acknowledged before it is on the disk.
    AckBeforeSync,
    /// Nothing is ever synced. Only a simulated disk can be told so.
    NeverSync,
    /// A session that comes back goes on at the end of the log, not at its cursor.
    ForgetCursor,
    /// A leader does not look whether it has a message already.
    ForgetTokens,
    /// The messages of one turn of a worker are appended in reverse.
    ReverseBatch,
    /// A new owner of a session neither waits for one on another node nor shuts it out.
    SkipFence,
    /// An old owner of a session is not told that it has lost it.
    KeepOldOwner,
    /// Some retained messages are not replaced.
    KeepRetained,
    /// A read does not ask a leader whether it is current.
    SkipReadIndex,
    /// Session Present is 0 now and then, though there is a session.
    DenySession,
    /// A session that reads the log gets what it has no filter for.
    IgnoreFilter,
    /// What a member of a shared subscription had in hand when it left is given to nobody.
    LoseShared,
    /// A message of a shared subscription is given to two members.
    ShareTwice,
    /// Some wills that are due are not published.
    DropWill,
    /// A will is published twice.
    WillTwice,
    /// A message of QoS 0 goes twice to the sessions of its worker.
    LiveTwice,
    /// A node that is alone acknowledges by itself.
    AckAlone,
    /// A replica gives its vote to every candidate of a term.
    VoteTwice,
    /// A replica votes for candidates that lack what it has.
    VoteBlindly,
    /// A replica does not look whether an append fits to what it has.
    AppendBlindly,
    /// Node 2 does not apply some entries.
    SkipApply,
}

impl Fault {
    /// All of them with their names.
    pub const ALL: [(&str, Fault); 21] = [
        ("ack-before-sync", Fault::AckBeforeSync),
        ("never-sync", Fault::NeverSync),
        ("forget-cursor", Fault::ForgetCursor),
        ("forget-tokens", Fault::ForgetTokens),
        ("reverse-batch", Fault::ReverseBatch),
        ("skip-fence", Fault::SkipFence),
        ("keep-old-owner", Fault::KeepOldOwner),
        ("keep-retained", Fault::KeepRetained),
        ("skip-read-index", Fault::SkipReadIndex),
        ("deny-session", Fault::DenySession),
        ("ignore-filter", Fault::IgnoreFilter),
        ("lose-shared", Fault::LoseShared),
        ("share-twice", Fault::ShareTwice),
        ("drop-will", Fault::DropWill),
        ("will-twice", Fault::WillTwice),
        ("live-twice", Fault::LiveTwice),
        ("ack-alone", Fault::AckAlone),
        ("vote-twice", Fault::VoteTwice),
        ("vote-blindly", Fault::VoteBlindly),
        ("append-blindly", Fault::AppendBlindly),
        ("skip-apply", Fault::SkipApply),
    ];

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, fault)| *fault == self);
        known.map_or("", |(name, _)| name)
    }

    /// The rule of Raft that is to be broken.
    pub const fn of_log(put: Option<Self>) -> Option<Sabotage> {
        match put {
            Some(Self::VoteTwice) => Some(Sabotage::VoteTwice),
            Some(Self::VoteBlindly) => Some(Sabotage::VoteBlindly),
            Some(Self::AppendBlindly) => Some(Sabotage::AppendBlindly),
            _ => None,
        }
    }

    /// Whether it is this one that was put in.
    pub const fn is_in(self, put: Option<Self>) -> bool {
        cfg!(debug_assertions)
            && match put {
                Some(put) => put as u8 == self as u8,
                None => false,
            }
    }
}

/// What a node pretends, for tests of nodes that differ. The default in every build without debug assertions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pretence {
    /// The wall clock is ahead by so many milliseconds, or behind.
    pub clock_ms: i64,
    /// The highest feature level that it knows.
    pub level: Option<u32>,
}

impl Pretence {
    /// From `clock-ms=NUMBER` or `feature-level=NUMBER`.
    pub(super) fn named(text: &str) -> Option<Self> {
        let (what, number) = text.split_once('=')?;
        match what {
            "clock-ms" => Some(Self { clock_ms: number.parse().ok()?, level: None }),
            "feature-level" => Some(Self { clock_ms: 0, level: Some(number.parse().ok()?) }),
            _ => None,
        }
    }
}
