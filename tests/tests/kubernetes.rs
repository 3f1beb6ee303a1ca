//! Checks that the manifests in `k8s/` are valid for Kubernetes and match the code: keys of the
//! configuration, ports, probe paths. Needs `kubectl`, `.setup/venv` and the binary (`make
//! k8s-check`).

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

/// The minor versions of Kubernetes that currently receive fixes.
const KUBERNETES: [&str; 3] = ["1.35", "1.36", "1.37"];
const BASE: &str = "k8s/base";
const DEVELOPMENT: &str = "k8s/overlays/development";
/// Seconds in addition to the drain itself: for noticing the signal, the last writes and the hard
/// stop.
const GRACE_MARGIN_SECONDS: u64 = 10;
const START_DEADLINE: Duration = Duration::from_secs(20);

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
}

fn succeeded(what: &str, output: &Output) -> Result<()> {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "{what}: {}\n{out}{err}",
        output.status
    );
    Ok(())
}

/// A tool that `make setup` installs.
fn installed(tool: &str) -> PathBuf {
    root().join(".setup/venv/bin").join(tool)
}

/// The binary: `FORGEWIRE_BIN`, or the one built beside this test.
fn forgewire() -> Result<PathBuf> {
    if let Some(path) = env::var_os("FORGEWIRE_BIN") {
        return Ok(path.into());
    }
    let test = env::current_exe()?;
    let built = test
        .ancestors()
        .nth(2)
        .context("a test lives in target/<profile>/deps")?;
    let binary = built.join("forgewire");
    ensure!(
        binary.exists(),
        "{} is missing: cargo build -p forgewire",
        binary.display()
    );
    Ok(binary)
}

/// The objects that `kubectl apply -k` would send, as YAML.
fn render(folder: &str) -> Result<Vec<u8>> {
    let output = Command::new("kubectl")
        .args(["kustomize", folder])
        .current_dir(root())
        .output()
        .context("running kubectl; `make setup` installs it")?;
    succeeded("kubectl kustomize", &output)?;
    Ok(output.stdout)
}

