//! The command line.
//!
//! Exit codes: 0 done, 1 failed (or a task died), 2 the command line or the configuration is wrong; `watch` has more, which
//! its help names.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use model::RandomIds;
use service_kit::{
    config::{LoadedConfig, Override},
    line_queue::LineQueue,
};
use tracing::{info, warn};

use crate::{
    check::check,
    config::{self, Config},
    demo::DemoArgs,
    effects::{IdleSettings, idle},
    metrics_page::metrics_page,
    openapi::{self, OpenapiArgs},
    relay::RelayArgs,
    roles::{self, RoleSet, RoleSpec},
    run, shared_log,
    stdio::StdioArgs,
    sync_gaps::sync_gaps,
    sync_health::SyncHealthArgs,
    sync_status::sync_status,
    telemetry::ProcessTelemetry,
    tokens::{self, NewTokenArgs},
    toolsets::MakeToolsets,
    watch::WatchArgs,
};

const FAILED: u8 = 1;
const REFUSED: u8 = 2;
/// Longest wait for a reader of the sentence that says why the process ends.
const COMPLAINT_TIMEOUT: Duration = Duration::from_secs(1);

/// GitHub's events on the wire for AI agents.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run roles in this process (all of them by default).
    Run(RunArgs),
    /// Run everything in one process, with a fake GitHub, to see it work.
    Demo(DemoArgs),
    /// Connect an MCP client that speaks over stdin and stdout to an edge.
    Stdio(StdioArgs),
    /// Bring GitHub's deliveries to an ingest without a public URL.
    Relay(RelayArgs),
    /// Print a line, or run a command, for each event of an edge.
    Watch(WatchArgs),
    /// Inspect the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print all metrics and spans as Markdown tables, as in docs/metrics.md.
    Metrics,
    /// Print the OpenAPI document of a listener, as in docs/openapi.json; the listener itself serves it at
    /// /openapi.json.
    Openapi(OpenapiArgs),
    /// Create tokens for clients of the edge (`auth.mode = "tokens"`).
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Change the event log that all processes share (`backends.events = "jetstream"`).
    #[command(subcommand)]
    Log(LogCommand),
    /// Ask the sync role.
    #[command(subcommand)]
    Sync(SyncCommand),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Role to run; may be given several times. Without it, or with `all`: every role.
    #[arg(long = "role", value_name = "ROLE", value_parser = parse_role)]
    roles: Vec<Option<&'static RoleSpec>>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Settings {
    /// TOML file with settings; may be given several times, later ones win.
    #[arg(long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder for the database (`sqlite.path`).
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Do not compare with GitHub at start. Has no effect yet: this version never does.
    #[arg(long)]
    skip_sync: bool,
    /// Log more.
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the configuration as `run` would, and report what is wrong.
    Check {
        /// Role to check for; may be given several times. Without it: every role.
        #[arg(long = "role", value_name = "ROLE", value_parser = parse_role)]
        roles: Vec<Option<&'static RoleSpec>>,
        /// Print the answer as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show the effective configuration; secrets are masked.
    Show {
        /// Print JSON instead of TOML.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the JSON Schema of the configuration.
    Schema {
        /// Print Markdown tables instead, as in docs/configuration.md.
        #[arg(long)]
        markdown: bool,
    },
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Create a random token and its entry for the token file. The token is shown only once.
    New {
        #[command(flatten)]
        args: NewTokenArgs,
        /// Print the answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read a token of your own from stdin and print its digest (`sha256`).
    Hash {
        /// Print the answer as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Set the retention and copies of the stream to `retention.event_days` and `nats.replicas`, also
    /// where this removes events or copies. A start only raises them.
    Apply {
        /// Print the answer as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Debug, Subcommand)]
enum SyncCommand {
    /// Show which webhooks were lost, and what became of them.
    Gaps(SyncHealthArgs),
    /// What is mirrored of GitHub, since when, and what fails.
    Status(SyncHealthArgs),
}

/// `None` stands for `all`.
fn parse_role(text: &str) -> Result<Option<&'static RoleSpec>, String> {
    if text == "all" {
        return Ok(None);
    }
    roles::find(text).map(Some).ok_or_else(|| {
        let names: Vec<_> = roles::ALL.iter().map(|role| role.name).collect();
        format!("use {} or all", names.join(", "))
    })
}

fn chosen(roles: &[Option<&'static RoleSpec>]) -> RoleSet {
    if roles.is_empty() || roles.iter().any(Option::is_none) {
        return roles::all();
    }
    RoleSet::new(&roles::ALL, roles.iter().copied().flatten())
}

impl Settings {
    fn load(&self) -> anyhow::Result<LoadedConfig<Config>> {
        let mut flags = Vec::new();
        if let Some(dir) = &self.cache_dir {
            let path = dir.join("forgewire.db").display().to_string();
            flags.push(Override::new("--cache-dir", "sqlite.path", path));
        }
        if self.skip_sync {
            flags.push(Override::new(
                "--skip-sync",
                "sync.initial_timeout_seconds",
                0_u64,
            ));
        }
        if self.verbose {
            flags.push(Override::new("--verbose", "telemetry.filter", "debug"));
        }
        Config::load(&self.files, &flags)
    }
}

/// Parses the command line and runs the command.
pub(crate) fn main(toolsets: MakeToolsets) -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run_command(&args, toolsets),
        Command::Demo(args) => demo_command(&args),
        Command::Stdio(args) => stdio_command(&args),
        Command::Relay(args) => relay_command(&args),
        Command::Watch(args) => watch_command(&args),
        Command::Config(ConfigCommand::Check {
            roles,
            json,
            settings,
        }) => check_command(&roles, json, &settings),
        Command::Config(ConfigCommand::Show { json, settings }) => show_command(json, &settings),
        Command::Metrics => on_runtime(async {
            print(metrics_page().await?.trim_end());
            Ok(true)
        }),
        Command::Openapi(args) => print(openapi::print(&args).trim_end()),
        Command::Tokens(TokensCommand::New { args, json }) => answer(tokens::new(&args, json)),
        Command::Tokens(TokensCommand::Hash { json }) => {
            answer(tokens::hash(std::io::stdin(), json))
        }
        Command::Sync(SyncCommand::Gaps(args)) => on_runtime(async {
            print(&sync_gaps(&args).await?);
            Ok(true)
        }),
        Command::Sync(SyncCommand::Status(args)) => on_runtime(async {
            print(&sync_status(&args).await?);
            Ok(true)
        }),
        Command::Log(LogCommand::Apply { json, settings }) => apply_command(json, &settings),
        Command::Config(ConfigCommand::Schema { markdown: true }) => {
            print(config::markdown().trim_end())
        }
        Command::Config(ConfigCommand::Schema { markdown: false }) => {
            let schema = schemars::schema_for!(Config);
            print(&serde_json::to_string_pretty(&schema).unwrap_or_default())
        }
    }
}

fn run_command(args: &RunArgs, toolsets: MakeToolsets) -> ExitCode {
    let loaded = match args.settings.load() {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error),
    };
    let roles = chosen(&args.roles);
    let opened = ProcessTelemetry::open(&loaded.config.telemetry, &roles, &RandomIds);
    let telemetry = match opened {
        Ok(telemetry) => telemetry,
        Err(error) => return refuse(&error),
    };
    let logs = telemetry.logs.clone();
    match checked(&loaded, &roles) {
        Ok(idle) => report(&idle),
        Err(error) => return refuse(&error),
    }
    let config = loaded.config;
    let code = on_runtime(async move { run::run(&config, &roles, toolsets, telemetry).await });
    logs.flush();
    code
}

fn apply_command(json: bool, settings: &Settings) -> ExitCode {
    let loaded = settings.load().and_then(|loaded| {
        shared_log::check(&loaded.config)?;
        Ok(loaded.config)
    });
    let config = match loaded {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    on_runtime(async move {
        print(&shared_log::apply(&config, json).await?);
        Ok(true)
    })
}

/// Checks the configuration, and finds the settings without effect.
fn checked(loaded: &LoadedConfig<Config>, roles: &RoleSet) -> anyhow::Result<IdleSettings> {
    check(&loaded.config, roles)?;
    let idle = idle(&loaded.given, &loaded.config, roles)?;
    Ok(IdleSettings {
        left: loaded.left.clone(),
        ..idle
    })
}

/// Logs the settings without effect.
fn report(idle: &IdleSettings) {
    for line in idle.lines() {
        warn!("{line}");
    }
    if !idle.of_other_roles.is_empty() {
        let keys = idle.of_other_roles.join(", ");
        info!("settings that only roles of other processes read: {keys}");
    }
}

#[cfg(feature = "demo")]
fn demo_command(args: &DemoArgs) -> ExitCode {
    on_runtime(crate::demo::run(args))
}

#[cfg(not(feature = "demo"))]
fn demo_command(_: &DemoArgs) -> ExitCode {
    refuse(&anyhow::anyhow!(
        "this build has no demo, because the demo includes a fake GitHub; \
         build with: cargo build --release -p forgewire --features demo"
    ))
}

#[cfg(feature = "stdio")]
fn stdio_command(args: &StdioArgs) -> ExitCode {
    let options = match args.options() {
        Ok(options) => options,
        Err(error) => return refuse(&error),
    };
    let logs = match service_kit::telemetry::init(&args.telemetry()) {
        Ok(logs) => logs,
        Err(error) => return refuse(&error.into()),
    };
    let code = match crate::stdio::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    };
    logs.flush();
    code
}

#[cfg(not(feature = "stdio"))]
fn stdio_command(_: &StdioArgs) -> ExitCode {
    refuse(&anyhow::anyhow!(
        "this build has no bridge; build it with the cargo feature \"stdio\", which is on by default"
    ))
}

#[cfg(feature = "relay")]
fn relay_command(args: &RelayArgs) -> ExitCode {
    let (options, telemetry) = match args.prepare() {
        Ok(prepared) => prepared,
        Err(error) => return refuse(&error),
    };
    let logs = match service_kit::telemetry::init(&telemetry) {
        Ok(logs) => logs,
        Err(error) => return refuse(&error.into()),
    };
    let code = on_runtime(crate::relay::run(options));
    logs.flush();
    code
}

#[cfg(not(feature = "relay"))]
fn relay_command(_: &RelayArgs) -> ExitCode {
    refuse(&anyhow::anyhow!(
        "this build has no relay; build it with the cargo feature \"relay\", which is on by default"
    ))
}

#[cfg(feature = "watch")]
fn watch_command(args: &WatchArgs) -> ExitCode {
    let options = match args.options() {
        Ok(options) => options,
        Err(error) => return refuse(&error),
    };
    let logs = match service_kit::telemetry::init(&args.telemetry()) {
        Ok(logs) => logs,
        Err(error) => return refuse(&error.into()),
    };
    let code = match crate::watch::run(options) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            let known = error.downcast_ref::<event_watch::WatchError>();
            ExitCode::from(known.map_or(FAILED, event_watch::WatchError::exit_code))
        }
    };
    logs.flush();
    code
}

