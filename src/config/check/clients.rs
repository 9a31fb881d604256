//! Checks `[[api_clients]]`.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;

use super::{LayerReader, quote_list};
use crate::base::id::ClientId;
use crate::config::keys::ConfigValue;
use crate::config::layers::{ArrayTable, ConfigFindings};
use crate::config::model::{ApiClient, Scope};
use crate::config::not_yet_supported::{self, NOT_IN_THIS_VERSION};

pub(super) fn check_api_clients(r: &mut LayerReader<'_>) -> Option<Vec<ApiClient>> {
    let items = &r.layers.api_clients;
    let mut ids = BTreeSet::new();
    for item in items.iter().filter(|item| !item.text("id").is_empty()) {
        if !ids.insert(item.text("id")) {
            let id = item.text("id");
            r.findings.error(&item.key("id"), item.origin("id"), format_args!("\"{id}\" is used twice"));
        }
    }
    let read: Vec<_> = items.iter().map(|item| check_api_client(item, r.findings)).collect();
    read.into_iter().collect()
}

fn check_api_client(item: &ArrayTable, findings: &mut ConfigFindings) -> Option<ApiClient> {
    let id = item.text("id");
    let good_id = !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if !good_id {
        findings.error(&item.key("id"), item.origin("id"), "must be a name of letters, digits and . _ -");
    }
    let hash = check_secret_hash(item, findings);
    let scopes = check_scopes(item, findings);
    let (hash, scopes) = (hash?, scopes?);
    good_id.then(|| ApiClient { id: ClientId::new(id), secret_sha256: hash, scopes })
}

fn check_secret_hash(item: &ArrayTable, findings: &mut ConfigFindings) -> Option<[u8; 32]> {
    const FIELD: &str = "secret_hash";
    let decoded = match item.fields.get(FIELD).map(|entry| &entry.value) {
        Some(ConfigValue::Secret(text)) => text.expose_secret().strip_prefix("sha256:").and_then(|hex| {
            let mut hash = [0_u8; 32];
            hex::decode_to_slice(hex, &mut hash).is_ok().then_some(hash)
        }),
        _ => None,
    };
    // A file that cannot be read is a finding already.
    let unread = !item.fields.contains_key(FIELD) && !item.text("secret_hash_file").is_empty();
    if decoded.is_none() && !unread {
        let message = "must be \"sha256:\" and 64 hexadecimal digits, as `gongpai api-client add` prints it";
        findings.error(&item.key(FIELD), item.origin(FIELD), message);
    }
    decoded
}

fn check_scopes(item: &ArrayTable, findings: &mut ConfigFindings) -> Option<Vec<Scope>> {
    const FIELD: &str = "scopes";
    let known = || Scope::ALL.iter().map(|scope| scope.as_str());
    let (key, origin) = (item.key(FIELD), item.origin(FIELD));
    let named = item.list(FIELD).unwrap_or_default();
    let mut scopes = Vec::new();
    for name in named {
        match Scope::parse(name) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => {
                let all = quote_list(known());
                findings.error(&key, origin, format_args!("\"{name}\" is no scope; there are {all}"));
                return None;
            }
        }
        if not_yet_supported::UNSUPPORTED_SCOPES.contains(&name.as_str()) {
            findings.warn(&key, format_args!("{NOT_IN_THIS_VERSION}: \"{name}\" opens nothing ({origin})"));
        }
    }
    if scopes.is_empty() {
        findings.error(&key, origin, format_args!("must name at least one of {}", quote_list(known())));
        return None;
    }
    if scopes.contains(&Scope::Hook) && scopes.len() > 1 {
        let message =
            "\"hook\" beside other scopes opens nothing: a hook_token is part of a URL; add another client";
        findings.warn(&key, format_args!("{message} ({origin})"));
    }
    Some(scopes)
}
