use std::collections::BTreeMap;

use runtime::config::Sources;

use super::*;

#[test]
fn the_reference_states_the_default_of_each_key() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let row = |line: &str| {
        let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((key.to_owned(), rest.split_once(" | ")?.0.to_owned()))
    };
    let (_, table) = page.split_once("<!-- configuration:").unwrap();
    let stated: BTreeMap<String, String> = table.lines().filter_map(row).collect();
    let settings = Sources::new().settings::<Config>().unwrap();
    let default = |value: Option<String>| value.map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
    let defaults = settings.into_iter().map(|setting| (setting.key, default(setting.value))).collect();
    assert_eq!(stated, defaults, "run `cargo xtask config-reference`");
}