#[cfg(not(feature = "watch"))]
fn watch_command(_: &WatchArgs) -> ExitCode {
    refuse(&anyhow::anyhow!(
        "this build has no watch; build it with the cargo feature \"watch\", which is on by default"
    ))
}

/// Runs `work` to its end; `true` from it is a clean stop.
fn on_runtime(work: impl Future<Output = anyhow::Result<bool>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(work) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => fail(&error),
    }
}

fn check_command(roles: &[Option<&'static RoleSpec>], json: bool, settings: &Settings) -> ExitCode {
    let checked = settings
        .load()
        .and_then(|loaded| checked(&loaded, &chosen(roles)));
    match (checked, json) {
        (Ok(idle), false) => {
            let lines = idle.lines();
            let warnings: String = lines.map(|line| format!("warning: {line}\n")).collect();
            print(&format!("{warnings}the configuration is valid"))
        }
        (Ok(idle), true) => {
            let warnings: Vec<_> = idle.lines().collect();
            print(&serde_json::json!({ "ok": true, "warnings": warnings }).to_string())
        }
        (Err(error), false) => refuse(&error),
        (Err(error), true) => {
            let text = serde_json::json!({ "ok": false, "error": format!("{error:#}") });
            print(&text.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

fn answer(text: anyhow::Result<String>) -> ExitCode {
    match text {
        Ok(text) => print(&text),
        Err(error) => refuse(&error),
    }
}

fn show_command(json: bool, settings: &Settings) -> ExitCode {
    let shown = settings.load().and_then(|LoadedConfig { config, .. }| {
        if json {
            return Ok(serde_json::to_string_pretty(&config)?);
        }
        Ok(toml::to_string_pretty(&config)?)
    });
    answer(shown)
}

fn print(text: &str) -> ExitCode {
    use std::io::Write;
    // A closed pipe (`| head`) is not an error.
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    complain(error);
    ExitCode::from(REFUSED)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    complain(error);
    ExitCode::from(FAILED)
}

/// Says why the process ends. A stderr that nothing reads must not keep it from ending.
fn complain(error: &anyhow::Error) {
    let line = format!("forgewire: {error:#}\n");
    match LineQueue::start("complaint", std::io::stderr(), |_| String::new()) {
        Ok(queue) => {
            queue.push(line.as_bytes());
            queue.flush(COMPLAINT_TIMEOUT);
        }
        Err(_) => {
            use std::io::Write;
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}
