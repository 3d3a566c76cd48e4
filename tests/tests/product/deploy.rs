//! What `docker-compose.yml` and `deploy/` refer to is there: files, ports, roles, variables, metrics.

#![expect(clippy::unwrap_used, reason = "all of this file is a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_yaml_ng::Value;
use testkit::product;

const ROLES: [&str; 4] = ["availability", "booking", "gateway", "reminder"];
/// Read from the environment by themselves, not as keys of the configuration.
const OTHER_VARIABLES: [&str; 1] = ["MERIDIAN_ADMIN_KEY"];
/// Metrics that are not ours.
const OTHER_METRICS: [&str; 1] = ["up"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = top().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    let mut value: Value = serde_yaml_ng::from_str(&read(path)).unwrap();
    // One pass merges one level; what is merged may merge others.
    for _ in 0..4 {
        value.apply_merge().unwrap();
    }
    value
}

fn services() -> BTreeMap<String, Value> {
    serde_yaml_ng::from_value(yaml("docker-compose.yml")["services"].clone()).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    match &service["environment"] {
        Value::Null => BTreeMap::new(),
        given => serde_yaml_ng::from_value(given.clone()).unwrap(),
    }
}

/// The role that a service runs, by its command.
fn role(service: &Value) -> Option<String> {
    let command = texts(&service["command"]);
    command.iter().position(|word| word == "--role").map(|at| command[at + 1].clone())
}

fn is_ours(service: &Value) -> bool {
    service["image"].as_str().is_some_and(|image| image.starts_with("meridian"))
}

/// The ports that a service of ours listens on: its API, its metrics.
fn ports(service: &Value) -> Vec<String> {
    let environment = environment(service);
    let port = |name: &str| Some(environment.get(name)?.rsplit_once(':')?.1.to_owned());
    [port("MERIDIAN_LISTEN"), port("MERIDIAN_OPS_LISTEN")].into_iter().flatten().collect()
}

/// What compose puts for `${NAME:?why}` and `${NAME:-default}`.
fn interpolated(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (variable, after) = rest.split_once('}').expect("every ${ has its }");
    let value = match (variable.split_once(":-"), variable.split_once(":?")) {
        (Some((_, default)), _) => default,
        (None, Some((_, why))) if !why.is_empty() => "given-by-the-operator-0123456789",
        _ => panic!("${{{variable}}} has neither a default nor a reason to be set"),
    };
    format!("{before}{value}{}", interpolated(after))
}

#[test]
fn every_role_runs_once_and_each_service_is_hardened() {
    let services = services();
    let mut roles: Vec<String> = services.values().filter_map(role).collect();
    roles.sort();
    assert_eq!(roles, ROLES);
    for (name, service) in &services {
        assert_eq!(service["read_only"], Value::Bool(true), "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        let user = service["user"].as_str().unwrap_or_default();
        assert!(!user.is_empty() && !user.starts_with('0') && !user.starts_with("root"), "{name} runs as {user:?}");
        let image = service["image"].as_str().unwrap();
        let (_, version) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no version"));
        assert_ne!(version, "latest", "{name}");
        for address in texts(&service["ports"]) {
            assert!(address.starts_with("127.0.0.1:"), "{name} is open to the world at {address}");
        }
    }
}

#[test]
fn every_file_and_volume_that_compose_names_is_there() {
    let compose = yaml("docker-compose.yml");
    for (name, service) in services() {
        if let Some(file) = service["build"]["dockerfile"].as_str() {
            assert!(top().join(file).is_file(), "{name}: {file}");
        }
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            let there = if source.starts_with('.') {
                top().join(source).exists()
            } else {
                compose["volumes"].as_mapping().unwrap().contains_key(source)
            };
            assert!(there, "{name}: {volume}");
        }
        let needs = match &service["depends_on"] {
            Value::Mapping(needs) => needs.keys().map(|key| key.as_str().unwrap().to_owned()).collect(),
            other => texts(other),
        };
        for need in needs {
            assert!(services().contains_key(&need), "{name} depends on {need}");
        }
    }
}

