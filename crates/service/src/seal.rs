//! Secrets at rest: values that a copy of the database must not reveal are sealed with AES-256-GCM under a key that no
//! database holds.
//!
//! A sealed value is `MARK`, the id of its key, a salt of 16 bytes, the ciphertext and the tag of 16 bytes. Each value has
//! a key of its own, the HMAC-SHA256 of the salt under the key of the ring, so that any number of values may be sealed under
//! one key with a constant nonce. The column and the row are authenticated: a sealed value opens nowhere else.

use std::{fmt, sync::Arc};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
};
use rpc::Fault;

/// The bytes of a key.
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// Begins each sealed value. No protobuf message and no text begins with a zero byte.
const MARK: &[u8; 8] = b"\0sealed1";
/// With the mark, these are a multiple of three: the base64 of a prefix is the prefix of the base64.
const ID_BYTES: usize = 7;
/// Begins each sealed text, before the base64url of the sealed value.
const TEXT_MARK: &str = "sealed:";
/// Separate the uses of a key from each other. They are part of every sealed value.
const ID_PURPOSE: &[u8] = b"meridian sealing key id 1";
const VALUE_PURPOSE: &[u8] = b"meridian sealed value 1";

/// The column and the row of a sealed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell(Vec<u8>);

impl Cell {
    /// `column` is `table.column`; `row` is the primary key, part by part.
    pub fn new(column: &str, row: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        // Each part follows its length, so that no two rows have the same bytes.
        for part in [column.as_bytes()].iter().chain(row) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }
}

/// The keys of an installation. The first one seals, all of them open. Clones share them.
#[derive(Clone)]
pub struct Keyring(Arc<[Key]>);

struct Key {
    id: [u8; ID_BYTES],
    secret: hmac::Key,
}

/// Keys that cannot be read. The message repeats none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// There is none.
    #[error("there is no key: give 32 random bytes as 64 hexadecimal digits or as base64")]
    Empty,
    /// One has another form or length.
    #[error("key {0} is not 32 bytes as 64 hexadecimal digits or as base64")]
    Malformed(usize),
}

/// A value that cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The value is sealed under a key that is not in the ring.
    #[error("a secret is sealed under the key {0}, which is not among the keys of `secrets`")]
    UnknownKey(String),
    /// The value was changed, or belongs to another row.
    #[error("a sealed secret was changed, or belongs to another row")]
    Altered,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::internal(error.to_string())
    }
}

impl fmt::Debug for Keyring {
    /// Shows ids, which tell nothing of the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| hex(&key.id))).finish()
    }
}

impl Keyring {
    /// A ring of one key.
    pub fn from_key(key: &[u8; KEY_BYTES]) -> Self {
        Self([Key::new(key)].into())
    }

    /// Reads keys of 32 bytes, each as 64 hexadecimal digits or as base64, separated by spaces, commas or lines.
    ///
    /// # Errors
    /// Without a key, and for a malformed one.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let keys = words.enumerate().map(|(at, word)| {
            let bytes: Option<[u8; KEY_BYTES]> = decode(word).and_then(|bytes| bytes.try_into().ok());
            bytes.map(|bytes| Key::new(&bytes)).ok_or(InvalidKeys::Malformed(at + 1))
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(InvalidKeys::Empty) } else { Ok(Self(keys.into())) }
    }

    /// A key that nobody has, as [`Keyring::parse`] reads it: 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::NoRandom`].
    pub fn generate() -> Result<String, Error> {
        Ok(hex(&random::<KEY_BYTES>()?))
    }

    /// The id of the key that seals, in hexadecimal.
    pub fn id(&self) -> String {
        hex(&self.0[0].id)
    }

    /// Seals a value for its cell.
    ///
    /// # Errors
    /// [`Error::NoRandom`].
    pub fn seal(&self, cell: &Cell, value: &[u8]) -> Result<Vec<u8>, Error> {
        let (key, salt) = (&self.0[0], random::<SALT_BYTES>()?);
        let cipher = key.cipher(&salt).ok_or(Error::Altered)?;
        let mut text = value.to_vec();
        cipher.seal_in_place_append_tag(nonce(), Aad::from(&cell.0), &mut text).map_err(|_| Error::Altered)?;
        Ok([MARK, &key.id[..], &salt, &text].concat())
    }

    /// Opens a value. One that was stored before values were sealed is returned as it is.
    ///
    /// # Errors
    /// Under a key that is not in the ring; for another cell; for a value that was changed.
    pub fn open(&self, cell: &Cell, stored: &[u8]) -> Result<Vec<u8>, Error> {
        let Some(sealed) = stored.strip_prefix(MARK) else { return Ok(stored.to_vec()) };
        let (id, sealed) = sealed.split_at_checked(ID_BYTES).ok_or(Error::Altered)?;
        let (salt, text) = sealed.split_at_checked(SALT_BYTES).ok_or(Error::Altered)?;
        let key = self.0.iter().find(|key| key.id == id).ok_or_else(|| Error::UnknownKey(hex(id)))?;
        let cipher = key.cipher(salt).ok_or(Error::Altered)?;
        let mut text = text.to_vec();
        let opened = cipher.open_in_place(nonce(), Aad::from(&cell.0), &mut text).map_err(|_| Error::Altered)?;
        Ok(opened.to_vec())
    }

    /// Seals a stored value again, under the key that seals.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn reseal(&self, cell: &Cell, stored: &[u8]) -> Result<Vec<u8>, Error> {
        self.seal(cell, &self.open(cell, stored)?)
    }

    /// As [`Keyring::seal`], for a column of texts.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub fn seal_text(&self, cell: &Cell, value: &str) -> Result<String, Error> {
        Ok(format!("{TEXT_MARK}{}", URL_SAFE_NO_PAD.encode(self.seal(cell, value.as_bytes())?)))
    }

    /// As [`Keyring::open`], for a column of texts.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn open_text(&self, cell: &Cell, stored: &str) -> Result<String, Error> {
        let Some(encoded) = stored.strip_prefix(TEXT_MARK) else { return Ok(stored.to_owned()) };
        let sealed = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Error::Altered)?;
        String::from_utf8(self.open(cell, &sealed)?).map_err(|_| Error::Altered)
    }

    /// The first bytes of each value that is sealed under the key that seals.
    pub fn prefix(&self) -> Vec<u8> {
        [MARK, &self.0[0].id[..]].concat()
    }

    /// The first characters of each text that is sealed under the key that seals.
    pub fn text_prefix(&self) -> String {
        format!("{TEXT_MARK}{}", URL_SAFE_NO_PAD.encode(self.prefix()))
    }
}

