//! Frames off a QUIC stream.

use std::fmt;
use std::io;

use bytes::{Bytes, BytesMut};

use super::code::Code;
use super::frame::{FrameError, LENGTH_BYTES};

/// Bytes that are taken from a stream at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Why a connection is of no more use.
#[derive(Debug)]
pub(super) enum Broken {
    /// The other end broke a rule: close with this code.
    Code(Code),
    /// The other end closed with this code.
    Closed(Code),
    /// It was never there, or is not any more.
    Lost(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "closed: {code}"),
            Self::Closed(code) => write!(f, "closed by the other end: {code}"),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

impl From<Code> for Broken {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<FrameError> for Broken {
    fn from(error: FrameError) -> Self {
        Self::Code(error.code())
    }
}

impl From<quinn::ConnectionError> for Broken {
    fn from(error: quinn::ConnectionError) -> Self {
        match &error {
            quinn::ConnectionError::ApplicationClosed(close) => {
                Code::new(close.error_code.into_inner()).map_or(Self::Lost(error.to_string()), Self::Closed)
            }
            _ => Self::Lost(error.to_string()),
        }
    }
}

impl From<quinn::ReadError> for Broken {
    fn from(error: quinn::ReadError) -> Self {
        match error {
            quinn::ReadError::ConnectionLost(error) => error.into(),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<quinn::WriteError> for Broken {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::ConnectionLost(error) => error.into(),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<quinn::ConnectError> for Broken {
    fn from(error: quinn::ConnectError) -> Self {
        match error {
            quinn::ConnectError::EndpointStopping => Self::Closed(Code::Leaving),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

/// Cuts a stream into frames.
pub(super) struct FrameReader {
    stream: quinn::RecvStream,
    buffer: BytesMut,
    bytes_max: usize,
}

impl FrameReader {
    pub(super) fn new(stream: quinn::RecvStream, bytes_max: usize) -> Self {
        Self { stream, buffer: BytesMut::new(), bytes_max }
    }

    /// From now on frames may be this large.
    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The next byte, in front of any frame.
    pub(super) async fn byte(&mut self) -> Result<u8, Broken> {
        while self.buffer.is_empty() {
            if !self.fill().await? {
                return Err(Code::Truncated.into());
            }
        }
        Ok(self.buffer.split_to(1)[0])
    }

    /// The next frame without its length; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(Code::Truncated.into()) };
            }
        }
    }

    fn cut(&mut self) -> Result<Option<Bytes>, Broken> {
        let Some((length, rest)) = self.buffer.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > self.bytes_max {
            return Err(Code::TooLarge.into());
        }
        if rest.len() < length {
            return Ok(None);
        }
        // A copy, so that whoever keeps a frame does not keep its neighbours.
        let frame = Bytes::copy_from_slice(&rest[..length]);
        let _cut = self.buffer.split_to(LENGTH_BYTES + length);
        Ok(Some(frame))
    }

    async fn fill(&mut self) -> Result<bool, Broken> {
        match self.stream.read_chunk(CHUNK_BYTES, true).await? {
            Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
            None => return Ok(false),
        }
        Ok(true)
    }
}
