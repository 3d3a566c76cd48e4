//! The binary's commands, as a person uses them.

use std::process::{Command, Stdio};

use anyhow::Result;

#[test]
fn a_reader_who_leaves_ends_a_command_quietly() -> Result<()> {
    let mut child = Command::new(testkit::product::binary()?)
        .args(["config", "--keys"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !said.contains("panicked"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_new_installation_gets_the_catalogue_once() -> Result<()> {
    let house = scenarios::House::embedded(&[]).await?;
    let load = |key: &str| {
        let arguments = ["catalogue", "--url", &house.url];
        Command::new(testkit::product::binary()?)
            .args(arguments)
            .env("MERIDIAN_ADMIN_KEY", key)
            .output()
            .map_err(anyhow::Error::from)
    };
    let codes = async |path: &str| -> Result<Vec<String>> {
        let list = house.get(&format!("{path}?limit=200")).await?;
        let mut codes: Vec<String> = list.body["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["code"].as_str().map(str::to_owned))
            .collect();
        codes.sort();
        Ok(codes)
    };
    let refused = load("mrd_not_the_key_of_this_house")?;
    assert!(!refused.status.success(), "only the installation's own key");
    for _ in 0..2 {
        let loaded = load(scenarios::ADMIN)?;
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let templates =
            ["acupuncture-course", "acute-needling", "chronic-maintenance", "chronic-needling", "rehab-combined"];
        assert_eq!(codes("/v1/plan_templates").await?, templates, "each once, however often it is loaded");
        assert_eq!(codes("/v1/services").await?.len(), 10);
        let rules = house.get("/v1/reminder_rules").await?.body["data"].as_array().cloned().unwrap_or_default();
        let asks: Vec<_> = rules.iter().filter(|rule| rule["asks"] == "score").collect();
        assert_eq!((rules.len(), asks.len()), (10, 1), "seven of every organisation, and three of aftercare");
        assert_eq!(asks[0]["service_ids"].as_array().map(Vec::len), Some(5), "needling alone: {}", asks[0]);
    }
    Ok(())
}
