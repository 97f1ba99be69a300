//! The command line of `holdfast`: what was asked for, before any of it is done.
//!
//! clap checks only the shape (and exits with 2 where it is wrong); values go as texts to `config`, which reports
//! all mistakes of all sources together.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Sources};

/// What `holdfast` was started with.
#[derive(Debug, Parser)]
#[command(name = "holdfast", about = "An MQTT broker that acknowledges what is on the disk", version)]
pub struct Cli {
    /// The deed.
    #[command(subcommand)]
    pub command: Command,
}

/// The deeds.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a node until it is asked to stop
    #[command(after_help = config::describe_keys())]
    Start(Box<StartArgs>),
    /// Checks a file of settings: exit code 0, or every mistake with file, line and key
    CheckConfig {
        /// The TOML file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Shows the cluster as a table: nodes, partitions, leaders, lag
    Status {
        /// The HTTP address of any node
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8083")]
        http: String,
    },
    /// Empties a node: its clients go elsewhere, others lead, and vote where there are enough of them
    Drain {
        /// The node's number
        #[arg(value_name = "NODE")]
        node: u64,
        /// Let it take its part again
        #[arg(long)]
        undo: bool,
        /// How long to watch, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        wait: u64,
        /// The HTTP address of any node that serves
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8083")]
        http: String,
    },
    /// Takes a node out for ever: one that is drained, or one that is dead
    Remove {
        /// The node's number
        #[arg(value_name = "NODE")]
        node: u64,
        /// Also where it is alive or its votes cannot go elsewhere
        #[arg(long)]
        force: bool,
        /// How long to watch, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        wait: u64,
        /// The HTTP address of any other node that serves
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8083")]
        http: String,
    },
    /// For the day when a majority of the nodes is lost for good: shows what a stopped node's directory has kept, and
    /// with --i-accept-data-loss makes it go on alone
    Recover {
        /// The data directory of the stopped node
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Whatever this directory does not have is lost, and the other nodes' directories never come back
        #[arg(long)]
        i_accept_data_loss: bool,
    },
    /// Certificates for the cluster link
    Cert {
        /// The deed.
        #[command(subcommand)]
        command: CertCommand,
    },
    /// Prints version, compiler and storage format
    Version,
}

/// Deeds with certificates.
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Makes a private authority and a certificate for each of the nodes 1 to N; overwrites nothing
    New {
        /// The folder to write to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How many nodes; a certificate more than there are nodes is one in reserve
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
        nodes: u16,
    },
}

/// Flags of `start`; each overrides its key in the file and in the environment.
#[derive(Debug, Default, Args)]
pub struct StartArgs {
    /// A TOML file of settings
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub config: Option<PathBuf>,
    /// This node's number [default: chosen at founding]
    #[arg(long, value_name = "N")]
    pub node_id: Option<String>,
    /// Where everything is kept [default: holdfast-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// The founding nodes' cluster addresses [default: none, a cluster of one]
    #[arg(long, value_name = "HOST:PORT,...")]
    pub seeds: Option<String>,
    /// MQTT over TCP [default: 127.0.0.1:1883]
    #[arg(long, value_name = "ADDR")]
    pub mqtt: Option<String>,
    /// MQTT over TLS (not available in this version) [default: off]
    #[arg(long, value_name = "ADDR")]
    pub mqtts: Option<String>,
    /// MQTT over WebSocket (not available in this version) [default: off]
    #[arg(long, value_name = "ADDR")]
    pub ws: Option<String>,
    /// MQTT over secure WebSocket (not available in this version) [default: off]
    #[arg(long, value_name = "ADDR")]
    pub wss: Option<String>,
    /// Admin API, metrics and health [default: 127.0.0.1:8083]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// The link between nodes, UDP [default: 127.0.0.1:7883]
    #[arg(long, value_name = "ADDR")]
    pub cluster: Option<String>,
    /// Partitions of the message log, fixed at founding [default: 16]
    #[arg(long, value_name = "N")]
    pub partitions: Option<String>,
    /// Copies of everything, at most one a node, fixed at founding [default: 3]
    #[arg(long, value_name = "N")]
    pub replicas: Option<String>,
    /// Let clients in without credentials, also from other machines [default: only from this machine]
    #[arg(long)]
    pub allow_anonymous: bool,
}

