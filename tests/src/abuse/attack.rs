//! Runs the attackers of one surface and side: a process of their own with the lowest priority. In a thread beside
//! honest clients an attacker would hold locks of the process (allocator, memory map) that honest ones wait for.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    runtime::Builder,
    task::JoinSet,
    time::timeout,
};

use super::{
    surfaces::{AbuseSurface, AttackPlan, AttackerSide},
    target::AbuseTarget,
    worker::{AttackTally, AttackWorker},
};

/// Threads of the attackers.
const THREADS: usize = 2;
/// What is added to their nice value: what they compute gives way to honest clients and to the product, also to its
/// threads for requests, which have +5.
const NICE: i32 = 19;
/// Time that attackers get beyond their own for their first request.
const BEGIN_WAIT: Duration = Duration::from_secs(30);
/// Interval at which that is looked for.
const BEGIN_POLL: Duration = Duration::from_millis(20);
/// Time that the process gets beyond both to start, and to give its report.
const REPORT_WAIT: Duration = Duration::from_secs(60);

/// What the process of the attackers is told, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AttackOrder {
    pub(crate) target: AbuseTarget,
    pub(crate) surface: AbuseSurface,
    pub(crate) side: AttackerSide,
    /// The names of those who take part.
    pub(crate) attackers: Vec<String>,
    /// Connections of each attacker, in per cent of its usual number.
    pub(crate) force_percent: usize,
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
}

/// Answers to the attackers, by their names.
pub(crate) type AttackTallies = BTreeMap<String, AttackTally>;

/// This program in a process of its own, with another task; it is killed when this is dropped.
pub(super) fn own_process(task: &str) -> Result<Child> {
    let program = std::env::current_exe().context("finding this program")?;
    let starting = Command::new(program)
        .arg(task)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    starting.with_context(|| format!("starting the process for `{task}`"))
}

/// Attacks for some time, in a process of its own.
///
/// # Errors
/// The process does not start, fails, or gives no report.
pub(crate) async fn attack(order: &AttackOrder) -> Result<AttackTallies> {
    let mut process = own_process("attack")?;
    let mut stdin = process
        .stdin
        .take()
        .context("the attackers have no stdin")?;
    stdin.write_all(&serde_json::to_vec(order)?).await?;
    drop(stdin);
    let lasting = Duration::from_secs(order.seconds);
    let report = timeout(
        lasting + BEGIN_WAIT + REPORT_WAIT,
        process.wait_with_output(),
    )
    .await;
    let report = report.context("the attackers do not end")??;
    ensure!(
        report.status.success(),
        "the attackers failed: {}",
        report.status
    );
    serde_json::from_slice(&report.stdout).context("reading the report of the attackers")
}

/// The process of the attackers: reads an [`AttackOrder`], attacks, and prints the tallies.
///
/// # Errors
/// The order cannot be read, or the threads cannot be started.
pub fn run_attackers() -> Result<()> {
    // Without the lower priority the figures are worse, not wrong.
    let _ = rustix::process::nice(NICE);
    let mut order = Vec::new();
    io::stdin().read_to_end(&mut order)?;
    let order = serde_json::from_slice(&order).context("reading the order")?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("starting the threads of the attackers")?;
    let tallies = runtime.block_on(attack_here(order));
    runtime.shutdown_background();
    println!("{}", serde_json::to_string(&tallies)?);
    Ok(())
}

async fn attack_here(order: AttackOrder) -> AttackTallies {
    let target = Arc::new(order.target);
    let takes_part = |plan: &&AttackPlan| {
        plan.side == order.side && order.attackers.iter().any(|name| name == plan.name)
    };
    let mut tasks = JoinSet::new();
    let mut tallies = BTreeMap::new();
    for plan in order.surface.plans().iter().filter(takes_part) {
        let tally = Arc::new(Mutex::new(AttackTally::default()));
        for number in 0..(plan.workers * order.force_percent).div_ceil(100) {
            let tally = Arc::clone(&tally);
            let worker = AttackWorker::new(Arc::clone(&target), number, order.seed, tally);
            tasks.spawn(worker.run(plan.step));
        }
        tallies.insert(plan.name.to_owned(), tally);
    }
    tokio::time::sleep(Duration::from_secs(order.seconds)).await;
    // On a busy machine those with the lowest priority may not have begun by then.
    let begun = async {
        while !tallies.values().any(|tally| copy_of(tally).attempts > 0) {
            tokio::time::sleep(BEGIN_POLL).await;
        }
    };
    let _ = timeout(BEGIN_WAIT, begun).await;
    tasks.shutdown().await;
    let tallies = tallies.into_iter();
    tallies.map(|(name, one)| (name, copy_of(&one))).collect()
}

fn copy_of(tally: &Mutex<AttackTally>) -> AttackTally {
    tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
