//! MQTT 3.1, 3.1.1 and 5.0 packets, sans IO: bytes in, borrowed packets out, and back.
//!
//! What it is not: a client, a server or a session. It knows what may be said, not when.
//! What stays true: no bytes make it panic, every length and count has a limit that came in as an
//! argument, and PUBLISH and its acknowledgements are decoded without allocation.
//!
//! The modules are listed from the face to the ground; each uses only those below it.

mod decode;
mod packet;

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod publish;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

mod property;

mod read;
mod topic;
mod write;

mod frame;
mod limits;
mod violation;

mod reason;

mod id;
mod kind;
mod qos;
mod version;

pub use ack::{Ack, AckKind, encode_ack};
pub use auth::Auth;
pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties, Will, connect_version};
pub use decode::decode;
pub use disconnect::Disconnect;
pub use frame::{Frame, frame};
pub use id::PacketId;
pub use kind::{PacketKind, Side};
pub use limits::Limits;
pub use packet::Packet;
pub use property::{Forward, Property};
pub use publish::{Publish, PublishHead, PublishLayout, PublishProperties, encode_publish, publish_len};
pub use qos::Qos;
pub use reason::ReasonCode;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, SubscribeOptions};
pub use topic::{TopicFilter, topic_name_valid};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;
pub use version::Version;
pub use violation::Violation;
