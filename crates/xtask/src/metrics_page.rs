//! The operators' page names every metric that the code measures and every alert, and no others.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

/// The page, and the file of the alerts.
const PAGE: &str = "deploy/README.md";
const ALERTS: &str = "deploy/compose/alerts.yml";
const MACROS: [&str; 3] = ["counter!(", "gauge!(", "histogram!("];
/// Names of the metrics of gRPC calls, which a table of both ends chooses from.
const CALLS: [&str; 2] = ["\"rpc_client_", "\"rpc_server_"];
/// A page's row about a metric begins with one of these words.
const AREAS: [&str; 11] = [
    "http_",
    "rpc_",
    "audit_",
    "oidc_",
    "booking_",
    "booking_",
    "bookings_",
    "waitlist_",
    "availability_",
    "reminder_",
    "webhook_",
];

/// Lists every metric and alert that is on one side only.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn differences(top: &Path) -> Result<Vec<String>> {
    let page = top.join(PAGE);
    if !page.is_file() {
        return Ok(vec![]);
    }
    let page = fs::read_to_string(page)?;
    let named = |is_meant: fn(&str) -> bool| -> BTreeSet<String> {
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split(" | ").next());
        let names = rows.flat_map(|cell| cell.split(['`', ',', ' ']));
        names.filter(|name| is_meant(name)).map(str::to_owned).collect()
    };
    let mut measured = BTreeSet::new();
    for folder in ["crates", "services"] {
        collect_metrics(&top.join(folder), &mut measured)?;
    }
    let alerts = fs::read_to_string(top.join(ALERTS)).with_context(|| format!("{ALERTS} cannot be read"))?;
    let alerts = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect();
    let is_metric = |name: &str| !name.contains('.') && AREAS.iter().any(|area| name.starts_with(area));
    let is_alert = |name: &str| name.starts_with("Meridian");
    let mut found = compared("metric", &measured, &named(is_metric));
    found.extend(compared("alert", &alerts, &named(is_alert)));
    Ok(found)
}

fn compared(kind: &str, there: &BTreeSet<String>, named: &BTreeSet<String>) -> Vec<String> {
    let missing = there.difference(named).map(|name| format!("{PAGE}: lacks the {kind} {name}"));
    let left_over = named.difference(there).map(|name| format!("{PAGE}: there is no {kind} {name}"));
    missing.chain(left_over).collect()
}

/// Adds the metrics that the sources below a folder measure, those of inline tests left out.
fn collect_metrics(folder: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_metrics(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("metrics_page.rs") {
            let text = fs::read_to_string(&path)?;
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for call in MACROS {
                let arguments = code.match_indices(call).map(|(at, _)| code[at + call.len()..].trim_start());
                names.extend(arguments.filter_map(literal));
            }
            for beginning in CALLS {
                let found = code.match_indices(beginning).filter_map(|(at, _)| literal(&code[at..]));
                names.extend(found.filter(|name| !name.ends_with("_bucket")));
            }
        }
    }
    Ok(())
}

/// The text literal that some code begins with.
fn literal(code: &str) -> Option<String> {
    Some(code.strip_prefix('"')?.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_or_an_alert_on_one_side_only_is_named() {
        let top = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let code = "fn f() {\n metrics::counter!(\n \"http_requests_total\", \"route\" => r);\n let (a, b) = \
                    (\"rpc_client_seconds\", 1);\n}\n#[cfg(test)]\nmod tests {\n counter!(\"http_test_total\")";
        write("crates/rpc/src/calls.rs", code);
        write(ALERTS, "groups:\n  - alert: MeridianDown\n");
        let row =
            "| `http_requests_total`, `rpc_client_seconds` | counter | `reminder_x` |\n| `gateway.http_x` | 1 | a |\n";
        write(PAGE, &format!("{row}| `MeridianDown` | page |\n"));
        assert_eq!(differences(top.path()).unwrap(), Vec::<String>::new());
        write(PAGE, "| `http_requests_total`, `http_gone_total` | counter |\n| `MeridianGone` | page |\n");
        let found = differences(top.path()).unwrap();
        let expected = [
            "lacks the metric rpc_client_seconds",
            "there is no metric http_gone_total",
            "lacks the alert MeridianDown",
            "there is no alert MeridianGone",
        ];
        assert!(found.len() == 4 && found.iter().zip(expected).all(|(line, end)| line.ends_with(end)), "{found:#?}");
    }
}
