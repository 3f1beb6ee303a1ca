//! The cluster with real NATS, Redis and HAProxy. The edges and ingests are stubs here (a HAProxy
//! that answers every request with its name): these tests cover the topology, not forgewire.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// Answers on the edge's port and on the admin port.
const STUB: &str = "
defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 1s
frontend stub
  bind 127.0.0.1:{port:{name}}
  bind 127.0.0.1:{port:{name}.admin}
  http-request return status 200 content-type text/plain string \"{name}\"
";

fn stub_plan(folder: &Path) -> ClusterPlan {
    fs::write(folder.join("stub.cfg"), STUB).unwrap();
    let mut text = String::new();
    for (role, replicas) in [("edge", 3), ("ingest", 2)] {
        text += &format!(
            "[[process]]\nname = \"{role}\"\nreplicas = {replicas}\n\
             command = [\"haproxy\", \"-db\", \"-f\", \"{{data}}/stub.cfg\"]\n\
             templates = {{ \"stub.cfg\" = \"stub.cfg\" }}\n\
             ready = {{ http = \"http://127.0.0.1:{{port:{{name}}.admin}}/readyz\" }}\n"
        );
    }
    let deployed = fs::read_to_string(workspace().join("deploy/cluster.toml")).unwrap();
    let balancer = deployed.rsplit("[[process]]").next().unwrap();
    assert!(balancer.contains("name = \"balancer\""));
    text += &format!("[[process]]{balancer}");
    fs::copy(
        workspace().join("deploy/haproxy.cfg"),
        folder.join("haproxy.cfg"),
    )
    .unwrap();
    fs::write(folder.join("stubs.toml"), text).unwrap();
    ClusterPlan::read(&folder.join("stubs.toml")).unwrap()
}

async fn get(http: &reqwest::Client, url: &Url) -> String {
    let answer = http.get(url.clone()).timeout(SOON).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// Sends `count` requests and counts the answers of each server.
async fn answers(http: &reqwest::Client, url: &Url, count: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for _ in 0..count {
        *seen.entry(get(http, url).await).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn the_balancer_goes_round_and_a_dead_edge_costs_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(stub_plan(folder.path()), |_| {})
        .await
        .unwrap();
    let mut system = System::over(SystemKind::Cluster, cluster).unwrap();
    assert_eq!((system.edges().len(), system.ingests().len()), (3, 2));
    let (http, balancer) = (crate::http::client(), system.balancer().clone());
    assert_eq!(get(&http, &system.edges()[1]).await, "edge-2");
    assert_eq!(
        get(&http, &system.admin(SystemNode::Ingest(1)).unwrap()).await,
        "ingest-2"
    );

    let turns = answers(&http, &balancer, 9).await;
    assert_eq!(
        turns.values().copied().collect::<Vec<_>>(),
        [3, 3, 3],
        "{turns:?}"
    );
    let turns = answers(&http, system.ingest_balancer(), 4).await;
    assert_eq!(turns.keys().collect::<Vec<_>>(), ["ingest-1", "ingest-2"]);

    assert_eq!(
        system.kill(SystemNode::Edge(1)).unwrap(),
        FaultOutcome::Done
    );
    let turns = answers(&http, &balancer, 12).await;
    assert_eq!(turns.keys().collect::<Vec<_>>(), ["edge-1", "edge-3"]);

    assert_eq!(
        system.restart(SystemNode::Edge(1)).await.unwrap(),
        FaultOutcome::Done
    );
    let started = Instant::now();
    while get(&http, &balancer).await != "edge-2" {
        assert!(started.elapsed() < SOON, "edge-2 does not come back");
    }
    assert!(
        system.kill(SystemNode::Nats).is_err(),
        "this plan has no NATS"
    );
    let dir = system.cluster().dir().to_owned();
    assert!(dir.join("logs/balancer.err.log").exists());
    system.stop().await.unwrap();
    assert!(!dir.exists(), "the temporary folder goes away");
}

/// Sends one line and reads one line.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[tokio::test]
async fn nats_and_redis_come_back_on_their_ports_with_their_data() {
    let ours = ["edge", "ingest", "sync", "balancer"];
    let plan = ClusterPlan::cluster().unwrap().without(&ours);
    let mut names = Vec::new();
    let mut cluster = Cluster::start(plan, |s| names.push((s.name.clone(), s.port)))
        .await
        .unwrap();
    let (nats, redis) = (
        cluster.port("nats").unwrap(),
        cluster.port("redis").unwrap(),
    );
    assert_eq!(
        names,
        [("nats".into(), Some(nats)), ("redis".into(), Some(redis))]
    );
    assert!(ask(nats, "").contains("\"jetstream\":true"));
    assert_eq!(ask(redis, "SET k v\r\n"), "+OK\r\n");

    for name in ["nats", "redis"] {
        cluster.kill(name).unwrap();
        assert!(!cluster.process(name).unwrap().is_running());
        cluster.restart(name).await.unwrap();
    }
    assert!(ask(nats, "").contains("\"jetstream\":true"));
    assert_eq!(ask(redis, "STRLEN k\r\n"), ":1\r\n");
    cluster.stop(|_| {}).await.unwrap();
}

#[test]
fn the_deployed_file_has_the_topology_that_the_scenarios_expect() {
    let plan = ClusterPlan::cluster().unwrap();
    let names: Vec<_> = plan
        .file
        .process
        .iter()
        .flat_map(ProcessDefinition::instances)
        .collect();
    let expected = [
        "nats", "redis", "sync", "ingest-1", "ingest-2", "edge-1", "edge-2", "edge-3", "balancer",
    ];
    assert_eq!(names, expected);
    assert_eq!(plan.file.waves().unwrap().len(), 4);
    let more = plan.with_replicas("edge", 5);
    assert_eq!(instances(&more.file, "edge").len(), 5);
    assert_eq!(ClusterPlan::embedded().unwrap().file.process.len(), 1);
}

#[tokio::test]
async fn a_process_that_does_not_start_fails_the_start_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    let process = "[[process]]\nname = \"bad\"\n\
        command = [\"sh\", \"-c\", \"echo no luck >&2; exit 1\"]\n\
        ready = { tcp = \"127.0.0.1:{port:bad}\" }\n";
    fs::write(&file, process).unwrap();
    let error = Cluster::start(ClusterPlan::read(&file).unwrap(), |_| {})
        .await
        .unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("bad ended") && text.contains("no luck"),
        "{text}"
    );
}

#[test]
fn servers_that_the_embedded_system_lacks_are_not_applicable() {
    let ports = PortBlock::take().unwrap();
    let mut filler = Filler {
        dir: "/".into(),
        bin: None,
        secret: String::new(),
        ports,
    };
    for name in ["edge", "ingest", "admin"] {
        filler.ports.of(name).unwrap();
    }
    let cluster = Cluster {
        members: Vec::new(),
        filler,
        links: BTreeMap::new(),
        disks: BTreeMap::new(),
        start_deadline: SOON,
        temporary: None,
    };
    let mut system = System::over(SystemKind::Embedded, cluster).unwrap();
    assert_eq!((system.edges().len(), system.ingests().len()), (3, 2));
    assert!(matches!(
        system.kill(SystemNode::Nats).unwrap(),
        FaultOutcome::NotApplicable(_)
    ));
    assert!(matches!(
        system.kill(SystemNode::Redis).unwrap(),
        FaultOutcome::NotApplicable(_)
    ));
    assert_eq!(
        system.admin(SystemNode::Edge(2)).unwrap(),
        system.admin(SystemNode::Sync).unwrap()
    );
}