impl StartArgs {
    /// Flags, environment and file as sources of a `Config`.
    pub fn sources(&self) -> Sources {
        let given = [
            ("--node-id", &self.node_id),
            ("--data-dir", &self.data_dir),
            ("--seeds", &self.seeds),
            ("--mqtt", &self.mqtt),
            ("--mqtts", &self.mqtts),
            ("--ws", &self.ws),
            ("--wss", &self.wss),
            ("--http", &self.http),
            ("--cluster", &self.cluster),
            ("--partitions", &self.partitions),
            ("--replicas", &self.replicas),
        ];
        let mut flags: Vec<(&'static str, String)> =
            given.into_iter().filter_map(|(flag, text)| Some((flag, text.clone()?))).collect();
        if self.allow_anonymous {
            flags.push(("--allow-anonymous", "true".into()));
        }
        Sources { flags, environment: Vec::new(), file: self.config.clone() }.with_environment()
    }
}

/// What `holdfast cert new` prints when the files are there: what goes where.
pub fn cert_text(out: &Path, nodes: u16) -> String {
    let dir = out.display();
    let mut text =
        format!("Certificates of {nodes} nodes. Copy to each its own, for example to /etc/holdfast:\n\n");
    for node in 1..=nodes {
        text += &format!("  node {node:<5} {dir}/ca.pem  {dir}/node-{node}.pem  {dir}/node-{node}.key\n");
    }
    text += "\nand name them in its file of settings, here for node 1:\n\n  node_id = 1\n\n  [cluster.tls]\n";
    for (key, file) in [("ca", "ca.pem"), ("cert", "node-1.pem"), ("key", "node-1.key")] {
        text += &format!("  {key} = \"/etc/holdfast/{file}\"\n");
    }
    text += &format!(
        "\nNo node needs {dir}/ca.key: keep it elsewhere, whoever has it can make nodes of this cluster."
    );
    text
}

/// What `holdfast version` prints. `storage_format` is the version of the layout on disk, `feature_level` the highest
/// that is known.
pub fn version_text(storage_format: u32, feature_level: u32) -> String {
    let commit = option_env!("HOLDFAST_GIT_HASH").map(|hash| format!(" ({hash})")).unwrap_or_default();
    let compiler =
        option_env!("HOLDFAST_RUSTC").unwrap_or(concat!(env!("CARGO_PKG_RUST_VERSION"), " or newer"));
    format!(
        "holdfast {}{commit}\nrustc {compiler}\nstorage format {storage_format}\nfeature level {feature_level}",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::{Config, KEYS};

    fn start_help() -> String {
        let mut command = Cli::command();
        let start = command.find_subcommand_mut("start").expect("there is a start");
        start.render_long_help().to_string()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_of_start_shows_every_default() {
        let help = start_help();
        for key in KEYS {
            assert!(help.contains(key.name) && help.contains(key.default), "{}", key.name);
        }
        let with_default = KEYS.iter().filter(|key| key.flag.is_some() && !key.default.is_empty());
        for key in with_default {
            assert!(help.contains(&format!("[default: {}]", key.default)), "{}", key.name);
        }
    }

    #[test]
    fn every_flag_is_a_setting_and_every_flag_of_a_setting_exists() {
        let command = Cli::command();
        let start = command.find_subcommand("start").expect("there is a start");
        let flags: Vec<String> =
            start.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
        for flag in flags.iter().filter(|flag| !["--config", "--help", "--version"].contains(&flag.as_str()))
        {
            assert!(KEYS.iter().any(|key| key.flag == Some(flag)), "{flag}");
        }
        for flag in KEYS.iter().filter_map(|key| key.flag) {
            assert!(flags.iter().any(|known| known == flag), "{flag}");
        }
    }

    #[test]
    fn flags_reach_the_configuration() {
        let line =
            "holdfast start --mqtt 127.0.0.1:0 --partitions 4 --node-id 7 --data-dir /d --allow-anonymous";
        let cli = Cli::try_parse_from(line.split(' ')).expect("a good command line");
        let Command::Start(start) = cli.command else { panic!("start was asked for") };
        let sources = Sources { environment: Vec::new(), ..start.sources() };
        let config = Config::load(&sources).expect("good settings");
        assert_eq!((config.listeners.mqtt.port(), config.partitions), (0, 4));
        assert_eq!((config.node_id.map(u64::from), config.data_dir), (Some(7), "/d".into()));
    }

    #[test]
    fn an_unknown_flag_ends_with_two() {
        let error = Cli::try_parse_from(["holdfast", "start", "--partition", "4"]).expect_err("no such flag");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn version_names_the_storage_format() {
        let text = version_text(3, 7);
        assert!(
            text.starts_with("holdfast 0.") && text.ends_with("storage format 3\nfeature level 7"),
            "{text}"
        );
    }
}
