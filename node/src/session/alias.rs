//! Topic aliases of one connection, in both directions. MQTT 5.0, 3.3.2.3.4.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::rc::Rc;

/// Aliases that the client set. Grows only as far as the client counts, within our Topic Alias Maximum.
#[derive(Debug, Default)]
pub struct AliasesIn {
    topics: Vec<Option<Rc<str>>>,
}

impl AliasesIn {
    /// Sets or replaces an alias. `false`: beyond `maximum` [MQTT-3.3.2-9].
    #[must_use]
    pub fn set(&mut self, alias: NonZeroU16, topic: &str, maximum: u16) -> bool {
        if alias.get() > maximum {
            return false;
        }
        let at = usize::from(alias.get()) - 1;
        if self.topics.len() <= at {
            self.topics.resize(at + 1, None);
        }
        if self.topics[at].as_deref() != Some(topic) {
            self.topics[at] = Some(topic.into());
        }
        true
    }

    /// The topic of an alias that was set.
    pub fn get(&self, alias: NonZeroU16) -> Option<Rc<str>> {
        self.topics.get(usize::from(alias.get()) - 1)?.clone()
    }
}

/// Aliases that we set: the first topics get them and keep them.
#[derive(Debug)]
pub struct AliasesOut {
    maximum: u16,
    aliases: HashMap<Box<str>, NonZeroU16, foldhash::fast::RandomState>,
}

impl AliasesOut {
    /// For a client that takes up to `maximum`; `None` when it takes none.
    pub fn new(maximum: u16) -> Option<Box<Self>> {
        (maximum > 0).then(|| Box::new(Self { maximum, aliases: HashMap::default() }))
    }

    /// The alias for `topic`, and whether the client knows it already; `None`: send the topic.
    pub fn get(&mut self, topic: &str) -> Option<(NonZeroU16, bool)> {
        if let Some(alias) = self.aliases.get(topic) {
            return Some((*alias, true));
        }
        if self.aliases.len() >= usize::from(self.maximum) {
            return None;
        }
        let alias = NonZeroU16::new(u16::try_from(self.aliases.len() + 1).ok()?)?;
        self.aliases.insert(topic.into(), alias);
        Some((alias, false))
    }
}
