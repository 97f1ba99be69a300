//! How many messages one sync of the disk served, from the broker's own counters.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Messages of QoS 1 and 2 that clients published, for each synced write, since the broker started. `None`: it
/// counts no syncs, or published nothing that needs one.
pub(super) fn messages_per_sync(http: u16) -> io::Result<Option<f64>> {
    let mut stream = TcpStream::connect(("127.0.0.1", http))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(ratio(&text))
}

fn ratio(metrics: &str) -> Option<f64> {
    let syncs = sum(metrics, |name| name == "holdfast_fsync_seconds_count");
    let published = |name: &str| {
        name.starts_with("holdfast_messages_total{")
            && name.contains("direction=\"in\"")
            && !name.contains("qos=\"0\"")
    };
    let messages = sum(metrics, published);
    (syncs > 0.0 && messages > 0.0).then(|| messages / syncs)
}

fn sum(metrics: &str, wanted: impl Fn(&str) -> bool) -> f64 {
    let rows = metrics.lines().filter_map(|line| line.trim().rsplit_once(' '));
    rows.filter(|(name, _)| wanted(name)).filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_clients_published_and_needs_a_sync_counts() {
        let text = "holdfast_fsync_seconds_count 10\n\
            holdfast_messages_total{qos=\"0\",direction=\"in\"} 7\n\
            holdfast_messages_total{qos=\"1\",direction=\"in\"} 600\n\
            holdfast_messages_total{qos=\"2\",direction=\"in\"} 50\n\
            holdfast_messages_total{qos=\"1\",direction=\"out\"} 99\n";
        assert_eq!(ratio(text), Some(65.0));
        assert_eq!(ratio("holdfast_fsync_seconds_count 0"), None);
    }
}
