//! What WeCom said about a member as 32 characters, so that an unchanged one needs no row.

use blake3::Hasher;

use crate::sync::remote::RemotePerson;

/// Raised when what is told of a member here grows, so that every member is compared by its fields once.
const FINGERPRINT_VERSION: u8 = 1;

/// The fingerprint of everything WeCom said: 32 hexadecimal digits, the same in every process. Two records differ in
/// it if they differ in any field, in the order of memberships, or in how the userid is capitalised.
pub fn compute_fingerprint(person: &RemotePerson) -> String {
    let mut told = FingerprintHasher(Hasher::new());
    told.0.update(&[FINGERPRINT_VERSION]);
    told.text(person.userid.as_str());
    told.text(&person.name);
    told.text(&person.email);
    told.text(person.status.as_str());
    told.count(person.memberships.len());
    for membership in &person.memberships {
        told.0.update(&membership.unit.to_le_bytes());
        told.0.update(&membership.order.to_le_bytes());
        told.0.update(&[u8::from(membership.leader)]);
    }
    told.0.update(&[u8::from(person.main_department.is_some())]);
    told.0.update(&person.main_department.unwrap_or(0).to_le_bytes());
    told.count(person.direct_leaders.len());
    person.direct_leaders.iter().for_each(|leader| told.text(leader.as_str()));
    told.text(&person.position);
    told.text(&person.mobile);
    told.text(&person.alias);
    told.text(&person.telephone);
    told.count(person.attributes.len());
    for (name, value) in &person.attributes {
        told.text(name);
        told.text(value);
    }
    told.0.finalize().to_hex().chars().take(32).collect()
}

/// Everything goes in with its length, so that no two records can be spelled alike.
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
