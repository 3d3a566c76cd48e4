//! The verification of the audit log's chains, for operators.

use domain::id::OrganizationId;
use futures::future::BoxFuture;
use sql::Target;

use crate::{
    Error,
    store::{
        Store,
        audit::{self as stored, Line},
    },
};

/// The lines that are read at one time.
const PAGE_SIZE: i64 = 1000;

/// The chain of an organisation, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The organisation.
    pub organization: OrganizationId,
    /// The number of its last line.
    pub lines: i64,
    /// The lines at its beginning that an earlier version wrote without hashes.
    pub unchained: i64,
    /// The hash of the last line in hexadecimal digits. Kept elsewhere, it shows later that the end was not cut off.
    pub hash: String,
    /// The first broken line.
    pub fault: Option<ChainFault>,
}

/// Why a chain is broken, with the number of the first broken line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// The line does not exist.
    #[error("line {0} is missing")]
    Missing(i64),
    /// The line's hash is not that of its fields.
    #[error("line {0} was changed")]
    Changed(i64),
    /// The line holds another hash than that of the line before.
    #[error("line {0} does not follow the line before it: lines were deleted, inserted or moved there")]
    Unlinked(i64),
    /// The end of the chain, as the log keeps it, is another than this line.
    #[error("line {0} is the last one, but the end of the chain was recorded with another hash")]
    OtherEnd(i64),
    /// No gateway has written the line.
    #[error("line {0} lies beyond the recorded end of the chain: it was inserted, or the end was moved")]
    Beyond(i64),
}

/// Verifies the chains of all organisations. Gateways may go on writing meanwhile.
///
/// # Errors
/// When the database cannot be read.
pub fn verify(database: &Target) -> BoxFuture<'_, Result<Vec<Chain>, Error>> {
    Box::pin(async move { verify_all(&Store::open(database).await?).await })
}

async fn verify_all(store: &Store) -> Result<Vec<Chain>, Error> {
    // Before the chains: an organisation whose end is deleted has none.
    let beyond = store.audit_lines_beyond().await?;
    let mut chains = Vec::new();
    for end in store.audit_chains().await? {
        let fault = first_fault(store, &end).await?;
        let unchained = end.first_number - 1;
        let organization = OrganizationId::new(end.organization_id);
        chains.push(Chain { organization, lines: end.number, unchained, hash: hex(&end.hash), fault });
    }
    for stored::Beyond { organization_id, number } in beyond {
        let (organization, fault) = (OrganizationId::new(organization_id), Some(ChainFault::Beyond(number)));
        match chains.iter_mut().find(|chain| chain.organization == organization) {
            Some(chain) => chain.fault = chain.fault.or(fault),
            None => chains.push(Chain { organization, lines: 0, unchained: 0, hash: String::new(), fault }),
        }
    }
    Ok(chains)
}

/// The first broken line of a chain.
async fn first_fault(store: &Store, end: &stored::Chain) -> Result<Option<ChainFault>, Error> {
    let (mut number, mut hash) = (end.first_number - 1, Vec::new());
    loop {
        let lines = store.audit_lines_between(end.organization_id, (number, end.number), PAGE_SIZE).await?;
        let is_last_page = lines.len() < usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX);
        for line in lines {
            if let Some(fault) = fault_of(&line, number + 1, &hash) {
                return Ok(Some(fault));
            }
            (number, hash) = (line.number, line.hash);
        }
        if is_last_page {
            break;
        }
    }
    Ok(match number < end.number {
        true => Some(ChainFault::Missing(number + 1)),
        false => (hash != end.hash).then_some(ChainFault::OtherEnd(number)),
    })
}

fn fault_of(line: &Line, number: i64, previous_hash: &[u8]) -> Option<ChainFault> {
    if line.number != number {
        return Some(ChainFault::Missing(number));
    }
    if line.computed_hash() != line.hash {
        return Some(ChainFault::Changed(number));
    }
    (line.previous_hash != previous_hash).then_some(ChainFault::Unlinked(number))
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::audit::Entry;

    fn entry(action: &str) -> Entry {
        Entry {
            organization_id: Uuid::from_u128(1),
            at_us: 1_772_780_400_000_000,
            caller: "admin".into(),
            action: action.into(),
            status: 200,
            requests: 1,
            ..Entry::default()
        }
    }

    #[test]
    fn a_line_with_a_right_hash_of_its_own_must_also_follow_the_line_before() {
        let mut chain = stored::Chain { organization_id: Uuid::from_u128(1), first_number: 1, number: 0, hash: vec![] };
        let lines = chain.append(&[entry("first"), entry("second"), entry("third")]);
        assert_eq!(fault_of(&lines[1], 2, &lines[0].hash), None);
        // Someone who knows the canonical form writes another second line.
        let mut forged = lines[1].clone();
        forged.entry.caller = "key_x".into();
        assert_eq!(fault_of(&forged, 2, &lines[0].hash), Some(ChainFault::Changed(2)));
        forged.hash = forged.computed_hash();
        assert_eq!(fault_of(&forged, 2, &lines[0].hash), None);
        assert_eq!(fault_of(&lines[2], 3, &forged.hash), Some(ChainFault::Unlinked(3)));
    }

    #[test]
    fn the_canonical_form_is_the_documented_one() {
        let mut line = Line { number: 7, previous_hash: vec![0xab; 32], hash: vec![], entry: entry("list_patients") };
        line.entry.row_count = Some(2);
        let mut bytes = Vec::new();
        let organization = "org_00000000000000000000000001";
        for field in [
            "meridian-audit-1",
            "HASH",
            organization,
            "7",
            "1772780400000000",
            "admin",
            "",
            "list_patients",
            "",
            "",
            "200",
            "",
            "2",
            "1",
            "",
        ] {
            let field = if field == "HASH" { &[0xab; 32][..] } else { field.as_bytes() };
            bytes.extend((field.len() as u64).to_be_bytes());
            bytes.extend(field);
        }
        assert_eq!(line.computed_hash(), <sha2::Sha256 as sha2::Digest>::digest(&bytes).to_vec());
        line.hash = line.computed_hash();
        let changes: [fn(&mut Entry); 12] = [
            |entry| entry.at_us += 1,
            |entry| entry.caller.push('x'),
            |entry| entry.person.push('x'),
            |entry| entry.action.push('x'),
            |entry| entry.target.push('x'),
            |entry| entry.patient_id = Some(Uuid::from_u128(2)),
            |entry| entry.status = 404,
            |entry| entry.filter.push('x'),
            |entry| entry.row_count = None,
            |entry| entry.requests += 1,
            |entry| entry.address.push('x'),
            |entry| entry.organization_id = Uuid::from_u128(2),
        ];
        for change in changes {
            let mut changed = line.clone();
            change(&mut changed.entry);
            assert_ne!(changed.computed_hash(), line.hash, "{changed:?}");
        }
    }
}
