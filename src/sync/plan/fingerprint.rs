//! Hashes what WeCom says about a member, so that an unchanged member needs no row.

use blake3::Hasher;

use crate::sync::remote::RemotePerson;

/// To be raised when the hash covers more fields, so that every member is compared by its fields
/// once.
const FINGERPRINT_VERSION: u8 = 1;

/// Returns the fingerprint of a member's record: 32 hexadecimal digits, the same in every process.
/// It differs if any field differs, including the order of memberships and the case of the userid.
pub(crate) fn compute_fingerprint(person: &RemotePerson) -> String {
    let mut hasher = FingerprintHasher(Hasher::new());
    hasher.0.update(&[FINGERPRINT_VERSION]);
    hasher.text(person.userid.as_str());
    hasher.text(&person.name);
    hasher.text(&person.email);
    hasher.text(person.status.as_str());
    hasher.count(person.memberships.len());
    for membership in &person.memberships {
        hasher.0.update(&membership.unit.to_le_bytes());
        hasher.0.update(&membership.order.to_le_bytes());
        hasher.0.update(&[u8::from(membership.leader)]);
    }
    hasher.0.update(&[u8::from(person.main_department.is_some())]);
    hasher.0.update(&person.main_department.unwrap_or(0).to_le_bytes());
    hasher.count(person.direct_leaders.len());
    person.direct_leaders.iter().for_each(|leader| hasher.text(leader.as_str()));
    hasher.text(&person.position);
    hasher.text(&person.mobile);
    hasher.text(&person.alias);
    hasher.text(&person.telephone);
    hasher.count(person.attributes.len());
    for (name, value) in &person.attributes {
        hasher.text(name);
        hasher.text(value);
    }
    hasher.0.finalize().to_hex().chars().take(32).collect()
}

/// Hashes every field with its length, so that no two different records give the same bytes.
struct FingerprintHasher(Hasher);

impl FingerprintHasher {
    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update(&u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
    }
}
