//! A cluster of real processes on this machine, from a process file.
//!
//! Scenarios use [`System`]: the same calls on one embedded process and on the whole cluster.
//! [`Cluster`] is one level below: processes by name.

mod balancer;
mod disk;
mod file;
mod fill;
mod link;
mod log_set_back;
mod plan;
mod ports;
mod set_back;
mod system;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use disk::SmallDisk;
use file::{Probe, ProcessDefinition, ProcessFile};
use fill::Filler;
use ports::PortBlock;

pub use balancer::BalancerKind;
pub use disk::can_have_small_disks;
pub use link::{LinkState, ServerLink};
pub use log_set_back::SavedLog;
pub use plan::{ClusterPlan, forgewire_binary, workspace};
pub use system::{FaultOutcome, System, SystemKind, SystemNode};

use crate::process::{Process, ProcessCommand};

/// Time allowed for a process to end after SIGTERM.
const STOP_SECONDS: u64 = 10;
/// Time allowed for one readiness probe.
const PROBE_MILLIS: u64 = 500;

/// The processes of one process file. Dropping it kills them; [`Cluster::stop`] ends them in order.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    filler: Filler,
    /// By the name of the process that uses it.
    links: BTreeMap<String, ServerLink>,
    disks: BTreeMap<String, SmallDisk>,
    start_deadline: Duration,
    /// Removes the folder at the end, if it is a temporary one.
    temporary: Option<tempfile::TempDir>,
}

#[derive(Debug)]
struct Member {
    process: Process,
    wave: usize,
    ready: Probe,
}

/// A process that became ready.
#[derive(Debug, Clone)]
pub struct ReadyProcess {
    /// Name of the process.
    pub name: String,
    /// The port it listens on: the one with the process's name, if the process file has such a
    /// port.
    pub port: Option<u16>,
    /// Time from the start of the process until it was ready.
    pub elapsed: Duration,
}

impl Cluster {
    /// Starts everything, wave by wave, and waits until all processes are ready.
    ///
    /// # Errors
    /// A program is missing, a process ends, or a process is not ready within the plan's deadline;
    /// the error quotes the last lines of the logs.
    pub async fn start(plan: ClusterPlan, mut progress: impl FnMut(&ReadyProcess)) -> Result<Self> {
        let (dir, temporary) = match plan.dir.clone() {
            Some(dir) => {
                fs::create_dir_all(&dir)
                    .with_context(|| format!("cannot make {}", dir.display()))?;
                (
                    dir.canonicalize()
                        .context("cannot resolve the cluster's folder")?,
                    None,
                )
            }
            None => {
                let made = tempfile::Builder::new().prefix("forgewire-").tempdir();
                let made = made.context("cannot make a temporary folder")?;
                (made.path().to_owned(), Some(made))
            }
        };
        let (bin, secret) = (forgewire_binary(), plan.secret.clone());
        let mut cluster = Self {
            members: Vec::new(),
            filler: Filler {
                dir,
                bin,
                secret,
                ports: PortBlock::take()?,
            },
            links: BTreeMap::new(),
            disks: plan.disks.clone(),
            start_deadline: plan.start_deadline,
            temporary,
        };
        for (wave, specs) in plan.file.waves()?.into_iter().enumerate() {
            let (started, first) = (Instant::now(), cluster.members.len());
            for spec in specs {
                for name in spec.instances() {
                    cluster.launch(&plan, spec, &name, wave)?;
                }
            }
            for at in first..cluster.members.len() {
                cluster.await_ready(at).await?;
                let name = cluster.members[at].process.name().to_owned();
                let port = cluster.port(&name);
                progress(&ReadyProcess {
                    name,
                    port,
                    elapsed: started.elapsed(),
                });
            }
        }
        Ok(cluster)
    }

