//! The assets of the pages. Their paths have one hash, so that browsers may keep them for ever.

use std::{fmt::Write, sync::LazyLock};

use sha2::{Digest, Sha256};

/// An asset.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// The name of its file.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub text: &'static str,
}

/// All assets.
pub const ASSETS: [Asset; 2] = [
    Asset {
        name: "patient.css",
        media_type: "text/css; charset=utf-8",
        text: concat!(
            include_str!("../assets/tokens.css"),
            include_str!("../assets/base.css"),
            include_str!("../assets/patient.css"),
        ),
    },
    Asset { name: "icon.svg", media_type: "image/svg+xml", text: include_str!("../assets/icon.svg") },
];

/// The asset with a name.
pub fn find(name: &str) -> Option<Asset> {
    ASSETS.into_iter().find(|asset| asset.name == name)
}

/// The hash of all assets, in hexadecimal.
pub fn hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let mut digest = Sha256::new();
        ASSETS.iter().for_each(|asset| digest.update(asset.text.as_bytes()));
        digest.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            // Writing to a text never fails.
            let _ = write!(text, "{byte:02x}");
            text
        })
    });
    &HASH
}
