//! Suggests the known name that is nearest to a mistyped or misplaced one.

/// Returns the one of `known` that `written` probably means.
///
/// The right name in the wrong section (`ttl` for `session.ttl`) counts as nearer than any
/// misspelling.
pub(super) fn find_nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let folded = written.to_ascii_lowercase();
    let score = |candidate: &str| {
        let whole = strsim::normalized_damerau_levenshtein(&folded, &candidate.to_ascii_lowercase());
        if last(&folded) == last(candidate) { whole + 1.0 } else { whole }
    };
    known.map(|k| (k, score(k))).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(k, _)| k)
}

/// Returns `; the nearest known NAME is …`, or nothing if there are no known names.
pub(super) fn suggest_nearest<'a>(what: &str, written: &str, known: impl Iterator<Item = &'a str>) -> String {
    find_nearest(written, known)
        .map_or_else(String::new, |k| format!("; the nearest known {what} is \"{k}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["session.ttl", "session.idle", "wecom.corp_id", "data_dir"];

    #[test]
    fn a_misspelling_finds_its_key() {
        assert_eq!(find_nearest("wecom.corpid", KNOWN.into_iter()), Some("wecom.corp_id"));
        assert_eq!(find_nearest("datadir", KNOWN.into_iter()), Some("data_dir"));
    }

    #[test]
    fn the_right_name_in_the_wrong_section_finds_its_section() {
        assert_eq!(find_nearest("ttl", KNOWN.into_iter()), Some("session.ttl"));
        assert_eq!(find_nearest("wecom.idle", KNOWN.into_iter()), Some("session.idle"));
    }
}
