//! What a worker counts, in the words of its own code; published to the metrics by the clock.

use holdfast_codec::{PacketKind, Qos, ReasonCode};

use crate::metrics::{Closed, Connect, Counters, Dropped};

/// Counts of one worker.
pub struct Tally {
    counters: Counters,
}

impl Tally {
    /// All at zero.
    pub fn new(counters: Counters) -> Self {
        Self { counters }
    }

    #[inline]
    pub(super) fn packet_in(&mut self, kind: PacketKind, bytes: usize) {
        let at = kind as usize;
        self.counters.packets_in[at] += 1;
        self.counters.bytes_in[at] += bytes as u64;
    }

    /// A packet was put into an output; `first` is its first byte.
    #[inline]
    pub(super) fn packet_out(&mut self, first: u8, bytes: usize) {
        let at = usize::from(first >> 4);
        self.counters.packets_out[at] += 1;
        self.counters.bytes_out[at] += bytes as u64;
    }

    #[inline]
    pub(super) fn message_in(&mut self, qos: Qos) {
        self.counters.messages_in[usize::from(qos.get())] += 1;
    }

    #[inline]
    pub(super) fn message_out(&mut self, qos: Qos, bytes: usize) {
        self.counters.messages_out[usize::from(qos.get())] += 1;
        self.packet_out(PacketKind::Publish as u8 * 16, bytes);
    }

    pub(super) fn dropped(&mut self, why: Dropped) {
        self.counters.drop_message(why);
    }

    pub(super) fn dropped_some(&mut self, why: Dropped, messages: u32) {
        self.counters.drop_messages(why, u64::from(messages));
    }

    pub(super) fn lost_to_retention(&mut self, messages: u64) {
        self.counters.drop_messages(Dropped::RetentionGap, messages);
    }

    pub(super) fn connect(&mut self, result: Connect) {
        self.counters.connect(result);
        if result == Connect::Accepted {
            self.counters.opened += 1;
        }
    }

    pub(super) fn refused(&mut self, reason: ReasonCode) {
        self.connect(match reason {
            ReasonCode::UnsupportedProtocolVersion => Connect::Version,
            ReasonCode::ClientIdentifierNotValid => Connect::ClientId,
            ReasonCode::ServerUnavailable | ReasonCode::ServerBusy => Connect::Unavailable,
            ReasonCode::BadAuthenticationMethod | ReasonCode::NotAuthorized => Connect::Unauthorized,
            ReasonCode::QuotaExceeded => Connect::Quota,
            ReasonCode::MalformedPacket | ReasonCode::ProtocolError | ReasonCode::PacketTooLarge => {
                Connect::Malformed
            }
            _ => Connect::Other,
        });
    }

    pub(super) fn closed(&mut self, close: super::Close) {
        self.counters.close(match close {
            super::Close::Asked { .. } => Closed::Client,
            super::Close::Lost => Closed::Network,
            super::Close::Ours(reason) => match reason {
                ReasonCode::KeepAliveTimeout => Closed::KeepAlive,
                ReasonCode::SessionTakenOver => Closed::TakenOver,
                ReasonCode::ServerShuttingDown => Closed::Shutdown,
                ReasonCode::AdministrativeAction => Closed::Admin,
                ReasonCode::QuotaExceeded => Closed::Quota,
                _ => Closed::Protocol,
            },
        });
    }

    pub(super) fn publish(&mut self) {
        self.counters.publish();
    }
}
