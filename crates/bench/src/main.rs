//! `make bench`: drives real forgewire processes from outside, in an open loop, and reports their
//! costs.
//!
//! Receivers and the floor are separate processes (this program again), so that their CPU does not
//! count. A run whose events did not arrive exactly once and in order gives an error instead of
//! figures. Traffic stays on 127.0.0.0/8.

mod answerer;
mod bare_ingest;
mod caller;
mod clock;
mod closed_loop;
mod connection;
mod floor;
mod frames;
mod helper_process;
mod kernel;
mod load;
mod machine;
mod measure;
mod model_client;
mod opening;
mod peer;
mod plot;
mod process;
mod receiver;
mod repositories;
mod requests;
mod sessions;
mod subject;
mod table;
mod tally;

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde_json::json;

use measure::{Measure, MeasurePlan};
use subject::{BINARY_VARIABLE, Topology};
use table::Row;

/// Measures the cost of forgewire's streams, events, ingest, tool calls and sessions.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    helper: Option<HelperCommand>,
    /// Run for some seconds with small numbers: a smoke test, the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Run only these measurements.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measure>,
    /// Run only on these topologies.
    #[arg(long, value_enum, value_delimiter = ',')]
    topology: Vec<Topology>,
    /// Run only the comparisons with nchan and with rmcp (`make bench-peers`).
    #[arg(long, conflicts_with = "only")]
    peers: bool,
    /// Also write the plot of `growth` to this file.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Calls that wait at once in `waits`.
    #[arg(long)]
    waits: Option<usize>,
    /// Clients of models in `model-latency`.
    #[arg(long)]
    models: Option<usize>,
    /// Only these kinds of stream in `idle`.
    #[arg(long, value_enum, value_delimiter = ',')]
    kind: Vec<opening::OpeningKind>,
    /// Print JSON instead of the table on stdout.
    #[arg(long)]
    json: bool,
    /// Folder for the JSON file and the scratch data. Not a memory file system: fsync is measured.
    #[arg(long, default_value = "results")]
    results: PathBuf,
}

/// The helper processes that this program starts from its own binary.
#[derive(Debug, Subcommand)]
enum HelperCommand {
    /// Holds streams and counts the frames received.
    #[command(hide = true)]
    Client(opening::Opening),
    /// The bare send loop.
    #[command(hide = true)]
    Floor(floor::FloorArgs),
    /// The bare HTTP server.
    #[command(hide = true)]
    Answerer(answerer::AnswererArgs),
    /// The bare durable server.
    #[command(hide = true)]
    BareIngest(bare_ingest::BareIngestArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.helper {
        Some(HelperCommand::Client(args)) => receiver::run(args),
        Some(HelperCommand::Floor(args)) => floor::run(args),
        Some(HelperCommand::Answerer(args)) => answerer::run(args),
        Some(HelperCommand::BareIngest(args)) => bare_ingest::run(args),
        // testkit would take the newest build, but the figures must be those of the release build.
        None if env::var_os(BINARY_VARIABLE).is_none() => with_release_binary(),
        None => bench(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program again with the variable that names the binary to measure.
fn with_release_binary() -> Result<()> {
    let status = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(BINARY_VARIABLE, subject::release_binary()?)
        .status()?;
    anyhow::ensure!(status.success(), "the run ended with {status}");
    Ok(())
}

fn bench(arguments: &Arguments) -> Result<()> {
    let results = &arguments.results;
    fs::create_dir_all(results).with_context(|| format!("making {}", results.display()))?;
    let scratch = tempfile::Builder::new()
        .prefix(".bench-")
        .tempdir_in(results)?;
    let make = if arguments.quick {
        MeasurePlan::quick
    } else {
        MeasurePlan::full
    };
    // The subject runs in another folder, so its paths must be absolute.
    let mut plan = make(fs::canonicalize(scratch.path())?);
    plan.idle_kinds
        .retain(|kind| is_chosen(&arguments.kind, kind));
    plan.waits = arguments.waits.unwrap_or(plan.waits);
    plan.model.clients = arguments.models.unwrap_or(plan.model.clients);
    let started = Instant::now();
    let (rows, failed) = run_all(arguments, &plan);
    let unix = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let report = json!({
        "unix_time": unix, "quick": arguments.quick, "seconds": started.elapsed().as_secs(),
        "machine": machine::facts(), "binary": env::var(BINARY_VARIABLE).ok(), "rows": rows, "failed": failed,
    });
    let path = results.join(format!("bench-{unix}.json"));
    fs::write(&path, serde_json::to_vec_pretty(&report)?)?;
    if let Some(svg) = plot::growth(&rows) {
        let path = results.join(format!("growth-{unix}.svg"));
        for path in [Some(&path), arguments.plot.as_ref()].into_iter().flatten() {
            fs::write(path, &svg).with_context(|| format!("writing {}", path.display()))?;
            eprintln!("{}", path.display());
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", table::render(&rows));
    }
    eprintln!(
        "{:.0} s; {}",
        started.elapsed().as_secs_f64(),
        path.display()
    );
    // Each failure has already been reported where it occurred.
    anyhow::ensure!(failed.is_empty(), "{} measurements failed", failed.len());
    Ok(())
}

/// Runs all chosen measurements; a failed one does not discard the figures of the others.
fn run_all(arguments: &Arguments, plan: &MeasurePlan) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for topology in Topology::ALL
        .into_iter()
        .filter(|one| is_chosen(&arguments.topology, one))
    {
        let wanted = |one: &Measure| is_selected(arguments, *one) && one.runs_on(topology);
        for measure in Measure::ALL.into_iter().filter(wanted) {
            eprintln!("{} on {}", measure.name(), topology.name());
            if let Err(error) = measure.run(plan, topology, &mut rows) {
                let what = format!("{} on {}: {error:#}", measure.name(), topology.name());
                eprintln!("  {what}");
                failed.push(what);
            }
        }
    }
    (rows, failed)
}

fn is_selected(arguments: &Arguments, measure: Measure) -> bool {
    if arguments.peers {
        return matches!(measure, Measure::Peers | Measure::Calls);
    }
    // `peers` needs programs that no other measurement needs, and `stores` measures parts of what others
    // measure as a whole: they run only when they are named.
    let is_extra = matches!(measure, Measure::Peers | Measure::Stores);
    is_chosen(&arguments.only, &measure) && !(is_extra && arguments.only.is_empty())
}

fn is_chosen<T: PartialEq>(given: &[T], one: &T) -> bool {
    given.is_empty() || given.contains(one)
}
