//! The contrast of the colours, by the formula of WCAG 2.2 (<https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>).

use std::collections::HashMap;

/// Text with its background, and edges with what is beside them.
const TEXT: [(&str, &str); 14] = [
    ("ink", "page"),
    ("ink", "surface"),
    ("ink-2", "page"),
    ("ink-2", "surface"),
    ("ink", "good"),
    ("ink", "warn"),
    ("ink", "brand-soft"),
    ("brand", "page"),
    ("brand", "surface"),
    ("brand", "brand-soft"),
    ("brand-ink", "brand"),
    ("brand-ink", "brand-strong"),
    ("warn-ink", "page"),
    ("danger-ink", "danger"),
];
const EDGES: [(&str, &str); 5] =
    [("edge", "page"), ("edge", "surface"), ("focus", "page"), ("focus", "surface"), ("brand", "good")];

/// The colours of a block of declarations.
fn colours(block: &str) -> HashMap<&str, [f64; 3]> {
    let declared =
        block.lines().filter_map(|line| line.trim().strip_prefix("--c-")?.strip_suffix(';')?.split_once(": #"));
    let channel = |hex: &str, at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    declared.map(|(name, hex)| (name, [channel(hex, 0), channel(hex, 2), channel(hex, 4)])).collect()
}

fn ratio(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |[red, green, blue]: [f64; 3]| 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_and_edges_can_be_seen_in_light_and_in_dark() {
    let css = web::assets::find("patient.css").unwrap().text;
    let (light, dark) = css.split_once("@media (prefers-color-scheme: dark)").unwrap();
    let dark = dark.split("}\n}").next().unwrap();
    for colours in [colours(light), colours(dark)] {
        for (pairs, least) in [(&TEXT[..], 4.5), (&EDGES, 3.0)] {
            for (front, back) in pairs {
                let found = ratio(colours[front], colours[back]);
                assert!(found >= least, "{front} on {back}: {found:.2}");
            }
        }
    }
}
