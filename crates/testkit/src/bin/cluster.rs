//! `make cluster`: the whole cluster on this machine, until Ctrl-C.

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;
use testkit::{
    cluster::{Cluster, ClusterPlan, forgewire_binary},
    fake_github::{FakeGithub, StoryStep, WEBHOOK_PATH},
};

/// Starts NATS with JetStream, Redis, 2 ingests, 1 sync, 3 edges and a round-robin balancer, as
/// deploy/cluster.toml describes them. Builds nothing.
#[derive(Debug, Parser)]
#[command(name = "cluster")]
struct Arguments {
    /// Folder for logs and data; kept at the end. Default: a temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Use another process file.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Number of edges.
    #[arg(long)]
    edges: Option<usize>,
    /// Number of ingests.
    #[arg(long)]
    ingests: Option<usize>,
    /// Print the addresses as one JSON line on standard output; progress goes to standard error.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `Debug`: a newcomer needs one sentence, not a backtrace.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let mut plan = match &arguments.file {
        Some(path) => ClusterPlan::read(path)?,
        None => ClusterPlan::cluster()?,
    };
    plan.dir.clone_from(&arguments.dir);
    plan.own_groups = true;
    for (name, count) in [("edge", arguments.edges), ("ingest", arguments.ingests)] {
        if let Some(count) = count {
            plan = plan.with_replicas(name, count);
        }
    }
    let stop = stop_signal()?;
    if let Some(binary) = forgewire_binary() {
        eprintln!("binary     {}", binary.display());
    }
    let started = Instant::now();
    let starting = Cluster::start(plan, |process| {
        let port = process
            .port
            .map(|port| format!(" on 127.0.0.1:{port}"))
            .unwrap_or_default();
        let (name, elapsed) = (&process.name, process.elapsed.as_millis());
        eprintln!("{name:<10} ready{port} ({elapsed} ms)");
    });
    tokio::pin!(stop);
    let cluster = tokio::select! {
        cluster = starting => cluster?,
        () = &mut stop => return Ok(()),
    };
    eprintln!(
        "all ready in {} ms; logs and data in {}",
        started.elapsed().as_millis(),
        cluster.dir().display()
    );
    if arguments.json {
        println!("{}", addresses(&cluster)?);
    } else {
        print_guide(&cluster)?;
    }
    stop.await;
    eprintln!("stopping");
    cluster.stop(|name| eprintln!("{name:<10} stopped")).await
}

/// Resolves at the first Ctrl-C or SIGTERM. Signals are caught from the call on, not from the first
/// poll.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn replicas<'a>(cluster: &'a Cluster, role: &str) -> Vec<&'a str> {
    let is_replica = |name: &&str| {
        name.strip_prefix(role)
            .is_some_and(|rest| rest.starts_with('-'))
    };
    cluster.names().into_iter().filter(is_replica).collect()
}

fn addresses(cluster: &Cluster) -> Result<serde_json::Value> {
    let urls = |names: Vec<String>| -> Result<Vec<String>> {
        names
            .iter()
            .map(|name| Ok(cluster.url(name)?.to_string()))
            .collect()
    };
    let of = |role: &str, suffix: &str| {
        urls(
            replicas(cluster, role)
                .into_iter()
                .map(|name| format!("{name}{suffix}"))
                .collect(),
        )
    };
    let mut admins = of("edge", ".admin")?;
    admins.extend(of("ingest", ".admin")?);
    admins.push(cluster.url("sync.admin")?.to_string());
    Ok(json!({
        "ready": true,
        "balancer": cluster.url("balancer")?.to_string(),
        "ingestBalancer": cluster.url("balancer.ingest")?.to_string(),
        "edges": of("edge", "")?,
        "ingests": of("ingest", "")?,
        "admins": admins,
        "nats": cluster.port("nats").map(|port| format!("nats://127.0.0.1:{port}")),
        "redis": cluster.port("redis").map(|port| format!("redis://127.0.0.1:{port}")),
        "webhookSecret": cluster.secret(),
        "dir": cluster.dir(),
    }))
}

fn print_guide(cluster: &Cluster) -> Result<()> {
    let base = |name: &str| -> Result<String> {
        Ok(cluster.url(name)?.as_str().trim_end_matches('/').to_owned())
    };
    let (edge, ingest) = (base("balancer")?, base("balancer.ingest")?);
    println!("\nThrough the balancer (round robin, any edge serves any request)");
    println!("  MCP            {edge}/mcp");
    println!("  events (SSE)   {edge}/events/stream");
    println!(
        "  webhooks       {ingest}{WEBHOOK_PATH}   secret: {}",
        cluster.secret()
    );
    println!("Health and metrics (/livez /readyz /health /metrics)");
    for name in cluster.names() {
        if let Ok(admin) = base(&format!("{name}.admin")) {
            println!("  {name:<14} {admin}");
        }
    }
    let delivery = FakeGithub::new(1, cluster.secret())
        .with_wall_clock()
        .delivery_of(StoryStep::IssueOpened);
    let body = cluster.dir().join("issue-opened.json");
    fs::write(&body, &delivery.body).with_context(|| format!("cannot write {}", body.display()))?;
    println!("\nWatch, in one terminal:\n  curl -N {edge}/events/stream");
    println!("Send a signed webhook, in another (each run is a new delivery):");
    println!(
        "  curl -sS {ingest}{WEBHOOK_PATH} --data-binary @{} \\",
        body.display()
    );
    println!("    -H \"X-GitHub-Delivery: $(cat /proc/sys/kernel/random/uuid)\" \\");
    for (name, value) in &delivery.headers() {
        if matches!(
            name.as_str(),
            "content-type" | "x-github-event" | "x-hub-signature-256"
        ) {
            println!("    -H '{name}: {}' \\", value.to_str().unwrap_or_default());
        }
    }
    println!("    -H 'User-Agent: GitHub-Hookshot/demo'");
    println!("\nCtrl-C stops everything.");
    Ok(())
}
