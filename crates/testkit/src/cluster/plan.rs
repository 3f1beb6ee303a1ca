//! The plan of a cluster: what to start, and where.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{disk::SmallDisk, file::ProcessFile};

/// Time allowed for one process to become ready. Debug builds on a busy machine are slow.
const START_SECONDS: u64 = 30;

/// The processes to start, and where. Create one with [`ClusterPlan::cluster`] or
/// [`ClusterPlan::embedded`], then adjust it.
#[derive(Debug, Clone)]
pub struct ClusterPlan {
    pub(super) file: ProcessFile,
    pub(super) templates: PathBuf,
    /// The folder for logs and data; `None` takes a temporary folder, which is removed unless the
    /// test panics.
    pub dir: Option<PathBuf>,
    /// The webhook secret.
    pub secret: String,
    /// Additional environment for every process that runs forgewire; takes precedence over the
    /// file's.
    pub env: BTreeMap<String, String>,
    /// Text of templates that is replaced: old and new.
    pub(super) replaced: Vec<(String, String)>,
    /// Processes that reach a server through a link of their own, with the server's name.
    pub(super) links: BTreeMap<String, String>,
    /// By the name of the process.
    pub(super) disks: BTreeMap<String, SmallDisk>,
    /// The limit of file descriptors, soft and hard, for every process that runs forgewire; `None`
    /// keeps the limit of the calling process.
    pub descriptors: Option<u32>,
    /// Whether Ctrl-C on the terminal reaches only the calling process, which then stops the others
    /// in order.
    pub own_groups: bool,
    /// Time allowed for one process to become ready.
    pub start_deadline: Duration,
}

impl ClusterPlan {
    /// The cluster of `deploy/cluster.toml`.
    ///
    /// # Errors
    /// The file cannot be read or is invalid.
    pub fn cluster() -> Result<Self> {
        Self::read(&workspace().join("deploy/cluster.toml"))
    }

    /// All roles in one process on SQLite and the in-process bus.
    ///
    /// # Errors
    /// Never: the file is compiled in and tested.
    pub fn embedded() -> Result<Self> {
        Self::parse(include_str!("embedded.toml"), workspace())
    }

    /// A plan from the process file at `path`; templates are looked up beside it.
    ///
    /// # Errors
    /// The file cannot be read or is invalid.
    pub fn read(path: &Path) -> Result<Self> {
        let what = || format!("cannot read the process file {}", path.display());
        let text = fs::read_to_string(path).with_context(what)?;
        let beside = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, beside.to_owned()).with_context(|| path.display().to_string())
    }

    fn parse(text: &str, templates: PathBuf) -> Result<Self> {
        Ok(Self {
            file: ProcessFile::parse(text)?,
            templates,
            dir: None,
            secret: format!("secret-{}", uuid::Uuid::new_v4()),
            env: BTreeMap::new(),
            replaced: Vec::new(),
            links: BTreeMap::new(),
            disks: BTreeMap::new(),
            descriptors: None,
            own_groups: false,
            start_deadline: Duration::from_secs(START_SECONDS),
        })
    }

    /// Adds one environment variable for every process that runs forgewire.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Replaces text in all templates.
    #[must_use]
    pub fn with_template_text(mut self, old: &str, new: &str) -> Self {
        self.replaced.push((old.to_owned(), new.to_owned()));
        self
    }

    /// Leads one process (`ingest-1`) to a server (`nats`) through a link that a test can cut.
    #[must_use]
    pub fn with_link(mut self, process: &str, server: &str) -> Self {
        self.links.insert(process.to_owned(), server.to_owned());
        self
    }

    /// Gives one process a small disk in place of a folder in its own folder (empty: the whole). What is on it
    /// is lost when the process ends. See [`super::can_have_small_disks`].
    #[must_use]
    pub fn with_small_disk(mut self, process: &str, folder: &str, mebibytes: u32) -> Self {
        let folder = folder.to_owned();
        let disk = SmallDisk { folder, mebibytes };
        self.disks.insert(process.to_owned(), disk);
        self
    }

    /// Sets the limit of file descriptors for every process that runs forgewire.
    #[must_use]
    pub fn with_descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Sets the number of replicas of one kind of process, at least one.
    #[must_use]
    pub fn with_replicas(mut self, name: &str, count: usize) -> Self {
        for spec in self
            .file
            .process
            .iter_mut()
            .filter(|spec| spec.name == name)
        {
            spec.replicas = Some(count.max(1));
        }
        self
    }

    /// Leaves out the processes of these names, also as dependencies of others.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        let is_named = |name: &String| names.contains(&name.as_str());
        self.file.process.retain(|spec| !is_named(&spec.name));
        for spec in &mut self.file.process {
            spec.depends_on.retain(|needed| !is_named(needed));
        }
        self
    }
}

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    crates.canonicalize().unwrap_or(crates)
}

/// The forgewire binary: `FORGEWIRE_BIN`, otherwise the newer of the debug and release builds in
/// the target folder; `None` if there is no build.
#[must_use]
pub fn forgewire_binary() -> Option<PathBuf> {
    if let Some(path) = env::var_os("FORGEWIRE_BIN") {
        return Some(path.into());
    }
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = workspace().join(target.unwrap_or("target".into()));
    let built = ["debug", "release"].map(|profile| target.join(profile).join("forgewire"));
    let age = |path: &PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    built
        .into_iter()
        .filter(|path| age(path).is_some())
        .max_by_key(age)
}
