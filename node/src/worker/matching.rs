//! Who wants a message: the worker's trie, and the answers for hot topics.

use std::rc::Rc;
use std::sync::Arc;

use holdfast_codec::Qos;
use slab::Slab;
use smallvec::SmallVec;

use super::conn::Conn;
use crate::route::hash;
use crate::session::Subscription;
use crate::topic::Trie;

/// Answers kept; a power of two.
const CACHE: usize = 1_024;
/// Marks the value of a shared subscription.
const SHARE: u64 = 1 << 63;

/// Subscriptions of a worker.
#[derive(Default)]
pub(super) struct Matching {
    trie: Trie<u64>,
    cache: Vec<Option<Cached>>,
    found: Vec<u64>,
}

struct Cached {
    topic: Box<str>,
    version: u64,
    targets: Rc<[Target]>,
}

/// One receiver of a message: overlapping subscriptions of a session are one.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Place of the connection, or of the shared subscription.
    pub(super) slot: u32,
    /// It is a shared subscription.
    pub(super) shared: bool,
    /// Largest QoS of the subscriptions.
    pub(super) qos: Qos,
    /// All of them have No Local.
    pub(super) no_local: bool,
    /// One of them has Retain As Published.
    pub(super) retain_as_published: bool,
    /// Their Subscription Identifiers [MQTT-3.3.4-3].
    pub(super) ids: SmallVec<[u32; 2]>,
    /// The shared subscription that assigned the message, for a member's session.
    pub(super) share: Option<Arc<str>>,
}

impl Target {
    /// One subscription of the session in `slot`.
    pub(super) fn of(slot: u32, subscription: &Subscription) -> Self {
        let options = subscription.options;
        Self {
            slot,
            shared: false,
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            ids: subscription.id.into_iter().collect(),
            share: None,
        }
    }

    /// Another one that overlaps.
    pub(super) fn and(&mut self, subscription: &Subscription) {
        let options = subscription.options;
        self.qos = self.qos.max(options.qos);
        self.no_local &= options.no_local;
        self.retain_as_published |= options.retain_as_published;
        self.ids.extend(subscription.id);
    }
}

impl Matching {
    pub(super) fn is_empty(&self) -> bool {
        self.trie.is_empty()
    }

    pub(super) fn insert(&mut self, filter: &str, slot: u32, place: usize) {
        self.trie.insert(filter, value(slot, place));
    }

    pub(super) fn remove(&mut self, filter: &str, slot: u32, place: usize) {
        self.trie.remove(filter, &value(slot, place));
    }

    /// Options changed: what is remembered no longer holds.
    pub(super) fn replace(&mut self, filter: &str, slot: u32, place: usize) {
        self.remove(filter, slot, place);
        self.insert(filter, slot, place);
    }

    pub(super) fn insert_share(&mut self, filter: &str, at: usize) {
        self.trie.insert(filter, SHARE | at as u64);
    }

    pub(super) fn remove_share(&mut self, filter: &str, at: usize) {
        self.trie.remove(filter, &(SHARE | at as u64));
    }

    /// The receivers of messages to `topic`.
    pub(super) fn targets(&mut self, topic: &str, conns: &mut Slab<Conn>) -> Rc<[Target]> {
        let version = self.trie.version();
        let at = usize::try_from(hash(topic.as_bytes()) % CACHE as u64).expect("below the size");
        if let Some(Some(cached)) = self.cache.get(at)
            && cached.version == version
            && &*cached.topic == topic
        {
            return Rc::clone(&cached.targets);
        }
        self.found.clear();
        self.trie.matches(topic, &mut self.found);
        self.found.sort_unstable();
        let targets: Rc<[Target]> = merge(&self.found, conns).into();
        if self.cache.is_empty() {
            self.cache.resize_with(CACHE, || None);
        }
        self.cache[at] = Some(Cached { topic: topic.into(), version, targets: Rc::clone(&targets) });
        targets
    }
}

fn value(slot: u32, place: usize) -> u64 {
    u64::from(slot) << 32 | place as u64
}

/// Values in order, so those of one session stand together.
fn merge(found: &[u64], conns: &mut Slab<Conn>) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::with_capacity(found.len());
    for value in found {
        if value & SHARE != 0 {
            let slot = u32::try_from(value & !SHARE).expect("places are small");
            targets.push(Target {
                slot,
                shared: true,
                qos: Qos::ExactlyOnce,
                no_local: false,
                retain_as_published: false,
                ids: SmallVec::new(),
                share: None,
            });
            continue;
        }
        let slot = u32::try_from(value >> 32).expect("shifted");
        let place = usize::try_from(value & 0xffff_ffff).expect("masked");
        let Some(session) = conns.get_mut(slot as usize).and_then(Conn::session) else { continue };
        let Some(Some(subscription)) = session.subscriptions.get(place) else { continue };
        match targets.last_mut().filter(|last| last.slot == slot && !last.shared) {
            Some(last) => last.and(subscription),
            None => targets.push(Target::of(slot, subscription)),
        }
    }
    targets
}
