use std::{fs, net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::*;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Root {
    edge: Edge,
    ingest: Ingest,
    store: Store,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Edge {
    listen: SocketAddr,
    max_streams: u32,
    ratio: f64,
    loud: bool,
    allowed_origins: Vec<String>,
    ports: Vec<u16>,
    public_url: Option<String>,
    drain_seconds: Option<u64>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            max_streams: 100,
            ratio: 0.5,
            loud: false,
            allowed_origins: Vec::new(),
            ports: Vec::new(),
            public_url: None,
            drain_seconds: None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ingest {
    webhook_secrets: Vec<Secret>,
    token: Option<Secret>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Store {
    kind: Kind,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Memory,
    InProcess,
}

/// A file that is removed at the end of the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("forgewire-config-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn load(&self) -> Result<Root, ConfigError> {
        load(std::slice::from_ref(&self.0), [("", ""); 0], &[])
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn from_env<const N: usize>(env: [(&str, &str); N]) -> Result<Root, ConfigError> {
    load(&[], env, &[])
}

fn problems(result: Result<Root, ConfigError>) -> Vec<(String, String, String)> {
    match result {
        Err(ConfigError::Invalid(problems)) => problems
            .into_iter()
            .map(|p| (p.key, p.origin, p.what))
            .collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn nothing_given_means_defaults() {
    let root = from_env([]).unwrap();
    assert_eq!(root.edge.max_streams, 100);
    assert_eq!(root.store.kind, Kind::Memory);
}

#[test]
fn a_file_from_windows_is_read_and_one_in_utf_16_is_refused_with_the_fix() {
    let marked = File::new("marked", "\u{feff}[edge]\r\nmax_streams = 7\r\n");
    assert_eq!(marked.load().unwrap().edge.max_streams, 7);
    let utf_16 = File::new("utf-16", "");
    fs::write(&utf_16.0, b"\xff\xfe[\0e\0").unwrap();
    let refused = utf_16.load().unwrap_err();
    let source = std::error::Error::source(&refused).map(ToString::to_string);
    assert!(
        source.unwrap_or_default().contains("save it as UTF-8"),
        "{refused}"
    );
}

#[test]
fn each_layer_lies_above_the_one_before() {
    let file = File::new(
        "layers",
        "[edge]\nmax_streams = 1\nratio = 0.1\nloud = true\nports = [1]\n",
    );
    let second = File::new("layers2", "[edge]\nratio = 0.2\nports = [2, 3]\n");
    let files = [file.0.clone(), second.0.clone()];
    let older = [
        OlderName {
            name: "STREAMS",
            key: "edge.max_streams",
            convert: |_| Ok(Some(2.into())),
        },
        OlderName {
            name: "DRAIN",
            key: "edge.drain_seconds",
            convert: |_| Ok(Some(9.into())),
        },
    ];
    let names = EnvNames {
        older: &older,
        ignored: &["FORGEWIRE_CONFIG"],
        ..EnvNames::default()
    };
    let env = [
        ("STREAMS", "x"),
        ("DRAIN", "x"),
        ("FORGEWIRE_EDGE__MAX_STREAMS", "3"),
        ("FORGEWIRE_EDGE__PUBLIC_URL", "http://env"),
        ("FORGEWIRE_CONFIG", "elsewhere"),
        ("PATH", "/bin"),
    ];
    let flags = [Override::new("--url", "edge.public_url", "http://flag")];
    let root: Root = load_with(&files, env, &flags, names).unwrap().config;
    assert_eq!(root.edge.max_streams, 3);
    assert_eq!(root.edge.drain_seconds, Some(9));
    assert!((root.edge.ratio - 0.2).abs() < f64::EPSILON);
    assert!(root.edge.loud);
    assert_eq!(root.edge.ports, [2, 3], "lists are replaced, not joined");
    assert_eq!(root.edge.public_url.as_deref(), Some("http://flag"));
}

#[test]
fn text_of_the_environment_becomes_what_the_field_wants() {
    let root = from_env([
        ("FORGEWIRE_EDGE__LISTEN", "0.0.0.0:80"),
        ("FORGEWIRE_EDGE__RATIO", "2"),
        ("FORGEWIRE_EDGE__LOUD", "true"),
        ("FORGEWIRE_EDGE__ALLOWED_ORIGINS", "http://a, http://b"),
        ("FORGEWIRE_EDGE__PORTS", "[1, 2]"),
        ("FORGEWIRE_EDGE__PUBLIC_URL", "12345"),
        ("FORGEWIRE_EDGE__DRAIN_SECONDS", ""),
        ("FORGEWIRE_INGEST__WEBHOOK_SECRETS", "[12345,true,\"a,b\"]"),
        ("FORGEWIRE_INGEST__TOKEN", "007"),
        ("FORGEWIRE_STORE__KIND", "in-process"),
    ])
    .unwrap();
    assert_eq!(root.edge.listen, SocketAddr::from(([0, 0, 0, 0], 80)));
    assert!((root.edge.ratio - 2.0).abs() < f64::EPSILON);
    assert!(root.edge.loud);
    assert_eq!(root.edge.allowed_origins, ["http://a", "http://b"]);
    assert_eq!(root.edge.ports, [1, 2]);
    assert_eq!(root.edge.public_url.as_deref(), Some("12345"));
    assert_eq!(root.edge.drain_seconds, None);
    let secrets: Vec<_> = root
        .ingest
        .webhook_secrets
        .iter()
        .map(Secret::expose)
        .collect();
    assert_eq!(secrets, ["12345", "true", "a,b"]);
    assert_eq!(root.ingest.token.unwrap().expose(), "007");
    assert_eq!(root.store.kind, Kind::InProcess);
    let one = from_env([("FORGEWIRE_EDGE__ALLOWED_ORIGINS", "http://a")]).unwrap();
    assert_eq!(one.edge.allowed_origins, ["http://a"]);
    let table = from_env([("FORGEWIRE_CONFIG__X", "1"), ("FORGEWIRE_EDGE__PORTS", "")]);
    assert_eq!(problems(table).len(), 1);
}

#[test]
fn an_unknown_key_in_a_file_is_named_with_the_file_and_the_known_keys() {
    let file = File::new("unknown", "[edge]\nmax_streems = 1\n[egde]\nlisten = 'x'\n");
    let found = problems(file.load());
    assert_eq!(found.len(), 2, "{found:?}");
    for (key, origin, what) in &found {
        assert!(
            ["edge.max_streems", "egde"].contains(&key.as_str()),
            "{key}"
        );
        assert_eq!(*origin, format!("file {}", file.0.display()));
        assert!(
            what.starts_with("unknown key; the known keys here are "),
            "{what}"
        );
    }
    assert!(
        found
            .iter()
            .any(|(_, _, what)| what.contains("max_streams"))
    );
}

#[test]
fn an_unknown_key_in_the_environment_is_named_with_its_variable() {
    let found = problems(from_env([
        ("FORGEWIRE_EDGE__NO_SUCH", "1"),
        ("FORGEWIRE_NOWHERE__LISTEN", "1"),
        ("FORGEWIRE_EDGE_LISTEN", "1.2.3.4:5"),
    ]));
    let find = |name: &str| {
        let origin = format!("environment variable {name}");
        found.iter().find(|(_, o, _)| *o == origin).unwrap()
    };
    assert_eq!(find("FORGEWIRE_EDGE__NO_SUCH").0, "edge.no_such");
    assert_eq!(find("FORGEWIRE_NOWHERE__LISTEN").0, "nowhere");
    assert!(find("FORGEWIRE_EDGE_LISTEN").2.contains("two underscores"));
}

#[test]
fn a_value_of_the_wrong_type_is_named_but_not_shown() {
    let file = File::new(
        "types",
        "[edge]\nmax_streams = 'hunter2'\nports = [1, 70000]\nlisten = 'hunter2'\n\
         [ingest]\nwebhook_secrets = 'hunter2'\ntoken = 12345\n[store]\nkind = 'hunter2'\n",
    );
    let error = file.load().unwrap_err();
    let text = format!("{error}\n{error:?}");
    assert!(
        !text.contains("hunter2") && !text.contains("12345"),
        "{text}"
    );
    let found = problems(Err(error));
    let what = |key: &str| &found.iter().find(|(k, _, _)| k == key).unwrap().2;
    assert_eq!(what("edge.max_streams"), "expected u32, found string");
    assert_eq!(what("edge.ports.1"), "expected u16, found integer `70000`");
    assert_eq!(what("edge.listen"), "invalid socket address syntax");
    assert_eq!(
        what("ingest.webhook_secrets"),
        "expected a sequence, found string"
    );
    assert_eq!(what("ingest.token"), "expected a string, found integer");
    assert_eq!(
        what("store.kind"),
        "unknown value; the known values are memory, in-process"
    );

    let found = problems(from_env([
        ("FORGEWIRE_EDGE__MAX_STREAMS", "many"),
        ("FORGEWIRE_EDGE__LOUD", "very"),
        ("FORGEWIRE_EDGE__PORTS", "1,two"),
    ]));
    let keys: Vec<_> = found.iter().map(|(key, _, _)| key.as_str()).collect();
    assert_eq!(keys, ["edge.loud", "edge.max_streams", "edge.ports.1"]);
    assert_eq!(found[2].1, "environment variable FORGEWIRE_EDGE__PORTS");
}

#[test]
fn a_bad_flag_or_older_name_is_named_too() {
    let flags = [Override::new("--streams", "edge.max_streams", "x")];
    let found = problems(load(&[], [("", ""); 0], &flags));
    assert_eq!(
        (found[0].0.as_str(), found[0].1.as_str()),
        ("edge.max_streams", "flag --streams")
    );
    let older = [OlderName {
        name: "SYNC_INTERVAL_MS",
        key: "edge.drain_seconds",
        convert: |_| Err("expected milliseconds".to_owned()),
    }];
    let names = EnvNames {
        older: &older,
        ignored: &[],
        ..EnvNames::default()
    };
    let found = problems(
        load_with(&[], [("SYNC_INTERVAL_MS", "x")], &[], names).map(|loaded| loaded.config),
    );
    assert_eq!(found[0].1, "environment variable SYNC_INTERVAL_MS");
    assert_eq!(found[0].2, "expected milliseconds");
}

/// A Service of the name `forgewire`, or one that begins with it, in the namespace of the pod.
#[test]
fn variables_of_kubernetes_service_links_are_left_and_named() {
    let links = [
        ("FORGEWIRE_EDGE_PORT", "tcp://10.0.0.1:3000"),
        ("FORGEWIRE_EDGE_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ("FORGEWIRE_EDGE_SERVICE_HOST", "fd00::1"),
        ("FORGEWIRE_PORT", "tcp://10.0.0.1:3000"),
        ("FORGEWIRE_PORT_3000_TCP", "tcp://10.0.0.1:3000"),
        ("FORGEWIRE_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ("FORGEWIRE_PORT_3000_TCP_PORT", "3000"),
        ("FORGEWIRE_PORT_3000_TCP_PROTO", "tcp"),
        ("FORGEWIRE_SERVICE_HOST", "10.0.0.1"),
        ("FORGEWIRE_SERVICE_PORT", "3000"),
        ("FORGEWIRE_SERVICE_PORT_HTTP", "3000"),
    ];
    let loaded = |env: &[(&'static str, &'static str)]| {
        load_with::<Root>(&[], env.to_vec(), &[], EnvNames::default())
    };
    for link in links {
        let left = loaded(&[link]).unwrap().left;
        assert_eq!(left.len(), 1, "{link:?}");
        let text = left[0].to_string();
        let words = [link.0, "sets no key", "enableServiceLinks: false"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let mut env = links.to_vec();
    env.push(("FORGEWIRE_EDGE__MAX_STREAMS", "7"));
    let all = loaded(&env).unwrap();
    assert_eq!((all.config.edge.max_streams, all.left.len()), (7, 1));
    assert!(all.left[0].to_string().contains("and 3 more set no key"));
    // What somebody wrote is refused: a typing error that were left would be a setting that is not there.
    for (name, text) in [
        ("FORGEWIRE_EDGE_LISTEN", "10.0.0.1:3000"),
        ("FORGEWIRE_EDGE_PORT", "3000"),
        ("FORGEWIRE_PORT", "3000"),
        ("FORGEWIRE_SERVICE_HOST", "edge.example.com"),
        ("FORGEWIRE_SERVICE_PORT", "http"),
        ("FORGEWIRE_PORT_3000_TCP_ADDR", "edge"),
        ("FORGEWIRE_NATS_URL", "tcp://10.0.0.1:4222"),
    ] {
        let refused = loaded(&[(name, text)]).unwrap_err().to_string();
        assert!(
            refused.contains(name) && refused.contains("not a key"),
            "{refused}"
        );
    }
}

#[test]
fn a_missing_or_broken_file_stops_the_start() {
    let missing = load::<Root>(&["/nonexistent/forgewire.toml".into()], [("", ""); 0], &[]);
    let error = missing.unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/forgewire.toml"),
        "{error}"
    );
    assert!(std::error::Error::source(&error).is_some());

    let broken = File::new("broken", "[ingest]\ntoken = \"hunter2\n")
        .load()
        .unwrap_err();
    assert!(
        matches!(broken, ConfigError::Syntax { line: 2, .. }),
        "{broken:?}"
    );
    assert!(
        !format!("{broken} {broken:?}").contains("hunter2"),
        "{broken:?}"
    );
}

#[test]
fn the_error_reads_as_one_block_per_problem() {
    let error = from_env([("FORGEWIRE_EDGE__LOUD", "very")]).unwrap_err();
    let expected = "the configuration cannot be used:\n  \
         edge.loud: expected true or false, found string\n    \
         from: environment variable FORGEWIRE_EDGE__LOUD";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_keys_that_were_set_are_known_with_their_origins() {
    let file = File::new(
        "given",
        "[edge]\nmax_streams = 5\n[ingest]\ntoken = \"t\"\n",
    );
    let env = [
        ("FORGEWIRE_EDGE__PORTS", "1,2"),
        ("FORGEWIRE_EDGE__MAX_STREAMS", "7"),
        ("HOME", "/"),
    ];
    let flags = [Override::new("--loud", "edge.loud", true)];
    let files = std::slice::from_ref(&file.0);
    let loaded = load_with::<Root>(files, env, &flags, EnvNames::default()).unwrap();
    assert_eq!(loaded.config.edge.max_streams, 7);
    let given: Vec<_> = loaded
        .given
        .iter()
        .map(|given| (given.key.as_str(), given.kind))
        .collect();
    assert_eq!(
        given,
        [
            ("edge.max_streams", SettingOrigin::File),
            ("ingest.token", SettingOrigin::File),
            ("edge.max_streams", SettingOrigin::Environment),
            ("edge.ports", SettingOrigin::Environment),
            ("edge.loud", SettingOrigin::Flag),
        ]
    );
    assert_eq!(loaded.given[4].origin, "flag --loud");
}