/// The rendered objects. Python parses the YAML, so that this one test needs no parser as a
/// dependency.
fn objects(folder: &str) -> Result<Vec<Value>> {
    let to_json =
        "import sys, yaml, json; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let mut python = Command::new(installed("python"))
        .args(["-c", to_json])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("running .setup/venv; `make setup` installs it")?;
    let mut stdin = python.stdin.take().context("stdin is a pipe")?;
    stdin.write_all(&render(folder)?)?;
    drop(stdin);
    let output = python.wait_with_output()?;
    succeeded("yaml", &output)?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_ours(deployment: &Value) -> bool {
    name(deployment).starts_with("forgewire-")
}

/// The only container of a Deployment or StatefulSet.
fn container(workload: &Value) -> Result<&Value> {
    match list(&workload["spec"]["template"]["spec"]["containers"]) {
        [container] => Ok(container),
        other => Err(anyhow!("{}: {} containers", name(workload), other.len())),
    }
}

/// The environment that Kubernetes would give the container.
fn environment(objects: &[Value], deployment: &Value) -> Result<BTreeMap<String, String>> {
    let container = container(deployment)?;
    let mut environment = BTreeMap::new();
    for source in list(&container["envFrom"]) {
        let wanted = source["configMapRef"]["name"]
            .as_str()
            .context("envFrom a ConfigMap")?;
        let map = of_kind(objects, "ConfigMap")
            .find(|map| name(map) == wanted)
            .with_context(|| format!("{}: no ConfigMap {wanted}", name(deployment)))?;
        for (key, value) in map["data"].as_object().into_iter().flatten() {
            let value = value
                .as_str()
                .with_context(|| format!("{key} is not a string"))?;
            environment.insert(key.clone(), value.to_owned());
        }
    }
    for variable in list(&container["env"]) {
        let key = variable["name"].as_str().context("a variable has a name")?;
        let value = variable["value"]
            .as_str()
            .with_context(|| format!("{key} has no value"))?;
        environment.insert(key.to_owned(), value.to_owned());
    }
    Ok(environment)
}

/// Runs `forgewire config check` as in the container: with its role, its environment, its files.
fn config_check(deployment: &Value, environment: &BTreeMap<String, String>) -> Result<Output> {
    let arguments: Vec<_> = list(&container(deployment)?["args"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let (command, role) = arguments.split_first().context("no arguments")?;
    ensure!(*command == "run", "{}: runs {command}", name(deployment));
    // Files take the place of the mounted Secrets.
    let secrets = tempfile::tempdir()?;
    std::fs::write(secrets.path().join("secret"), "a webhook secret")?;
    std::fs::write(
        secrets.path().join("key"),
        "a key of at least 32 characters, to test",
    )?;
    let mounted = secrets.path().to_str().context("a path in UTF-8")?;
    let environment = environment.iter().map(|(key, value)| {
        let value = value.replace("/etc/forgewire/webhook", mounted);
        let value = value.replace("/etc/forgewire/roles", mounted);
        (key, value.replace("/etc/forgewire/state", mounted))
    });
    Command::new(forgewire()?)
        .args(["config", "check"])
        .args(role)
        .env_clear()
        .envs(environment)
        .output()
        .context("running forgewire config check")
}

#[test]
fn kubernetes_accepts_every_object() -> Result<()> {
    for folder in [BASE, DEVELOPMENT] {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(&render(folder)?)?;
        let mut validate = Command::new(installed("kubernetes-validate"));
        validate.args(["--strict", "--quiet"]);
        for version in KUBERNETES {
            validate.args(["--kubernetes-version", version]);
        }
        let output = validate
            .arg(file.path())
            .output()
            .context("running kubernetes-validate")?;
        succeeded(folder, &output)?;
    }
    Ok(())
}

#[test]
fn the_binary_accepts_every_key_of_the_development_overlay() -> Result<()> {
    let objects = objects(DEVELOPMENT)?;
    let mut roles = 0;
    for deployment in of_kind(&objects, "Deployment").filter(|object| is_ours(object)) {
        let mut environment = environment(&objects, deployment)?;
        succeeded(name(deployment), &config_check(deployment, &environment)?)?;

        environment.insert("FORGEWIRE_EDGE__NO_SUCH_KEY".to_owned(), "1".to_owned());
        let output = config_check(deployment, &environment)?;
        ensure!(
            !output.status.success(),
            "the check is ineffective: it accepts unknown keys"
        );
        roles += 1;
    }
    ensure!(
        roles == 3,
        "{roles} roles are deployed, not ingest, sync and edge"
    );
    Ok(())
}

/// Without `enableServiceLinks: false`, Kubernetes sets variables for each Service of the namespace, and a container
/// engine or a shell sets `HOST`.
#[test]
fn variables_of_the_surroundings_are_left_with_a_line_that_names_them() -> Result<()> {
    let objects = objects(DEVELOPMENT)?;
    let surroundings = [
        ("HOST", "a-machine"),
        ("REDIS_PORT", "tcp://10.0.0.2:6379"),
        ("WEBHOOK_PORT", "tcp://10.0.0.3:80"),
        ("FORGEWIRE_PORT", "tcp://10.0.0.1:3000"),
        ("FORGEWIRE_PORT_3000_TCP", "tcp://10.0.0.1:3000"),
        ("FORGEWIRE_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ("FORGEWIRE_PORT_3000_TCP_PORT", "3000"),
        ("FORGEWIRE_PORT_3000_TCP_PROTO", "tcp"),
        ("FORGEWIRE_SERVICE_HOST", "10.0.0.1"),
        ("FORGEWIRE_SERVICE_PORT", "3000"),
        ("FORGEWIRE_SERVICE_PORT_HTTP", "3000"),
    ];
    for deployment in of_kind(&objects, "Deployment").filter(|object| is_ours(object)) {
        let mut environment = environment(&objects, deployment)?;
        let before = config_check(deployment, &environment)?;
        let added = surroundings.map(|(name, text)| (name.to_owned(), text.to_owned()));
        environment.extend(added);
        let output = config_check(deployment, &environment)?;
        succeeded(name(deployment), &output)?;
        let text = String::from_utf8(output.stdout)?;
        let told = text.lines().filter(|line| line.contains("no key: "));
        let told: Vec<_> = told.collect();
        ensure!(
            told.len() == 4 && before.stdout.len() < text.len(),
            "{text}"
        );
        for (variable, _) in surroundings {
            ensure!(
                told.iter().any(|line| line.contains(variable)),
                "{variable}: {text}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_base_leaves_who_may_use_the_edge_to_the_operator() -> Result<()> {
    let objects = objects(BASE)?;
    for deployment in of_kind(&objects, "Deployment") {
        let output = config_check(deployment, &environment(&objects, deployment)?)?;
        if name(deployment) == "forgewire-edge" {
            let text = String::from_utf8_lossy(&output.stderr);
            ensure!(
                !output.status.success() && text.contains("auth.mode"),
                "not refused: {text}"
            );
        } else {
            succeeded(name(deployment), &output)?;
        }
    }
    ensure!(
        of_kind(&objects, "Secret").count() == 0,
        "the base contains a secret that all installations would share"
    );
    Ok(())
}

#[test]
fn no_role_starts_without_the_key_of_the_roles() -> Result<()> {
    let objects = objects(DEVELOPMENT)?;
    for deployment in of_kind(&objects, "Deployment").filter(|object| is_ours(object)) {
        let mut environment = environment(&objects, deployment)?;
        let key = environment.remove("FORGEWIRE_ROLES__KEY_FILES");
        let key = key.with_context(|| format!("{} has no key", name(deployment)))?;
        let mounts = list(&container(deployment)?["volumeMounts"]);
        let is_mounted = |mount: &&Value| {
            let folder = mount["mountPath"].as_str().unwrap_or_default();
            key.strip_prefix(folder) == Some("/key")
        };
        ensure!(
            mounts.iter().any(|mount| is_mounted(&mount)),
            "{}: {key}",
            name(deployment)
        );
        let output = config_check(deployment, &environment)?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(
            !output.status.success() && text.contains("roles.key_files"),
            "{text}"
        );
    }
    Ok(())
}

/// A Pod that wants to connect: its labels, and the name of its namespace.
type Caller = (Value, &'static str);

/// Whether a selector of labels fits.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    wanted.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}

/// Whether the policies let a Pod reach a named port of a workload of the namespace `forgewire`.
fn may_reach(objects: &[Value], caller: &Caller, workload: &Value, port: &str) -> bool {
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    let mut policies = of_kind(objects, "NetworkPolicy")
        .filter(|policy| selects(&policy["spec"]["podSelector"], labels))
        .peekable();
    if policies.peek().is_none() {
        return true;
    }
    let (from, namespace) = caller;
    let is_from = |peer: &Value| match &peer["namespaceSelector"] {
        Value::Null => *namespace == "forgewire" && selects(&peer["podSelector"], from),
        selector => {
            let of_namespace = serde_json::json!({ "kubernetes.io/metadata.name": namespace });
            selects(selector, &of_namespace) && selects(&peer["podSelector"], from)
        }
    };
    policies.any(|policy| {
        list(&policy["spec"]["ingress"]).iter().any(|rule| {
            let peers = list(&rule["from"]);
            list(&rule["ports"]).iter().any(|open| open["port"] == port)
                && (peers.is_empty() || peers.iter().any(is_from))
        })
    })
}

#[test]
fn strangers_reach_only_what_is_for_them() -> Result<()> {
    let objects = objects(DEVELOPMENT)?;
    let workload = |wanted: &str| {
        of_kind(&objects, "Deployment")
            .chain(of_kind(&objects, "StatefulSet"))
            .find(|object| name(object) == wanted)
            .with_context(|| format!("no {wanted}"))
    };
    let role = |wanted: &str| -> Result<Caller> {
        let labels = &workload(wanted)?["spec"]["template"]["metadata"]["labels"];
        Ok((labels.clone(), "forgewire"))
    };
    let [edge, ingest, sync] = ["forgewire-edge", "forgewire-ingest", "forgewire-sync"].map(role);
    let (edge, ingest, sync) = (edge?, ingest?, sync?);
    let stranger = (serde_json::json!({"app": "other"}), "forgewire");
    let outside = (edge.0.clone(), "elsewhere");
    let prometheus = (serde_json::json!({"app": "prometheus"}), "monitoring");
    let callers = [&edge, &ingest, &sync, &stranger, &outside, &prometheus];
    // Whether each of the callers may reach it, in their order.
    for (target, port, expected) in [
        ("forgewire-edge", "http", [true; 6]),
        ("forgewire-ingest", "http", [true; 6]),
        (
            "forgewire-sync",
            "grpc",
            [true, true, false, false, false, false],
        ),
        ("nats", "client", [true, true, true, false, false, false]),
        ("nats", "monitor", [false; 6]),
        // Sync has its lease and the budget of calls to GitHub there.
        ("redis", "redis", [true, false, true, false, false, false]),
        (
            "forgewire-edge",
            "admin",
            [false, false, false, false, false, true],
        ),
        (
            "forgewire-ingest",
            "admin",
            [false, false, false, false, false, true],
        ),
        (
            "forgewire-sync",
            "admin",
            [false, false, false, false, false, true],
        ),
    ] {
        let ports = list(&container(workload(target)?)?["ports"]);
        ensure!(
            ports.iter().any(|open| open["name"] == port),
            "{target} has no port {port}"
        );
        let target_workload = workload(target)?;
        let reached = callers.map(|caller| may_reach(&objects, caller, target_workload, port));
        ensure!(
            reached == expected,
            "{target}:{port} is reached by {reached:?}"
        );
    }
    Ok(())
}

#[test]
fn containers_open_the_ports_that_the_roles_listen_on() -> Result<()> {
    let objects = objects(DEVELOPMENT)?;
    for deployment in of_kind(&objects, "Deployment").filter(|object| is_ours(object)) {
        let environment = environment(&objects, deployment)?;
        let role = name(deployment)
            .trim_start_matches("forgewire-")
            .to_uppercase();
        let mut listening = Vec::new();
        for key in [
            format!("FORGEWIRE_{role}__LISTEN"),
            "FORGEWIRE_ADMIN__LISTEN".to_owned(),
        ] {
            let address = environment
                .get(&key)
                .with_context(|| format!("{key} is not set"))?;
            let address: SocketAddr = address.parse().with_context(|| key)?;
            ensure!(
                address.ip().is_unspecified(),
                "{address} cannot be reached from outside the Pod"
            );
            listening.push(u64::from(address.port()));
        }
        let ports = list(&container(deployment)?["ports"]);
        let open: Vec<_> = ports
            .iter()
            .filter_map(|port| port["containerPort"].as_u64())
            .collect();
        ensure!(
            open == listening,
            "{}: {open:?} is open, not {listening:?}",
            name(deployment)
        );
    }
    Ok(())
}

#[test]
fn services_lead_to_ports_that_exist_and_urls_lead_to_services() -> Result<()> {
    let objects = objects(DEVELOPMENT)?;
    let workloads: Vec<_> = of_kind(&objects, "Deployment")
        .chain(of_kind(&objects, "StatefulSet"))
        .collect();
    let mut reachable = Vec::new();
    for service in of_kind(&objects, "Service") {
        let labels = |workload: &&&Value| {
            workload["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
        };
        let workload = workloads
            .iter()
            .find(labels)
            .context("a Service that selects nothing")?;
        for port in list(&service["spec"]["ports"]) {
            let named = |open: &&Value| open["name"] == port["targetPort"];
            let open = list(&container(workload)?["ports"]).iter().find(named);
            ensure!(
                open.is_some(),
                "{}: no port {}",
                name(service),
                port["targetPort"]
            );
            reachable.push(format!("{}:{}", name(service), port["port"]));
        }
    }
    let edge = of_kind(&objects, "Deployment").find(|object| name(object) == "forgewire-edge");
    let environment = environment(&objects, edge.context("no edge")?)?;
    for key in [
        "FORGEWIRE_NATS__URL",
        "FORGEWIRE_REDIS__URL",
        "FORGEWIRE_SYNC__ENDPOINT",
    ] {
        let url = environment
            .get(key)
            .with_context(|| format!("{key} is not set"))?;
        let host = url
            .split_once("://")
            .map(|(_, host)| host)
            .context("a URL has a scheme")?;
        ensure!(
            reachable.iter().any(|known| known == host),
            "{key}={url}: no such Service"
        );
    }
    Ok(())
}

#[test]
fn pods_may_do_no_more_than_they_need() -> Result<()> {
    let objects = objects(DEVELOPMENT)?;
    for workload in of_kind(&objects, "Deployment").chain(of_kind(&objects, "StatefulSet")) {
        let pod = &workload["spec"]["template"]["spec"];
        let container = container(workload)?;
        let expected = [
            (&pod["automountServiceAccountToken"], Value::from(false)),
            (&pod["enableServiceLinks"], Value::from(false)),
            (&pod["securityContext"]["runAsNonRoot"], Value::from(true)),
            (
                &pod["securityContext"]["seccompProfile"]["type"],
                Value::from("RuntimeDefault"),
            ),
            (
                &container["securityContext"]["allowPrivilegeEscalation"],
                Value::from(false),
            ),
            (
                &container["securityContext"]["readOnlyRootFilesystem"],
                Value::from(true),
            ),
            (
                &container["securityContext"]["capabilities"]["drop"],
                Value::from(vec!["ALL"]),
            ),
        ];
        for (number, (given, wanted)) in expected.iter().enumerate() {
            ensure!(
                *given == wanted,
                "{}: rule {number} wants {wanted}",
                name(workload)
            );
        }
        ensure!(
            container["resources"]["limits"]["memory"].is_string(),
            "{}",
            name(workload)
        );
    }
    Ok(())
}

#[test]
fn a_rollout_leaves_time_to_drain_and_never_fewer_pods() -> Result<()> {
    let objects = objects(DEVELOPMENT)?;
    for deployment in of_kind(&objects, "Deployment").filter(|object| is_ours(object)) {
        let environment = environment(&objects, deployment)?;
        let drain = environment
            .get("FORGEWIRE_EDGE__DRAIN_SECONDS")
            .context("drain is not set")?;
        let drain: u64 = drain.parse()?;
        let grace = &deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        let enough = grace
            .as_u64()
            .is_some_and(|grace| grace >= drain + GRACE_MARGIN_SECONDS);
        ensure!(
            enough,
            "{}: {grace} s for a drain of {drain} s",
            name(deployment)
        );
        let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
        ensure!(rolling["maxUnavailable"] == 0, "{}", name(deployment));

        let replicas = deployment["spec"]["replicas"]
            .as_u64()
            .context("replicas are set")?;
        let protected = of_kind(&objects, "PodDisruptionBudget")
            .any(|budget| budget["spec"]["selector"] == deployment["spec"]["selector"]);
        ensure!(
            protected == (replicas > 1),
            "{}: budget {protected}",
            name(deployment)
        );
    }
    Ok(())
}

/// A process that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts all roles on free ports and gives the address of the admin listener.
fn start(folder: &Path) -> Result<(Running, String)> {
    let mut child = Command::new(forgewire()?)
        .args(["run", "--cache-dir"])
        .arg(folder)
        .env_clear()
        .envs(
            ["EDGE", "INGEST", "SYNC", "ADMIN"]
                .map(|section| (format!("FORGEWIRE_{section}__LISTEN"), "127.0.0.1:0")),
        )
        .env("WEBHOOK_SECRET", "a webhook secret")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().context("stdout is a pipe")?;
    let running = Running(child);
    let (line, first_line) = mpsc::channel();
    thread::spawn(move || line.send(BufReader::new(stdout).lines().next()));
    let line = first_line
        .recv_timeout(START_DEADLINE)
        .context("no ready line")?;
    let ready: Value = serde_json::from_str(&line.context("it ended before it was ready")??)?;
    let admin = ready["admin"]
        .as_str()
        .context("the ready line names the admin listener")?;
    Ok((running, admin.to_owned()))
}

#[tokio::test]
async fn the_admin_listener_serves_every_probe() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_running, admin) = start(folder.path())?;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()?;
    let objects = objects(BASE)?;
    for deployment in of_kind(&objects, "Deployment") {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let probe = &container(deployment)?[probe]["httpGet"];
            ensure!(
                probe["port"] == "admin",
                "{}: probes {}",
                name(deployment),
                probe["port"]
            );
            let path = probe["path"].as_str().context("a probe has a path")?;
            let url = format!("http://{admin}{path}");
            let deadline = Instant::now() + START_DEADLINE;
            // Not ready (503) is a valid answer; an unknown path (404) never becomes one.
            loop {
                let status = client.get(&url).send().await?.status();
                if status.is_success() {
                    break;
                }
                ensure!(
                    status == 503 && Instant::now() < deadline,
                    "{url} answers {status}"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(())
}
