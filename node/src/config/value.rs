//! Values with units: what a text means for a kind of setting.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// What values a setting takes. `Display` says it with its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `IP:PORT`; `localhost` is 127.0.0.1, port 0 takes a free port.
    Address,
    /// Any text that is not empty.
    Text,
    /// Texts; with commas between them outside of a file.
    List,
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Count {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
    },
    /// A number and `ms`, `s`, `m`, `h` or `d`.
    Time {
        /// Least value.
        min: Duration,
        /// Greatest value.
        max: Duration,
    },
    /// Bytes: a number and nothing, `B`, `KiB`, `MiB`, `GiB` or `TiB`.
    Size {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Known, but must stay unset in this version.
    Unavailable,
}

/// A value that is in range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Unset,
    Address(SocketAddr),
    Text(String),
    List(Vec<String>),
    Switch(bool),
    Number(u64),
    Time(Duration),
}

/// Reads `text` as a value of `kind`; the error says what was expected.
pub(super) fn read(kind: Kind, text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.is_empty() {
        return match kind {
            Kind::List => Ok(Value::List(Vec::new())),
            Kind::Unavailable => Ok(Value::Unset),
            _ => Err(format!("is empty; expected {kind}")),
        };
    }
    let unfit = || format!("`{text}` is not {kind}");
    match kind {
        Kind::Address => address(text).map(Value::Address).ok_or_else(unfit),
        Kind::Text => Ok(Value::Text(text.into())),
        Kind::List => Ok(Value::List(text.split(',').map(|part| part.trim().to_owned()).collect())),
        Kind::Switch => text.parse().map(Value::Switch).map_err(|_| unfit()),
        Kind::Count { min, max } => {
            number(text).and_then(|n| within(n, min, max)).map(Value::Number).ok_or_else(unfit)
        }
        Kind::Size { min, max } => {
            size(text).and_then(|n| within(n, min, max)).map(Value::Number).ok_or_else(unfit)
        }
        Kind::Time { min, max } => {
            duration(text).and_then(|t| within(t, min, max)).map(Value::Time).ok_or_else(unfit)
        }
        Kind::Choice(words) if words.contains(&text) => Ok(Value::Text(text.into())),
        Kind::Choice(_) => Err(unfit()),
        Kind::Unavailable => Err("is not available in this version; leave it out".into()),
    }
}

fn within<T: PartialOrd>(value: T, min: T, max: T) -> Option<T> {
    (min <= value && value <= max).then_some(value)
}

fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse().ok(),
        None => text.parse().ok(),
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// A number and what follows it, without blanks between.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    Some((number(&text[..end])?, text[end..].trim_start()))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Address => write!(f, "an address such as 127.0.0.1:1883"),
            Kind::Text => write!(f, "a text"),
            Kind::List => write!(f, "a list of texts"),
            Kind::Switch => write!(f, "true or false"),
            Kind::Count { min, max } => write!(f, "a whole number from {min} to {max}"),
            Kind::Time { min, max } => write!(f, "a time from {} to {}", TimeText(*min), TimeText(*max)),
            Kind::Size { min, max } => write!(f, "a size from {} to {}", SizeText(*min), SizeText(*max)),
            Kind::Choice(words) => write!(f, "{}", words.join(" or ")),
            Kind::Unavailable => write!(f, "available in this version"),
        }
    }
}

struct TimeText(Duration);

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            _ if self.0.subsec_millis() > 0 => write!(f, "{}ms", self.0.as_millis()),
            1.. if seconds.is_multiple_of(86_400) => write!(f, "{}d", seconds / 86_400),
            1.. if seconds.is_multiple_of(3_600) => write!(f, "{}h", seconds / 3_600),
            1.. if seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            _ => write!(f, "{seconds}s"),
        }
    }
}

struct SizeText(u64);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift) {
            Some((shift, unit)) => write!(f, "{}{unit}", bytes >> shift),
            None => write!(f, "{bytes}"),
        }
    }
}
