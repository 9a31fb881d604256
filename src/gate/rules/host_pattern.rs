//! The `host` of a rule: one host, or every host below a name, on one port or on all.

use std::fmt;
use std::net::IpAddr;

use crate::base::host::{Origin, Scheme};

/// The hosts that a rule applies to.
#[derive(Debug, Clone)]
pub(super) struct HostPattern {
    /// The normalised name without port; for a wildcard the part after `*.`.
    pub(super) host: String,
    pub(super) wildcard: bool,
    pub(super) port: Option<u16>,
}

impl HostPattern {
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let (wildcard, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let origin =
            if name.contains(['*', '%']) { None } else { Origin::from_authority(Scheme::Https, name) };
        let Some(origin) = origin else {
            return Err("host is `app.example.com`, `*.example.com` or one of them with `:port`".to_owned());
        };
        let host = origin.host().to_owned();
        if wildcard && (host.starts_with('[') || host.parse::<IpAddr>().is_ok()) {
            return Err("an address has no hosts below it".to_owned());
        }
        // The parser drops a default port. If it is written, it still means "this port only".
        let says_port = name.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        Ok(Self { host, wildcard, port: says_port.then_some(origin.port()) })
    }

    /// Returns whether a request to `host`, on some port, can match.
    pub(super) fn covers(&self, host: &str) -> bool {
        if !self.wildcard {
            return self.host == host;
        }
        host.strip_suffix(&*self.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }

    /// Returns whether a request to any host below `parent` can match.
    pub(super) fn covers_all_below(&self, parent: &str) -> bool {
        self.wildcard && (self.host == parent || self.covers(parent))
    }

    /// Returns whether this pattern matches every request that `other` matches.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let host = match (self.wildcard, other.wildcard) {
            (true, true) => self.host == other.host || self.covers(&other.host),
            (false, true) => false,
            (_, false) => self.covers(&other.host),
        };
        host && (self.port.is_none() || self.port == other.port)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
