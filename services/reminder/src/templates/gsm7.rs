//! The alphabet and the number of segments of an SMS (3GPP TS 23.038 and 23.040).

/// The GSM 7-bit default alphabet, without the escape character.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
     abcdefghijklmnopqrstuvwxyzäöñüà";
/// Its extension table; each character takes two septets.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// The alphabet of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// 160 septets, 153 a segment of several.
    Gsm7,
    /// 70 units of UTF-16, 67 a segment of several.
    Ucs2,
}

impl Encoding {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Ucs2 => "ucs2",
        }
    }
}

/// The alphabet that a text needs, and its number of segments.
pub(crate) fn segments(text: &str) -> (Encoding, u32) {
    let septets = |c: char| match c {
        c if BASIC.contains(c) => Some(1),
        c if EXTENDED.contains(c) => Some(2),
        _ => None,
    };
    match text.chars().map(septets).collect::<Option<Vec<_>>>() {
        Some(sizes) => (Encoding::Gsm7, count_segments(&sizes, 160, 153)),
        None => (Encoding::Ucs2, count_segments(&text.chars().map(char::len_utf16).collect::<Vec<_>>(), 70, 67)),
    }
}

/// The number of segments for characters of these sizes: one of up to `single` units, or several of up to `multi`. No
/// character is split between two segments.
fn count_segments(sizes: &[usize], single: usize, multi: usize) -> u32 {
    if sizes.iter().sum::<usize>() <= single {
        return 1;
    }
    let (mut segments, mut used) = (1, 0);
    for size in sizes {
        if used + size > multi {
            segments += 1;
            used = 0;
        }
        used += size;
    }
    segments
}

/// Replaces typographic punctuation, which would make a text UCS-2, by its ASCII forms. Letters stay.
pub(crate) fn replace_typography(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{2032}' | '`' | '\u{b4}' => plain.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => plain.push('"'),
            '\u{2010}'..='\u{2015}' => plain.push('-'),
            '\u{2026}' => plain.push_str("..."),
            '\u{a0}' | '\u{2009}' | '\u{202f}' | '\t' => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted_as_carriers_do() {
        let cases = [
            ("", Encoding::Gsm7, 1),
            (&"a".repeat(160), Encoding::Gsm7, 1),
            (&"a".repeat(161), Encoding::Gsm7, 2),
            (&"a".repeat(306), Encoding::Gsm7, 2),
            (&"a".repeat(307), Encoding::Gsm7, 3),
            (&"€".repeat(80), Encoding::Gsm7, 1),
            (&"€".repeat(81), Encoding::Gsm7, 2),
            // 152 septets and a pair exceed 153: the pair begins the second segment.
            (&format!("{}€{}", "a".repeat(152), "a".repeat(151)), Encoding::Gsm7, 2),
            (&format!("{}€{}", "a".repeat(152), "a".repeat(152)), Encoding::Gsm7, 3),
            (&"ç".repeat(70), Encoding::Ucs2, 1),
            (&"ç".repeat(71), Encoding::Ucs2, 2),
            (&"Ç".repeat(160), Encoding::Gsm7, 1),
            ("it\u{2019}s", Encoding::Ucs2, 1),
            ("`", Encoding::Ucs2, 1),
            (&"😀".repeat(35), Encoding::Ucs2, 1),
            (&"😀".repeat(36), Encoding::Ucs2, 2),
            // 33 pairs fit into 67 units; one unit stays unused.
            (&"😀".repeat(66), Encoding::Ucs2, 2),
            (&"😀".repeat(67), Encoding::Ucs2, 3),
        ];
        for (text, encoding, count) in cases {
            assert_eq!(segments(text), (encoding, count), "{} characters of {text:.3}", text.chars().count());
        }
    }

    #[test]
    fn typographic_punctuation_becomes_ascii() {
        let plain = replace_typography("St. John\u{2019}s \u{2013} \u{ab}\u{a0}Physio\u{a0}\u{bb}\u{2026}");
        assert_eq!(plain, "St. John's - \" Physio \"...");
        assert_eq!(segments(&plain).0, Encoding::Gsm7);
    }
}
