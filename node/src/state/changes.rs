//! Derived state on its way to disk: puts and deletes, written in one batch with the applied index.

use prost::Message;

/// Key of the group's counter.
pub const COUNTER: &[u8] = b"n";

/// Changes that applying one entry made.
#[derive(Debug, Default)]
pub struct Changes {
    /// Key and value to put, or `None` to delete, in order.
    pub rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Changes {
    /// Puts a message.
    pub fn put(&mut self, key: Vec<u8>, value: &impl Message) {
        self.rows.push((key, Some(value.encode_to_vec())));
    }

    /// Puts bytes.
    pub fn put_bytes(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.push((key, Some(value)));
    }

    /// Puts the group's counter.
    pub fn put_counter(&mut self, counter: u64) {
        self.rows.push((COUNTER.to_vec(), Some(counter.to_be_bytes().to_vec())));
    }

    /// Deletes.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.rows.push((key, None));
    }
}
