//! Why a connection between nodes was closed: QUIC application codes, the same on both ends.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The reason a connection was closed for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Code {
            $($(#[$doc])* $name = $number,)*
        }

        impl Code {
            /// The code with this number, where this program knows it.
            pub fn new(number: u64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for Code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

codes! {
    /// What the connection was for is done.
    Done = 0, "done";
    /// The node stops.
    Leaving = 1, "the node stops";
    /// A frame is larger than the bound.
    TooLarge = 2, "a frame is too large";
    /// A stream ended within a frame.
    Truncated = 3, "a stream ended within a frame";
    /// A frame has a version that the receiver does not know.
    Version = 4, "a frame has an unknown version";
    /// A frame is of a kind that the receiver does not know.
    Kind = 5, "a frame is of an unknown kind";
    /// A frame cannot be taken apart.
    Malformed = 6, "a frame is malformed";
    /// A stream belongs to no lane that this connection may carry.
    Lane = 7, "a stream belongs to no lane";
    /// The nodes belong to different clusters.
    OtherCluster = 8, "the nodes belong to different clusters";
    /// The nodes have no version of the protocol in common.
    Protocol = 9, "the nodes have no version of the protocol in common";
    /// The certificate does not name the node that speaks.
    Certificate = 10, "the certificate does not name this node";
    /// Two nodes claim one node id.
    SameId = 11, "two nodes have the same node id";
    /// Another node answers at this address.
    OtherNode = 12, "another node has this address";
    /// The node is not a member.
    UnknownNode = 13, "the node is not a member";
    /// A later life of the node is connected already.
    Stale = 14, "a later life of the node is connected";
    /// A newer connection of the same node took its place.
    Replaced = 15, "a newer connection took its place";
    /// The wrong end dialed: the node with the lower id does.
    Direction = 16, "the node with the lower id dials";
    /// A node without an identity wants what only members may.
    Blank = 17, "the node has no identity yet";
    /// The first frame did not come in time.
    Silent = 18, "the other end said nothing";
    /// Bulk from a node that is not connected otherwise, or in another life.
    NotUp = 19, "the nodes are not connected";
}

impl Code {
    /// Closes `connection` for this reason.
    pub(super) fn close(self, connection: &quinn::Connection) {
        connection.close(quinn::VarInt::from_u32(self as u32), self.to_string().as_bytes());
    }
}
