//! Sign-in by QR code: the scans that wait for a phone (docs 98152, 98171).

use std::time::Duration;

use url::Url;

use super::grant::Grants;
use super::random;
use super::redirect::build_callback_url;
use super::world::{CodeBearer, World};

/// How long a QR code can be scanned.
const SCAN_LIFETIME: Duration = Duration::from_mins(5);
/// How long a scan is kept at all.
const SCAN_RETENTION: Duration = Duration::from_hours(1);

/// A QR page that waits for its scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingScan {
    pub id: String,
    /// The six digits below the code.
    pub pairing: String,
    /// The caller's `state`.
    pub state: Option<String>,
    /// The application of the sign-in.
    pub agent_id: i64,
    /// The URL that the page returns to, without code and state.
    pub redirect_uri: String,
}

/// Why a scan cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("no such scan")]
    Unknown,
    /// Its five minutes are over.
    #[error("the QR code has expired")]
    Expired,
    /// It was confirmed or declined before.
    #[error("the scan has been decided already")]
    Decided,
    /// The member is not in the application's visible range. The QR page says so.
    #[error("the application is not visible to the member")]
    NotVisible,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ScanProgress {
    Waiting,
    /// The phone shows the confirmation.
    Scanned,
    Confirmed(String),
    Cancelled(String),
    Denied,
    Expired,
}

impl ScanProgress {
    /// Returns the word for the page's script.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Scanned => "scanned",
            Self::Confirmed(_) => "confirmed",
            Self::Cancelled(_) => "cancelled",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }

    pub(super) fn url(&self) -> Option<&str> {
        match self {
            Self::Confirmed(url) | Self::Cancelled(url) => Some(url),
            Self::Waiting | Self::Scanned | Self::Denied | Self::Expired => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct QrScan {
    id: String,
    pairing: String,
    agent_id: i64,
    redirect: Url,
    state: Option<String>,
    shown: Duration,
    progress: ScanProgress,
}

impl QrScan {
    fn public(&self) -> PendingScan {
        PendingScan {
            id: self.id.clone(),
            pairing: self.pairing.clone(),
            state: self.state.clone(),
            agent_id: self.agent_id,
            redirect_uri: self.redirect.to_string(),
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.progress, ScanProgress::Waiting | ScanProgress::Scanned)
    }
}

#[derive(Debug, Default)]
pub(super) struct QrScans(Vec<QrScan>);

impl QrScans {
    fn expire_old(&mut self, now: Duration) {
        self.0.retain(|s| now.saturating_sub(s.shown) < SCAN_RETENTION);
        for s in self.0.iter_mut().filter(|s| s.is_open() && now.saturating_sub(s.shown) >= SCAN_LIFETIME) {
            s.progress = ScanProgress::Expired;
        }
    }

    pub(super) fn add(
        &mut self,
        agent_id: i64,
        redirect: Url,
        state: Option<String>,
        now: Duration,
    ) -> PendingScan {
        self.expire_old(now);
        let scan = QrScan {
            id: random::random_text(22),
            pairing: random::random_digits(6),
            agent_id,
            redirect,
            state,
            shown: now,
            progress: ScanProgress::Waiting,
        };
        let public = scan.public();
        self.0.push(scan);
        public
    }

    /// Returns the newest scan with that id, pairing number or state.
    fn find(&mut self, key: &str, now: Duration) -> Option<&mut QrScan> {
        self.expire_old(now);
        let is = |s: &QrScan| s.id == key || s.pairing == key || s.state.as_deref() == Some(key);
        self.0.iter_mut().rev().find(|s| is(s))
    }

    fn undecided(&mut self, key: &str, now: Duration) -> Result<&mut QrScan, ScanError> {
        let scan = self.find(key, now).ok_or(ScanError::Unknown)?;
        match scan.progress {
            ScanProgress::Waiting | ScanProgress::Scanned => Ok(scan),
            ScanProgress::Expired => Err(ScanError::Expired),
            ScanProgress::Confirmed(_) | ScanProgress::Cancelled(_) | ScanProgress::Denied => {
                Err(ScanError::Decided)
            }
        }
    }

    pub(super) fn pending(&mut self, now: Duration) -> Vec<PendingScan> {
        self.expire_old(now);
        self.0.iter().filter(|s| s.is_open()).map(QrScan::public).collect()
    }

    /// Returns a scan with its progress.
    pub(super) fn progress(&mut self, key: &str, now: Duration) -> Option<(PendingScan, ScanProgress)> {
        self.find(key, now).map(|s| (s.public(), s.progress.clone()))
    }

    /// Marks the code as read by a phone, which now asks its member.
    pub(super) fn scanned(&mut self, key: &str, now: Duration) {
        if let Ok(scan) = self.undecided(key, now) {
            scan.progress = ScanProgress::Scanned;
        }
    }

    pub(super) fn confirm(
        &mut self,
        key: &str,
        who: &str,
        world: &World,
        grants: &mut Grants,
        now: Duration,
    ) -> Result<String, ScanError> {
        let scan = self.undecided(key, now)?;
        let who = world.resolve_person(who);
        // Only members have a visible range to be outside of.
        if let (CodeBearer::Member(userid), Some(app)) = (&who, world.find_app(scan.agent_id))
            && world.member(userid).is_some_and(|m| !world.member_is_visible(app, m))
        {
            // The QR page shows this as well, so the scan ends here.
            scan.progress = ScanProgress::Denied;
            return Err(ScanError::NotVisible);
        }
        let code = grants.issue_code(who, scan.agent_id, false, now);
        let url = build_callback_url(&scan.redirect, Some(&code), scan.state.as_deref());
        scan.progress = ScanProgress::Confirmed(url.clone());
        Ok(url)
    }

    pub(super) fn cancel(&mut self, key: &str, now: Duration) -> Result<String, ScanError> {
        let scan = self.undecided(key, now)?;
        let url = build_callback_url(&scan.redirect, None, scan.state.as_deref());
        scan.progress = ScanProgress::Cancelled(url.clone());
        Ok(url)
    }
}
