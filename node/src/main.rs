//! The `holdfast` command.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use holdfast_cluster::link::cert::{self, CertError};
use holdfast_node::admin::{self, DeedError};
use holdfast_node::args::{CertCommand, Cli, Command, cert_text, version_text};
use holdfast_node::config::{Config, LogFormat};
use holdfast_node::recover;
use holdfast_node::start::{Node, NodeError, chain};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Asked to stop.
const STOPPED: u8 = 0;
/// Failed while running.
const FAILED: u8 = 1;
/// Bad configuration or arguments.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(match cli.command {
        Command::Start(args) => match Config::load(&args.sources()) {
            Ok(config) => start(&config),
            Err(mistakes) => complain(&mistakes),
        },
        Command::CheckConfig { config } => match Config::check_file(&config) {
            Ok(_) => STOPPED,
            Err(mistakes) => complain(&mistakes),
        },
        Command::Status { http } => status(&http),
        Command::Drain { node, undo: true, http, .. } => told(admin::undrain(&http, node)),
        Command::Drain { node, wait, http, .. } => {
            told(admin::drain(&http, node, Duration::from_secs(wait), &mut |line| say(line)))
        }
        Command::Remove { node, force, wait, http } => {
            let how = (force, Duration::from_secs(wait));
            told(admin::remove(&http, node, how, &mut |line| say(line)))
        }
        Command::Recover { data_dir, i_accept_data_loss } => recover(&data_dir, i_accept_data_loss),
        Command::Cert { command: CertCommand::New { out, nodes } } => certificates(&out, nodes),
        Command::Version => {
            say(&version_text(holdfast_cluster::FORMAT, holdfast_node::state::meta::LEVEL));
            STOPPED
        }
    })
}

fn start(config: &Config) -> u8 {
    trace(config.log_format);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let (asked, asks) = std::sync::mpsc::channel::<Option<NodeError>>();
    let stopping = Arc::new(AtomicBool::new(false));
    if let Err(error) = signals(asked.clone(), Arc::clone(&stopping)) {
        return complain(&error);
    }
    let failed = Arc::new(move |error| drop(asked.send(Some(error))));
    let node = match Node::start(config, failed, &stopping) {
        Ok(node) => node,
        Err(NodeError::Stopped) => {
            tracing::info!("stopped before it served");
            return STOPPED;
        }
        Err(error) => {
            let wrong = matches!(
                error,
                NodeError::Listen { .. }
                    | NodeError::Identity(_)
                    | NodeError::Alone { .. }
                    | NodeError::Join(_)
                    | NodeError::OtherCluster { .. }
                    | NodeError::Certificate { .. }
                    | NodeError::Form(_)
                    | NodeError::Link(_)
            );
            complain(&chain(&error));
            return if wrong { MISUSED } else { FAILED };
        }
    };
    let (mqtt, http, cluster) = (node.mqtt(), node.http(), node.cluster());
    tracing::info!(%mqtt, %http, %cluster, data_dir = %config.data_dir.display(), "ready");
    match asks.recv() {
        Ok(Some(error)) => {
            tracing::error!("{}", chain(&error));
            FAILED
        }
        Ok(None) | Err(_) => {
            tracing::info!("stopping");
            match node.stop() {
                Ok(()) => STOPPED,
                Err(error) => complain_as(&chain(&error), FAILED),
            }
        }
    }
}

/// SIGTERM and SIGINT ask for a graceful stop.
fn signals(
    asked: std::sync::mpsc::Sender<Option<NodeError>>,
    stopping: Arc<AtomicBool>,
) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let term = signal(SignalKind::terminate());
            let int = signal(SignalKind::interrupt());
            if let (Ok(mut term), Ok(mut int)) = (term, int) {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
                stopping.store(true, Ordering::Release);
                drop(asked.send(None));
            }
        });
    })?;
    Ok(())
}

fn certificates(out: &Path, nodes: u16) -> u8 {
    match cert::new(out, nodes) {
        Ok(_) => {
            say(&cert_text(out, nodes));
            STOPPED
        }
        Err(error @ CertError::Exists(_)) => complain(&error),
        Err(error) => complain_as(&chain(&error), FAILED),
    }
}

fn status(http: &str) -> u8 {
    match admin::status(http) {
        Ok(table) => {
            say(&table);
            STOPPED
        }
        Err(error) => complain_as(&chain(&error), FAILED),
    }
}

fn told(result: Result<String, DeedError>) -> u8 {
    match result {
        Ok(word) => {
            say(&word);
            STOPPED
        }
        Err(error) => complain_as(&chain(&error), FAILED),
    }
}

fn recover(dir: &Path, accepted: bool) -> u8 {
    let told = if accepted { recover::go_on_alone(dir) } else { recover::account(dir) };
    match told {
        Ok(told) => {
            say(&told.text);
            if told.whole { STOPPED } else { FAILED }
        }
        Err(error) if error.is_misuse() => complain(&chain(&error)),
        Err(error) => complain_as(&chain(&error), FAILED),
    }
}

fn trace(format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("HOLDFAST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Human => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

fn complain(what: &dyn std::fmt::Display) -> u8 {
    complain_as(what, MISUSED)
}

fn complain_as(what: &dyn std::fmt::Display, code: u8) -> u8 {
    use std::io::Write;
    // Without a standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "holdfast: {what}");
    code
}

fn say(what: &str) {
    use std::io::Write;
    // A closed standard output is the reader's choice.
    let _ = writeln!(std::io::stdout(), "{}", what.trim_end());
}