    fn launch(
        &mut self,
        plan: &ClusterPlan,
        spec: &ProcessDefinition,
        name: &str,
        wave: usize,
    ) -> Result<()> {
        let data = self.filler.data(name);
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        for (to, from) in &spec.templates {
            let from = plan.templates.join(from);
            let what = || format!("{name}: cannot read the template {}", from.display());
            let mut template = fs::read_to_string(&from).with_context(what)?;
            for (old, new) in &plan.replaced {
                template = template.replace(old, new);
            }
            let instances = |kind: &str| instances(&plan.file, kind);
            let text = self
                .filler
                .fill_template(&template, name, instances)
                .with_context(what)?;
            fs::write(data.join(to), text).with_context(|| format!("{name}: cannot write {to}"))?;
        }
        let mut command = Vec::new();
        for part in spec.command() {
            command.push(self.filler.fill(&part, name)?);
        }
        ensure!(!command.is_empty(), "{name}: the command is empty");
        if let Some(limit) = plan.descriptors.filter(|_| spec.is_forgewire()) {
            // Sets both limits: a process could raise a soft limit on its own.
            let within = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
            command.splice(0..0, ["sh".to_owned(), "-c".to_owned(), within]);
        }
        if let Some(disk) = plan.disks.get(name) {
            command = disk.wrap(&data, command);
        }
        let shared = if spec.is_forgewire() {
            plan.file.env.clone()
        } else {
            Default::default()
        };
        let mut env = shared;
        env.extend(spec.env.clone());
        if spec.is_forgewire() {
            env.extend(plan.env.clone());
        }
        for value in env.values_mut() {
            *value = self.filler.fill(value, name)?;
        }
        if let Some(server) = plan.links.get(name) {
            self.link(name, server, &mut env)?;
        }
        let process_command = ProcessCommand {
            name: name.to_owned(),
            program: find_program(&command.remove(0)),
            args: command,
            env,
            logs: self.filler.dir.join("logs"),
            own_group: plan.own_groups,
        };
        let ready = match &spec.ready {
            Probe::Tcp(to) => Probe::Tcp(self.filler.fill(to, name)?),
            Probe::Http(url) => Probe::Http(self.filler.fill(url, name)?),
            Probe::Ask {
                address,
                send,
                expect,
            } => Probe::Ask {
                address: self.filler.fill(address, name)?,
                send: send.clone(),
                expect: expect.clone(),
            },
            Probe::ReadyLine => Probe::ReadyLine,
        };
        let missing = || {
            let installs = "run `make setup`, or as root \
                `apt-get install haproxy nats-server redis-server`";
            format!(
                "cannot start the cluster's {name}; if the program is not installed, {installs}"
            )
        };
        let process = Process::start(process_command).with_context(missing)?;
        self.members.push(Member {
            process,
            wave,
            ready,
        });
        Ok(())
    }

    /// Leads a process to a server through a link of its own.
    fn link(&mut self, name: &str, server: &str, env: &mut BTreeMap<String, String>) -> Result<()> {
        let port = self.filler.ports.of(server)?;
        let link = ServerLink::to(port)?;
        let (direct, through) = (format!("127.0.0.1:{port}"), link.address().to_string());
        for value in env.values_mut() {
            *value = value.replace(&direct, &through);
        }
        self.links.insert(name.to_owned(), link);
        Ok(())
    }

    async fn await_ready(&mut self, at: usize) -> Result<()> {
        let within = self.start_deadline;
        let Member { process, ready, .. } = &mut self.members[at];
        let probe = Duration::from_millis(PROBE_MILLIS);
        match ready {
            Probe::ReadyLine => process.ready_line(within).await.map(drop),
            Probe::Tcp(address) => {
                let connects = async |_: &Process| {
                    let connecting = TcpStream::connect(address.as_str());
                    timeout(probe, connecting).await.ok()?.ok()
                };
                process
                    .wait_until("accepted connection", within, connects)
                    .await
                    .map(drop)
            }
            Probe::Ask {
                address,
                send,
                expect,
            } => {
                let answers = async |_: &Process| {
                    let asking = ask(address, send);
                    let answer = timeout(probe, asking).await.ok()?.ok()?;
                    (answer == *expect).then_some(())
                };
                process.wait_until("expected answer", within, answers).await
            }
            Probe::Http(url) => {
                let http = crate::http::client();
                let answers = async |_: &Process| {
                    let answer = http.get(url.as_str()).timeout(probe).send().await.ok()?;
                    answer.status().is_success().then_some(())
                };
                process.wait_until("healthy answer", within, answers).await
            }
        }
    }

    fn find(&mut self, name: &str) -> Result<usize> {
        let found = self
            .members
            .iter()
            .position(|member| member.process.name() == name);
        found.with_context(|| {
            format!(
                "there is no process {name:?}; the processes are {:?}",
                self.names()
            )
        })
    }

