//! `/wwlogin/sso/login`: sign-in by QR code (docs 98152, 98171), and the scans that wait for a
//! phone.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State as Extract};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use url::Url;

use super::grant::Grants;
use super::page::{QrPage, RefusalPage, render_page};
use super::redirect::{build_callback_url, check_redirect};
use super::state::SimulatorState;
use super::world::{CodeBearer, World};
use super::{Simulator, random};

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

    fn url(&self) -> Option<&str> {
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

    fn add(&mut self, agent_id: i64, redirect: Url, state: Option<String>, now: Duration) -> PendingScan {
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
        if let (CodeBearer::Member(userid), Some(app)) = (&who, world.find_app(scan.agent_id))
            && world.member(userid).is_some_and(|m| !world.member_is_visible(app, m))
        {
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

/// Shows the page with the QR code, in a frame of another site or alone.
pub(super) async fn show_qr_page(
    Extract(sim): Extract<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match open_scan(&sim, &query) {
        Ok(panel) => render_page(&panel),
        Err(notice) => notice.framed().into_response(),
    }
}

fn open_scan(sim: &Simulator, query: &HashMap<String, String>) -> Result<QrPage, RefusalPage> {
    let get = |name: &str| query.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let bad = |what: &str| {
        RefusalPage::error(40035, &format!("{what} 参数错误"), "请检查登录链接的参数及其 URL 编码。")
    };
    let now = sim.inner.clock.now();
    let SimulatorState { world, scans, .. } = &mut *sim.inner.state.lock();
    if get("appid") != Some(world.corp_id.as_str()) {
        return Err(RefusalPage::error(40013, "appid 参数错误", "appid 应为企业的 CorpID。"));
    }
    if !matches!(get("login_type"), None | Some("CorpApp")) {
        return Err(bad("login_type"));
    }
    let app = get("agentid").and_then(|id| id.parse().ok()).and_then(|id| world.find_app(id));
    let app = app.ok_or_else(|| RefusalPage::error(40056, "agentid 参数错误", "应用不存在。"))?;
    let own_frame = match get("redirect_type") {
        None | Some("top") => false,
        Some("self") => true,
        // `callback` needs the official script, which is not simulated.
        Some(_) => return Err(bad("redirect_type")),
    };
    let english = match get("lang") {
        None | Some("zh") => false,
        Some("en") => true,
        Some(_) => return Err(bad("lang")),
    };
    let domains: Vec<&String> = app.trusted_domains.iter().chain(&app.callback_domains).collect();
    let redirect = check_redirect(get("redirect_uri").ok_or_else(|| bad("redirect_uri"))?, &domains)?;
    if !app.enabled {
        return Err(RefusalPage::error(50003, "应用已停用", "请联系管理员在「应用管理」中启用。"));
    }
    let scan = scans.add(app.agent_id, redirect, get("state").map(str::to_owned), now);
    Ok(QrPage::new(&scan, &app.name, own_frame, english))
}

/// Answers the progress of a scan: `{"status","redirect"}`. The page polls it every second.
pub(super) async fn answer_status(
    Extract(sim): Extract<Simulator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let now = sim.inner.clock.now();
    let key = query.get("scan").map(String::as_str).unwrap_or_default();
    let progress = sim.inner.state.lock().scans.progress(key, now).map_or(ScanProgress::Expired, |(_, p)| p);
    let answer = json!({"status": progress.word(), "redirect": progress.url()});
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}