#[test]
fn every_address_leads_to_a_service_that_listens_there() {
    let services = services();
    let ours: BTreeMap<&String, &Value> = services.iter().filter(|(_, service)| is_ours(service)).collect();
    for (name, service) in &ours {
        for (variable, url) in environment(service) {
            let Some(peer) = variable.strip_prefix("MERIDIAN_PEERS__") else { continue };
            let Some((host, port)) = url.strip_prefix("https://").and_then(|url| url.split_once(':')) else {
                assert!(peer.starts_with("TLS__"), "{name}: {variable} is not a role's address with TLS");
                continue;
            };
            assert_eq!(host, peer.to_lowercase(), "{name}: {variable}");
            assert_eq!(ports(ours[&host.to_owned()])[0], port, "{name}: {variable}");
            assert_eq!(role(ours[&host.to_owned()]).as_deref(), Some(host));
        }
        if role(service).is_some() {
            let check = texts(&service["healthcheck"]["test"]);
            assert_eq!(check[..2], ["CMD", "ready"], "{name}");
            // The last is for operators: health and metrics.
            assert_eq!(ports(service).last(), Some(&check[2]), "{name}");
        }
        for published in texts(&service["ports"]) {
            let inner = published.rsplit_once(':').unwrap().1;
            assert!(ports(service).contains(&inner.to_owned()), "{name} publishes {inner} and listens elsewhere");
        }
    }
    let collector = yaml("deploy/compose/otel-collector.yaml");
    let receives = collector["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].as_str().unwrap();
    let exports = collector["exporters"]["prometheus"]["endpoint"].as_str().unwrap();
    let sent = &environment(&services["booking"])["MERIDIAN_TELEMETRY__OTLP_ENDPOINT"];
    assert_eq!(sent, &format!("http://otel-collector:{}", receives.rsplit_once(':').unwrap().1));

    let mut scraped = BTreeSet::new();
    for job in yaml("deploy/compose/prometheus.yml")["scrape_configs"].as_sequence().unwrap() {
        for group in job["static_configs"].as_sequence().unwrap() {
            for target in texts(&group["targets"]) {
                let (host, port) = target.split_once(':').unwrap();
                if host == "otel-collector" {
                    assert!(exports.ends_with(&format!(":{port}")));
                } else {
                    assert_eq!(ports(&services[host]).last().map(String::as_str), Some(port), "{target}");
                    assert_eq!(group["labels"]["role"].as_str(), Some(host));
                    scraped.insert(host.to_owned());
                }
            }
        }
    }
    assert_eq!(scraped.iter().map(String::as_str).collect::<Vec<_>>(), ROLES);
}

/// The services that a service connects to, by its configuration.
fn peers(name: &str, service: &Value) -> BTreeSet<String> {
    let urls = environment(service).into_values();
    let hosts =
        urls.filter_map(|url| Some(url.split_once("://")?.1.rsplit('@').next()?.split([':', '/']).next()?.to_owned()));
    let mut peers: BTreeSet<String> = hosts.collect();
    let further: &[&str] = match name {
        "prometheus" => &["availability", "booking", "gateway", "reminder", "otel-collector"],
        "grafana" => &["prometheus"],
        _ => &[],
    };
    peers.extend(further.iter().map(|peer| (*peer).to_owned()));
    peers
}

#[test]
fn services_share_networks_only_with_those_they_talk_to() {
    let (compose, services) = (yaml("docker-compose.yml"), services());
    let networks = |name: &str| texts(&services[name]["networks"]).into_iter().collect::<BTreeSet<_>>();
    let talks = |one: &str, other: &str| peers(one, &services[one]).contains(other);
    for one in services.keys() {
        for other in services.keys().filter(|other| *other > one) {
            let shared = !networks(one).is_disjoint(&networks(other));
            assert_eq!(shared, talks(one, other) || talks(other, one), "{one} and {other}");
        }
        if networks(one).is_empty() {
            // Without networks of its own a service would join the default one, with all others.
            assert_eq!(services[one]["network_mode"].as_str(), Some("none"), "{one}");
        }
        for network in networks(one) {
            assert!(compose["networks"].as_mapping().unwrap().contains_key(&*network), "{one}: {network}");
        }
    }
    for network in ["roles", "database", "migrations", "telemetry"] {
        assert_eq!(compose["networks"][network]["internal"], Value::Bool(true), "{network}");
    }
}

#[test]
fn each_role_mounts_its_own_certificate_alone() {
    for (name, service) in services() {
        let mounted = texts(&service["volumes"]);
        let certificates = mounted.iter().filter(|volume| volume.contains("certificates"));
        let expected = role(&service).map(|role| format!("{role}-certificate:/certificates:ro"));
        if name != "certificates" {
            assert_eq!(certificates.cloned().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }
}

#[tokio::test]
async fn the_product_knows_every_variable_and_takes_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let listed = product::run(folder.path(), &["config", "--keys"], &[]).await.unwrap();
    let keys: BTreeSet<String> = String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    let image = read("deploy/Containerfile");
    let in_image = image.split_whitespace().filter(|word| word.starts_with("MERIDIAN_"));
    let in_image: BTreeMap<String, String> =
        in_image.map(|word| word.split_once('=').unwrap()).map(|(name, value)| (name.into(), value.into())).collect();
    for (name, service) in services().into_iter().filter(|(_, service)| is_ours(service)) {
        let mut variables = in_image.clone();
        variables.extend(environment(&service).into_iter().map(|(name, value)| (name, interpolated(&value))));
        for variable in variables.keys().filter(|variable| !OTHER_VARIABLES.contains(&variable.as_str())) {
            let key = variable.strip_prefix("MERIDIAN_").unwrap().to_lowercase().replace("__", ".");
            assert!(keys.contains(&key), "{name}: the product does not know {variable}");
        }
        let given: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let read = product::run(folder.path(), &["config"], &given).await.unwrap();
        assert!(read.status.success(), "{name}: {}", String::from_utf8_lossy(&read.stderr));
    }
}

#[test]
fn the_image_is_made_of_what_is_there_and_does_not_run_as_root() {
    let text = read("deploy/Containerfile");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for line in lines.iter().filter(|line| line.first() == Some(&"COPY") && !line[1].starts_with("--from")) {
        for source in &line[1..line.len() - 1] {
            assert!(top().join(source).exists(), "COPY {source}");
        }
    }
    let last = |word: &str| lines.iter().rfind(|line| line.first() == Some(&word)).map(|line| line[1]);
    assert_eq!(last("USER"), Some("65532:65532"));
    assert_eq!(last("EXPOSE"), Some("8080"));
    let manifest = read("Cargo.toml");
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(text.contains(&format!("library/rust:{rust}-")), "the image is built with another Rust than {rust}");
}

#[test]
fn what_grafana_and_prometheus_ask_for_is_measured() {
    let mut asked: Vec<String> = Vec::new();
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/compose/grafana/dashboards/meridian.json")).unwrap();
    let source =
        yaml("deploy/compose/grafana/provisioning/datasources/prometheus.yml")["datasources"][0]["uid"].clone();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"].as_str(), source.as_str());
            asked.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    let alerts = yaml("deploy/compose/alerts.yml");
    for rule in alerts["groups"][0]["rules"].as_sequence().unwrap() {
        assert!(rule["annotations"]["runbook"].as_str().is_some_and(|text| text.len() > 40), "{rule:?}");
        asked.push(rule["expr"].as_str().unwrap().to_owned());
    }
    assert!(asked.len() > 20);
    let mut code = String::new();
    for folder in ["crates", "services"] {
        sources(&top().join(folder), &mut code);
    }
    for name in asked.iter().flat_map(|expression| metrics(expression)).collect::<BTreeSet<_>>() {
        assert!(code.contains(&format!("\"{name}\"")), "nothing measures {name}");
    }
}

/// The metrics in an expression of PromQL: whatever word stands before a selector or a range.
fn metrics(expression: &str) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut names = Vec::new();
    for (at, _) in expression.match_indices(['{', '[']) {
        let before = &expression[..at];
        let start = before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        let name = before[start..].trim_end_matches("_bucket").trim_end_matches("_count");
        if !name.is_empty() && !OTHER_METRICS.contains(&name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn sources(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn the_health_check_sees_ready_unready_and_gone() {
    let ready = |port: u16| async move {
        let script = top().join("deploy/ready");
        let ended = tokio::process::Command::new("bash").arg(script).arg(port.to_string()).output().await.unwrap();
        ended.status.success()
    };
    for (status, expected) in [(200, true), (503, false)] {
        let answer = axum::http::StatusCode::from_u16(status).unwrap();
        let router = axum::Router::new().route("/readyz", axum::routing::get(move || async move { answer }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        assert_eq!(ready(port).await, expected, "{status}");
        server.abort();
    }
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert!(!ready(gone).await);
}
