//! Weather for MQTT brokers: load, kills, and checkers of what a broker promised.
//!
//! Everything enters by the front door, as bytes (on a socket, or straight into a worker in `sim`), through an encoder and decoder of its own
//! (`wire`), so that a fault in the broker's codec cannot hide from the one that looks for it.

pub mod sim;
pub mod storm;
pub mod failover;
pub mod bench;
pub mod kill;
pub mod load;
mod workload;
mod report;
pub mod verdict;
pub mod fleet;
pub mod proxy;
pub mod check;
pub mod history;
mod rows;
pub mod broker;
pub mod client;
mod http;
pub mod process;
pub mod seed;
pub mod wire;
