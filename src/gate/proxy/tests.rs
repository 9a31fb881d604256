//! What holds for every kind of proxy.

use std::collections::BTreeSet;

use super::client_headers::{CLEARED_HEADERS, FORWARDED_HEADERS, IDENTITY_HEADERS};
use super::*;

#[test]
fn every_header_that_a_proxy_reads_or_answers_with_is_kept_from_clients() {
    let known: BTreeSet<String> = IDENTITY_HEADERS
        .iter()
        .chain(&FORWARDED_HEADERS)
        .chain(CLEARED_HEADERS)
        .map(|name| name.to_ascii_lowercase())
        .collect();
    for proxy in PROXIES {
        for name in proxy.request_headers.iter().chain(proxy.identity_headers) {
            // The host is the one header that no proxy lets a client choose freely.
            let is_kept = name.eq_ignore_ascii_case("host") || known.contains(&name.to_ascii_lowercase());
            assert!(is_kept, "{}: a client may send {name} to an application", proxy.name);
        }
    }
}

#[test]
fn every_proxy_has_a_name_and_a_route_of_its_own_and_carries_the_whole_identity() {
    let names: BTreeSet<_> = PROXIES.iter().map(|proxy| proxy.name).collect();
    let routes: BTreeSet<_> = PROXIES.iter().map(|proxy| proxy.route).collect();
    assert_eq!((names.len(), routes.len()), (PROXIES.len(), PROXIES.len()));
    for proxy in PROXIES {
        for name in IDENTITY_HEADERS {
            assert!(proxy.identity_headers.contains(&name), "{}: {name}", proxy.name);
        }
    }
}
