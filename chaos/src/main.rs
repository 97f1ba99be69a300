//! The `holdfast-chaos` command: load, kills and comparisons, for any MQTT broker.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use holdfast_chaos::bench::BenchArgs;
use holdfast_chaos::broker::Recipe;
use holdfast_chaos::failover::FailoverArgs;
use holdfast_chaos::kill::Storm;
use holdfast_chaos::load::LoadArgs;
use holdfast_chaos::sim::SimArgs;
use holdfast_chaos::storm::StormArgs;

#[derive(Parser)]
#[command(name = "holdfast-chaos", about = "Load, kills and checks for MQTT brokers", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Drive one workload against a running broker; one JSON object on stdout at the end
    Load(LoadArgs),
    /// Kill a broker again and again under load, then check what it promised; exit code 1 if it lied
    Kill(KillArgs),
    /// Compare holdfast with mosquitto over the table of workloads; a Markdown table on stdout
    Bench(BenchArgs),
    /// Let faults rage over a cluster under load, and check what it promised; exit code 1 if it lied
    Storm(StormArgs),
    /// Kill whoever leads, again and again, and measure how long it is felt; a Markdown table on stdout
    Failover(FailoverArgs),
    /// Run a node on virtual time, decided by a seed alone; exit code 1 if it broke a promise
    Sim(SimArgs),
}

#[derive(Args)]
struct KillArgs {
    /// Path of the holdfast binary
    #[arg(long, group = "broker")]
    holdfast: Option<PathBuf>,
    /// Path of a mosquitto binary, started without persistence
    #[arg(long, group = "broker")]
    mosquitto: Option<PathBuf>,
    /// Any broker: a program and its arguments, in which {port} and {dir} are replaced
    #[arg(long, group = "broker", value_name = "WORDS")]
    broker_cmd: Option<String>,
    /// How often the broker is killed; 0 lets it live for one round
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Decides when to kill and when clients go away
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Longest life of the broker between two kills, in milliseconds
    #[arg(long, default_value_t = 2000, value_name = "MS")]
    duration_per_round: u64,
    /// Messages that each of the six publishers sends in a second, at most
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Longest time from a start of the broker to its first CONNACK, in seconds
    #[arg(long, default_value_t = 20)]
    patience: u64,
    /// Where the broker's data directory is made (removed at the end)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the verdict as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Load(args) => args.run().and_then(|report| say(&report)).map(|()| true),
        Command::Kill(args) => kill(args),
        Command::Storm(args) => args.run(&mut io::stderr(), &mut io::stdout()),
        Command::Failover(args) => failover(&args).map(|()| true),
        Command::Sim(args) => args.run(&mut io::stdout().lock()),
        Command::Bench(args) => args.run().and_then(|table| say(&table)).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("holdfast-chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn failover(args: &FailoverArgs) -> io::Result<()> {
    let felt = args.run(&mut io::stderr())?;
    say(felt.summary().trim_end())
}

fn kill(args: KillArgs) -> io::Result<bool> {
    let recipe = match (args.holdfast, args.mosquitto, args.broker_cmd) {
        (Some(path), _, _) => Recipe::Holdfast(path),
        (_, Some(path), _) => Recipe::Mosquitto(path),
        (_, _, Some(words)) => Recipe::Command(words.split_whitespace().map(str::to_owned).collect()),
        _ => return Err(io::Error::other("one of --holdfast, --mosquitto and --broker-cmd is needed")),
    };
    let storm = Storm {
        recipe,
        rounds: args.rounds,
        seed: args.seed,
        round: Duration::from_millis(args.duration_per_round),
        rate: args.rate,
        directory: args.dir,
        patience: Duration::from_secs(args.patience),
    };
    let verdict = storm.run()?;
    if let Some(path) = args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&verdict)?)?;
    }
    say(verdict.summary().trim_end())?;
    Ok(verdict.passed())
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
