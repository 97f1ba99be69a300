//! Nanoseconds for one publish to find its filters, among a thousand and among a million.
//!
//! Four populations of filters over the same tree of topics (`site/S/dev/D/metric`, five levels): exact, `+`, `#`
//! and a third of each. The topics of the publishes are spread over the whole tree, so that the caches of the
//! processor help no more than they would in a real broker.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use holdfast_node::topic::Trie;

const METRICS: [&str; 4] = ["temperature", "humidity", "power", "state"];

/// Topics in a row; a prime, so that they step through everything.
const STRIDE: u64 = 7_919;

fn topic(n: u64) -> String {
    let metric = METRICS[(n % 4) as usize];
    let device = n / 4;
    format!("site/s{:04}/dev/d{device:06}/{metric}", device % 1_000)
}

fn filter(kind: &str, n: u64) -> String {
    let device = n / 4;
    let site = device % 1_000;
    let metric = METRICS[(n % 4) as usize];
    match (kind, n % 3) {
        ("exact", _) | ("mixed", 0) => topic(n),
        ("plus", _) | ("mixed", 1) => format!("site/+/dev/d{device:06}/{metric}"),
        // A filter for the whole site now and then, which every topic of the site matches.
        _ if n.is_multiple_of(4_000) => format!("site/s{site:04}/#"),
        _ => format!("site/s{site:04}/dev/d{device:06}/{metric}/#"),
    }
}

fn matching(c: &mut Criterion) {
    for kind in ["exact", "plus", "hash", "mixed"] {
        let mut group = c.benchmark_group(kind);
        for filters in [1_000_u64, 1_000_000] {
            let mut trie = Trie::new();
            for n in 0..filters {
                trie.insert(&filter(kind, n), n);
            }
            let topics: Vec<String> = (0..100_000).map(|n| topic(n * STRIDE % filters)).collect();
            let mut out = Vec::new();
            let mut turn = topics.iter().cycle();
            group.bench_function(BenchmarkId::from_parameter(filters), |b| {
                b.iter(|| {
                    out.clear();
                    trie.matches(turn.next().map_or("", |topic| topic), &mut out);
                    black_box(out.len())
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = matching
}
criterion_main!(benches);