    /// The names of all processes, in start order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.members
            .iter()
            .map(|member| member.process.name())
            .collect()
    }

    /// A process by name, for signals and logs.
    ///
    /// # Errors
    /// No process has this name.
    pub fn process(&mut self, name: &str) -> Result<&mut Process> {
        let at = self.find(name)?;
        Ok(&mut self.members[at].process)
    }

    /// Sends SIGKILL and returns when the process is gone.
    ///
    /// # Errors
    /// No process has this name.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        self.process(name)?.kill()
    }

    /// Kills the process if it runs, starts it on the same ports and data, and waits until it is
    /// ready.
    ///
    /// # Errors
    /// No process has this name, or it does not become ready in time.
    pub async fn restart(&mut self, name: &str) -> Result<()> {
        let at = self.find(name)?;
        self.members[at].process.restart()?;
        self.await_ready(at).await
    }

    /// Sends SIGTERM and waits up to ten seconds for an orderly end.
    ///
    /// # Errors
    /// No process has this name, it is not running, it had to be killed, or it ended with an error.
    pub async fn terminate(&mut self, name: &str) -> Result<()> {
        let process = self.process(name)?;
        let status = process.terminate(Duration::from_secs(STOP_SECONDS)).await?;
        ensure!(
            status.success(),
            "{name} ended with {status}\n{}",
            process.last_lines()
        );
        Ok(())
    }

    /// The link of a process, if the plan gave it one ([`ClusterPlan::with_link`]).
    ///
    /// # Errors
    /// The process has no link.
    pub fn server_link(&self, name: &str) -> Result<&ServerLink> {
        let link = self.links.get(name);
        link.with_context(|| format!("{name} has no link of its own"))
    }

    /// The port that the process file calls `{port:NAME}`.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<u16> {
        self.filler.ports.get(name)
    }

    /// `http://127.0.0.1:<port>` with the port of that name.
    ///
    /// # Errors
    /// The process file has no port of that name.
    pub fn url(&self, name: &str) -> Result<Url> {
        let port = self
            .port(name)
            .with_context(|| format!("there is no port {name:?}"))?;
        format!("http://127.0.0.1:{port}")
            .parse()
            .context("a loopback URL is a URL")
    }

    /// The webhook secret.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.filler.secret
    }

    /// The folder with `logs/` and one folder per process.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.filler.dir
    }

    /// The folder of a process, which it keeps across restarts.
    #[must_use]
    pub fn data(&self, name: &str) -> PathBuf {
        self.filler.data(name)
    }

    /// The end of every process's logs, for failure messages.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let all = self.members.iter().map(|member| {
            format!(
                "===== {} =====\n{}",
                member.process.name(),
                member.process.last_lines()
            )
        });
        all.collect::<Vec<_>>().join("\n")
    }

    /// Stops everything in order, last wave first: SIGTERM, ten seconds, then `kill -9`.
    ///
    /// # Errors
    /// A process had to be killed; all processes have ended even then.
    pub async fn stop(mut self, mut progress: impl FnMut(&str)) -> Result<()> {
        let mut first_error = None;
        for wave in (0..=self.members.iter().map(|m| m.wave).max().unwrap_or(0)).rev() {
            let of_wave = |member: &&mut Member| member.wave == wave;
            // The whole wave gets the signal first, so that the drains run side by side. Processes
            // that have already ended are skipped.
            let running: Vec<&mut Process> = self
                .members
                .iter_mut()
                .filter(of_wave)
                .map(|member| &mut member.process)
                .filter(|process| process.signal(Signal::TERM).is_ok())
                .collect();
            for process in running {
                match process
                    .wait_for_end(Duration::from_secs(STOP_SECONDS))
                    .await
                {
                    Ok(_) => progress(process.name()),
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.last_lines());
            if let Some(temporary) = self.temporary.take() {
                eprintln!(
                    "the cluster's logs and data stay in {}",
                    temporary.keep().display()
                );
            }
        }
        // Clients first, servers last: otherwise the logs end in a flood of lost connections.
        while self.members.pop().is_some() {}
    }
}

fn instances(file: &ProcessFile, kind: &str) -> Vec<String> {
    let specs = file.process.iter().filter(|spec| spec.name == kind);
    specs.flat_map(ProcessDefinition::instances).collect()
}

/// Sends one line, reads one line.
async fn ask(address: &str, send: &str) -> std::io::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.write_all(format!("{send}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}

/// Debian keeps servers in `/usr/sbin`, which is not in every user's `PATH`.
fn find_program(name: &str) -> PathBuf {
    let system = Path::new("/usr/sbin").join(name);
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()));
    if !name.contains('/') && !on_path && system.is_file() {
        system
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests;
