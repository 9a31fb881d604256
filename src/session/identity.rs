//! The identity headers of a person, computed once and not at every check.
//!
//! They depend on the person and the chart. A changed person is a new copy whose cache is empty,
//! and every new chart has a new [serial](Chart::serial). So a cached value is never older than
//! what it was made from.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::body::Bytes;
use axum::http::HeaderValue;

use crate::config::GroupFormat;
use crate::directory::chart::Chart;

const EMPTY_VALUE: HeaderValue = HeaderValue::from_static("");

/// The values of the identity headers, kept in one allocation.
#[derive(Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    text: Bytes,
    /// Where in `text` the userid, the name and the address end; the rest are the groups.
    ends: [usize; 3],
}

impl IdentityHeaders {
    /// Stores values as headers carry them: visible ASCII, percent-encoded where needed.
    pub fn new(user: &str, name: &str, email: &str, groups: &str) -> Self {
        let text = [user, name, email, groups].concat();
        let ends = [user.len(), user.len() + name.len(), user.len() + name.len() + email.len()];
        Self { text: text.into_boxed_str().into_boxed_bytes().into(), ends }
    }

    /// `Remote-User`.
    pub fn user(&self) -> HeaderValue {
        let [user, ..] = self.ends;
        self.value(0, user)
    }

    /// `Remote-Name`.
    pub fn name(&self) -> HeaderValue {
        let [user, name, _] = self.ends;
        self.value(user, name)
    }

    /// `Remote-Email`.
    pub fn email(&self) -> HeaderValue {
        let [_, name, email] = self.ends;
        self.value(name, email)
    }

    /// `Remote-Groups`.
    pub fn groups(&self) -> HeaderValue {
        let [.., email] = self.ends;
        self.value(email, self.text.len())
    }

    /// Returns a slice of the shared text, or an empty value if that part cannot stand in a header.
    fn value(&self, from: usize, to: usize) -> HeaderValue {
        let part = self.text.get(from..to).unwrap_or_default();
        HeaderValue::from_maybe_shared(self.text.slice_ref(part)).unwrap_or(EMPTY_VALUE)
    }
}

/// What an [`IdentityHeaders`] was computed from, apart from the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct IdentityBasis {
    chart: u64,
    groups: GroupFormat,
}

/// A cache of one person's [`IdentityHeaders`]. A clone starts empty.
#[derive(Debug, Default)]
pub struct IdentityCache(ArcSwapOption<(IdentityBasis, IdentityHeaders)>);

impl Clone for IdentityCache {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl IdentityCache {
    /// Passes the identity in `chart` to `read`. Calls `make` only if it is not cached.
    pub fn get_or_make<R>(
        &self,
        chart: &Chart,
        groups: GroupFormat,
        make: impl FnOnce() -> IdentityHeaders,
        read: impl FnOnce(&IdentityHeaders) -> R,
    ) -> R {
        let made = IdentityBasis { chart: chart.serial(), groups };
        if let Some(known) = &*self.0.load()
            && known.0 == made
        {
            return read(&known.1);
        }
        // Two tasks may compute it at the same time; both results are equal.
        let new = Arc::new((made, make()));
        self.0.store(Some(Arc::clone(&new)));
        read(&new.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(prepared: &IdentityCache, chart: &Chart, groups: GroupFormat, user: &str) -> String {
        let make = || IdentityHeaders::new(user, "", "", "");
        prepared.get_or_make(chart, groups, make, |identity| identity.user().to_str().unwrap().to_owned())
    }

    #[test]
    fn each_value_is_its_part_of_the_text() {
        let identity = IdentityHeaders::new("zhang", "%E5", "z@x.cn", "a,b");
        let values = [identity.user(), identity.name(), identity.email(), identity.groups()];
        assert_eq!(values, ["zhang", "%E5", "z@x.cn", "a,b"]);
        let nothing = IdentityHeaders::new("", "", "", "");
        assert_eq!([nothing.user(), nothing.name(), nothing.email(), nothing.groups()], [""; 4]);
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_an_empty_value() {
        let identity = IdentityHeaders::new("zhang", "a\r\nb", "z@x.cn", "");
        assert_eq!((identity.user(), identity.name()), (HeaderValue::from_static("zhang"), EMPTY_VALUE));
        assert_eq!(identity.email(), "z@x.cn");
    }

    #[test]
    fn it_is_worked_out_once_for_a_chart_and_again_for_another() {
        let (prepared, chart) = (IdentityCache::default(), Chart::default());
        assert_eq!(user(&prepared, &chart, GroupFormat::Paths, "a"), "a");
        assert_eq!(user(&prepared, &chart, GroupFormat::Paths, "b"), "a");
        // The version does not change when somebody edits the chart by hand, but the serial does.
        let another = Chart::new(chart.version(), None, vec![], vec![]);
        assert_eq!(user(&prepared, &another, GroupFormat::Paths, "c"), "c");
        assert_eq!(user(&prepared, &another, GroupFormat::Ids, "d"), "d");
    }

    #[test]
    fn a_copy_of_a_person_has_nothing_prepared() {
        let (prepared, chart) = (IdentityCache::default(), Chart::default());
        user(&prepared, &chart, GroupFormat::Paths, "a");
        assert_eq!(user(&prepared.clone(), &chart, GroupFormat::Paths, "b"), "b");
    }
}
