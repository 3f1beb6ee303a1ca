//! What to start, and where.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::file::ProcessFile;

/// How long one process may take until it is ready. Debug builds on a busy machine are slow.
const START_SECONDS: u64 = 30;

/// What to start, and where. Make one with [`Plan::cluster`] or [`Plan::embedded`], then adjust it.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) file: ProcessFile,
    pub(super) templates: PathBuf,
    /// The folder for logs and data; none takes a temporary one, which goes away unless the test
    /// panics.
    pub dir: Option<PathBuf>,
    /// The webhook secret.
    pub secret: String,
    /// More environment for every process that runs forgewire; wins over the file's.
    pub env: BTreeMap<String, String>,
    /// The limit of file descriptors, soft and hard, of every process that runs forgewire; none leaves
    /// them ours.
    pub descriptors: Option<u32>,
    /// Whether Ctrl-C on the terminal reaches only us, so that we stop the processes in order.
    pub own_groups: bool,
    /// How long one process may take until it is ready.
    pub start_deadline: Duration,
}

impl Plan {
    /// The cluster of `deploy/cluster.toml`.
    ///
    /// # Errors
    /// The file cannot be read or is wrong.
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

    /// A process file of one's own; templates are looked for beside it.
    ///
    /// # Errors
    /// The file cannot be read or is wrong.
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
            descriptors: None,
            own_groups: false,
            start_deadline: Duration::from_secs(START_SECONDS),
        })
    }

    /// With one more environment variable for every process that runs forgewire.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With so many file descriptors for every process that runs forgewire.
    #[must_use]
    pub fn with_descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// With another number of replicas of one kind of process, at least one.
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

    /// Without the processes of these names, and without waiting for them.
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

/// The forgewire binary: `FORGEWIRE_BIN`, else the newer of the debug and release builds in the
/// target folder; none if there is no build.
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