impl Key {
    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let hash = digest::digest(&digest::SHA256, &[ID_PURPOSE, bytes].concat());
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&hash.as_ref()[..ID_BYTES]);
        Self { id, secret }
    }

    /// The cipher of one value.
    fn cipher(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let mut mac = hmac::Context::with_key(&self.secret);
        mac.update(VALUE_PURPOSE);
        mac.update(salt);
        UnboundKey::new(&AES_256_GCM, mac.sign().as_ref()).ok().map(LessSafeKey::new)
    }
}

/// Whether a stored value is sealed.
pub fn is_sealed(stored: &[u8]) -> bool {
    stored.starts_with(MARK)
}

/// A constant nonce is safe: each value has a key of its own.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::NoRandom)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(word: &str) -> Option<Vec<u8>> {
    if word.len() != 2 * KEY_BYTES {
        return STANDARD.decode(word).or_else(|_| URL_SAFE_NO_PAD.decode(word)).ok();
    }
    if !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..word.len()).step_by(2).map(|at| u8::from_str_radix(word.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(byte: u8) -> Keyring {
        Keyring::from_key(&[byte; KEY_BYTES])
    }

    #[test]
    fn a_value_opens_in_its_own_cell_alone() {
        let (ring, cell) = (ring(1), Cell::new("secrets.value", &[b"link_key"]));
        let sealed = ring.seal(&cell, b"canary").unwrap();
        assert_eq!(ring.open(&cell, &sealed).unwrap(), b"canary");
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        for other in [
            Cell::new("secrets.value", &[b"other_key"]),
            Cell::new("other.value", &[b"link_key"]),
            Cell::new("secrets.value", &[b"link", b"_key"]),
        ] {
            assert_eq!(ring.open(&other, &sealed), Err(Error::Altered));
        }
        let again = ring.seal(&cell, b"canary").unwrap();
        assert_ne!(again, sealed, "equal values are not recognised");
    }

    #[test]
    fn a_changed_byte_and_another_key_open_nothing() {
        let cell = Cell::new("t.c", &[b"row"]);
        let sealed = ring(1).seal(&cell, b"canary").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            // Without its mark a value counts as one that was never sealed: it is no secret then.
            assert_ne!(ring(1).open(&cell, &changed).ok().as_deref(), Some(&b"canary"[..]), "{at}");
        }
        assert_eq!(ring(1).open(&cell, &sealed[..sealed.len() - 1]), Err(Error::Altered));
        assert_eq!(ring(1).open(&cell, MARK), Err(Error::Altered));
        assert_eq!(ring(2).open(&cell, &sealed), Err(Error::UnknownKey(ring(1).id())));
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let hexadecimal = |byte: u8| hex(&[byte; KEY_BYTES]);
        let base64 = |byte: u8| STANDARD.encode([byte; KEY_BYTES]);
        let cell = Cell::new("t.c", &[b"row"]);
        let old = ring(1).seal_text(&cell, "canary").unwrap();
        let both = Keyring::parse(&format!("{}\n{}\n", base64(2), hexadecimal(1))).unwrap();
        assert_eq!(both.open_text(&cell, &old).unwrap(), "canary");
        let new = both.seal_text(&cell, "canary").unwrap();
        assert_eq!(ring(2).open_text(&cell, &new).unwrap(), "canary");
        assert!(new.starts_with(&both.text_prefix()) && !old.starts_with(&both.text_prefix()));
        assert_eq!(format!("{both:?}"), format!("{:?}", [ring(2).id(), ring(1).id()]));
    }

    #[test]
    fn a_value_from_before_is_returned_as_it_is() {
        let cell = Cell::new("t.c", &[b"row"]);
        assert_eq!(ring(1).open(&cell, b"").unwrap(), b"");
        assert_eq!(ring(1).open(&cell, &[7; 32]).unwrap(), [7; 32]);
        assert_eq!(ring(1).open_text(&cell, "whsec_x").unwrap(), "whsec_x");
    }

    #[test]
    fn keys_of_another_form_are_refused_without_repeating_them() {
        assert_eq!(Keyring::parse(" \n").err(), Some(InvalidKeys::Empty));
        let good = hex(&[1; KEY_BYTES]);
        for bad in ["hunter2", &good[1..], &format!("{good}00"), &STANDARD.encode([1; 31]), &"ä".repeat(32)] {
            let error = Keyring::parse(&format!("{good} {bad}")).err();
            assert_eq!(error, Some(InvalidKeys::Malformed(2)), "{bad}");
            assert!(!InvalidKeys::Malformed(2).to_string().contains(bad));
        }
        let generated = Keyring::generate().unwrap();
        assert_ne!(
            Keyring::parse(&generated).unwrap().id(),
            Keyring::parse(&Keyring::generate().unwrap()).unwrap().id()
        );
    }
}
