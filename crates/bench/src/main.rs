//! `make bench`: drives real forgewire processes from outside, in an open loop, and states what they cost.
//!
//! Receivers and the floor are processes of their own (this program again), so that their CPU does not
//! count. A run whose events did not arrive exactly once and in order gives no figures but an error.
//! Traffic stays on 127.0.0.0/8.

mod answerer;
mod caller;
mod child;
mod clock;
mod connection;
mod floor;
mod frames;
mod kernel;
mod load;
mod machine;
mod measure;
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

use measure::{Measure, Plan};
use subject::{BINARY_VARIABLE, Topology};
use table::Row;

/// Measures what streams, events, ingest, tool calls and sessions of forgewire cost.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    helper: Option<Helper>,
    /// Some seconds with small numbers: shows that it works, the figures are worth nothing.
    #[arg(long)]
    quick: bool,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measure>,
    /// Only on these.
    #[arg(long, value_enum, value_delimiter = ',')]
    topology: Vec<Topology>,
    /// Only the comparison with nginx and nchan (`make bench-peers`).
    #[arg(long, conflicts_with = "only")]
    peers: bool,
    /// Where the plot of `growth` goes as well.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Only these kinds of stream in `idle`.
    #[arg(long, value_enum, value_delimiter = ',')]
    kind: Vec<opening::Kind>,
    /// JSON instead of the table on stdout.
    #[arg(long)]
    json: bool,
    /// Where the JSON file and the scratch data go. Not a memory file system: fsync is measured.
    #[arg(long, default_value = "results")]
    results: PathBuf,
}

/// The processes that this program starts of itself.
#[derive(Debug, Subcommand)]
enum Helper {
    /// Holds streams and counts what comes.
    #[command(hide = true)]
    Client(opening::Opening),
    /// The bare send loop.
    #[command(hide = true)]
    Floor(floor::Args),
    /// The bare HTTP server.
    #[command(hide = true)]
    Answerer(answerer::Args),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.helper {
        Some(Helper::Client(args)) => receiver::run(args),
        Some(Helper::Floor(args)) => floor::run(args),
        Some(Helper::Answerer(args)) => answerer::run(args),
        // The kit that starts processes would take the newest build; figures are of the release.
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

/// Runs this program again, told which binary to measure.
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
        Plan::quick
    } else {
        Plan::full
    };
    // The subject runs in a folder of its own, so its paths must not be relative.
    let mut plan = make(fs::canonicalize(scratch.path())?);
    plan.idle_kinds.retain(|kind| chosen(&arguments.kind, kind));
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
    // What went wrong has been said where it did.
    anyhow::ensure!(failed.is_empty(), "{} measurements failed", failed.len());
    Ok(())
}

/// A measurement that fails does not take the others' figures with it.
fn run_all(arguments: &Arguments, plan: &Plan) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for topology in Topology::ALL
        .into_iter()
        .filter(|one| chosen(&arguments.topology, one))
    {
        let wanted = |one: &Measure| is_wanted(arguments, *one) && one.runs_on(topology);
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

fn is_wanted(arguments: &Arguments, measure: Measure) -> bool {
    if arguments.peers {
        return measure == Measure::Peers;
    }
    // It needs programs that nothing else needs, so it runs only when it is named.
    chosen(&arguments.only, &measure) && (measure != Measure::Peers || !arguments.only.is_empty())
}

fn chosen<T: PartialEq>(given: &[T], one: &T) -> bool {
    given.is_empty() || given.contains(one)
}
