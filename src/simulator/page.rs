//! The HTML pages, embedded in the binary, and their headers.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::MARKER;
use super::index::WorldView;
use super::people::{SimulatedMember, SimulatedStatus};
use super::scan::{PendingScan, ScanProgress};
use super::world::World;

const STYLESHEET: &str = include_str!("../../static/pages/simulator/simulator.css");
const SCRIPT: &str = include_str!("../../static/pages/simulator/simulator.js");
const ICON: &str = include_str!("../../static/pages/simulator/icon.svg");

/// The header with the errcode of a page that refuses.
const ERROR_HEADER: HeaderName = HeaderName::from_static("x-simulator-error");

/// The largest corporation that is shown as one tree.
pub(super) const MAX_TREE_MEMBERS: usize = 500;

/// A page of the simulator.
pub(super) trait SimulatorPage: Template {
    /// Whether another site may frame the page, as only the QR page allows.
    const FRAMED: bool = false;
    /// Whether the page shows pictures of other sites, as messages name them.
    const PICTURES: bool = false;
}

/// Renders a page; answers 500 if that fails.
pub(super) fn render_page<P: SimulatorPage>(page: &P) -> Response {
    html_response(page.render(), P::FRAMED, P::PICTURES)
}

fn html_response(rendered: askama::Result<String>, framed: bool, pictures: bool) -> Response {
    let Ok(text) = rendered else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let ancestors = if framed { "" } else { "; frame-ancestors 'none'" };
    // Messages name pictures of any site; nothing else is loaded from elsewhere.
    let more = if pictures { " http: https:" } else { "" };
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'{more}; \
         form-action 'self'; base-uri 'none'{ancestors}"
    );
    let mut response = ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::SERVER, HeaderValue::from_static(MARKER));
    headers.extend(HeaderValue::from_str(&policy).ok().map(|v| (header::CONTENT_SECURITY_POLICY, v)));
    response
}

/// Serves the few files that the pages need.
pub(super) async fn serve_asset(Path(file): Path<String>) -> Response {
    let (kind, text) = match file.as_str() {
        "simulator.css" => ("text/css; charset=utf-8", STYLESHEET),
        "simulator.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// A refusal in WeCom's way: a page with status 200 that leads nowhere.
#[derive(Debug, Template)]
#[template(path = "simulator/notice.html", config = "static/askama.toml")]
pub(super) struct RefusalPage {
    marker: &'static str,
    errcode: i64,
    title: String,
    text: String,
    framed: bool,
}

impl RefusalPage {
    /// Creates a refusal. `errcode` is 0 where WeCom names none.
    pub(super) fn error(errcode: i64, title: &str, text: &str) -> Self {
        Self { marker: MARKER, errcode, title: title.to_owned(), text: text.to_owned(), framed: false }
    }

    /// Refuses a redirect URL whose host or port is not registered in exactly this form.
    pub(super) fn unregistered_redirect() -> Self {
        Self::error(
            50001,
            "redirect_uri 与配置的授权完成回调域名不一致",
            "请确认 redirect_uri 的域名（含端口）与管理后台「网页授权及JS-SDK → 可信域名」或「企业微信授权登录 → 授权回调域」完全一致。",
        )
    }

    /// Allows the page in a frame of another site.
    pub(super) fn framed(mut self) -> Self {
        self.framed = true;
        self
    }
}

impl IntoResponse for RefusalPage {
    fn into_response(self) -> Response {
        let mut response = html_response(self.render(), self.framed, false);
        response.headers_mut().insert(ERROR_HEADER, HeaderValue::from(self.errcode));
        response
    }
}

/// The page that asks for `snsapi_privateinfo`.
#[derive(Debug, Template)]
#[template(path = "simulator/consent.html", config = "static/askama.toml")]
pub(super) struct ConsentPage {
    marker: &'static str,
    app: String,
    allow: String,
    cancel: String,
}

impl SimulatorPage for ConsentPage {}

impl ConsentPage {
    pub(super) fn new(app: &str, query: &HashMap<String, String>) -> Self {
        let again = |decision: &str| {
            let asked = query.iter().filter(|(name, _)| *name != "decision");
            form_urlencoded::Serializer::new("?".to_owned())
                .extend_pairs(asked)
                .append_pair("decision", decision)
                .finish()
        };
        Self { marker: MARKER, app: app.to_owned(), allow: again("allow"), cancel: again("cancel") }
    }
}

/// A person in the list of people.
#[derive(Debug)]
struct PersonChoice {
    value: String,
    text: String,
    chosen: bool,
}

#[derive(Debug)]
struct ChoiceGroup {
    name: String,
    choices: Vec<PersonChoice>,
}

#[derive(Debug)]
struct AppIcon {
    name: String,
    letter: String,
    url: String,
}

#[derive(Debug)]
struct WaitingScan {
    id: String,
    pairing: String,
    app: String,
}

/// The phone's home screen.
#[derive(Debug, Template)]
#[template(path = "simulator/phone.html", config = "static/askama.toml")]
pub(super) struct PhonePage {
    marker: &'static str,
    corp: String,
    holder: String,
    letter: String,
    remark: &'static str,
    icons: Vec<AppIcon>,
    /// The number of unseen messages, and a summary of the newest.
    unread: usize,
    last: String,
    scans: Vec<WaitingScan>,
    /// Empty in a large corporation, where a userid is typed.
    groups: Vec<ChoiceGroup>,
    who: String,
}

impl SimulatorPage for PhonePage {}

impl PhonePage {
    pub(super) fn new(
        view: WorldView,
        who: Option<&str>,
        scans: Vec<PendingScan>,
        (unread, last): (usize, String),
    ) -> Self {
        let world = view.world;
        let holder = who.and_then(|w| world.name_of(w)).unwrap_or_default().to_owned();
        let app_name = |id: i64| world.find_app(id).map(|a| a.name.clone()).unwrap_or_default();
        Self {
            marker: MARKER,
            corp: world.corp_name.clone(),
            letter: first_letter(&holder),
            unread,
            last,
            remark: who.and_then(|w| view.member(w)).map_or("", |m| member_remark(view, m)),
            holder,
            icons: world
                .apps()
                .filter(|a| a.enabled && !a.home_url.is_empty())
                .map(|a| AppIcon {
                    name: a.name.clone(),
                    letter: first_letter(&a.name),
                    url: a.home_url.clone(),
                })
                .collect(),
            scans: scans
                .into_iter()
                .map(|s| WaitingScan { app: app_name(s.agent_id), id: s.id, pairing: s.pairing })
                .collect(),
            groups: if world.members.len() <= MAX_TREE_MEMBERS {
                group_members(view, who)
            } else {
                Vec::new()
            },
            who: who.unwrap_or_default().to_owned(),
        }
    }
}

/// The page on the phone that asks for the sign-in on the desktop, or shows its outcome.
#[derive(Debug, Template)]
#[template(path = "simulator/confirm.html", config = "static/askama.toml")]
pub(super) struct ConfirmPage {
    marker: &'static str,
    holder: String,
    app: String,
    scan: PendingScan,
    outcome: Option<(&'static str, &'static str)>,
}

impl SimulatorPage for ConfirmPage {}

impl ConfirmPage {
    pub(super) fn new(world: &World, who: Option<&str>, scan: &PendingScan, progress: &ScanProgress) -> Self {
        Self {
            marker: MARKER,
            holder: who.and_then(|w| world.name_of(w)).unwrap_or_default().to_owned(),
            app: world.find_app(scan.agent_id).map(|a| a.name.clone()).unwrap_or_default(),
            scan: scan.clone(),
            outcome: describe_outcome(progress),
        }
    }
}

/// Returns title and text of the outcome for the phone; `None` while the scan is open.
fn describe_outcome(progress: &ScanProgress) -> Option<(&'static str, &'static str)> {
    match progress {
        ScanProgress::Waiting | ScanProgress::Scanned => None,
        ScanProgress::Confirmed(_) => Some(("已确认登录", "请回到电脑继续。")),
        ScanProgress::Cancelled(_) => Some(("已取消登录", "电脑上的登录不会继续。")),
        ScanProgress::Denied => Some(("无权限登录", "你不在该应用的可见范围内，请联系管理员。")),
        ScanProgress::Expired => Some(("二维码已过期", "请刷新电脑上的二维码后重试。")),
    }
}

/// The page with the QR code.
#[derive(Debug, Template)]
#[template(path = "simulator/scan.html", config = "static/askama.toml")]
pub(super) struct QrPage {
    marker: &'static str,
    scan: PendingScan,
    app: String,
    own_frame: bool,
    english: bool,
    picture: String,
}

impl SimulatorPage for QrPage {
    const FRAMED: bool = true;
}

impl QrPage {
    pub(super) fn new(scan: &PendingScan, app: &str, own_frame: bool, english: bool) -> Self {
        Self {
            marker: MARKER,
            scan: scan.clone(),
            app: app.to_owned(),
            own_frame,
            english,
            picture: draw_picture(&scan.id),
        }
    }

    /// Returns the text in the language of the page.
    fn say<'a>(&self, chinese: &'a str, english: &'a str) -> &'a str {
        if self.english { english } else { chinese }
    }
}

/// Returns an SVG path that looks like a QR code. No phone can read it.
fn draw_picture(seed: &str) -> String {
    const SIDE: usize = 29;
    // The last bit is set, because xorshift would stay at 0.
    let mut bits = seed
        .bytes()
        .fold(0x9e37_79b9_7f4a_7c15_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
        | 1;
    let mut path = String::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            // xorshift: well mixed, and the same picture for the same scan.
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            if finder_pixel(x, y, SIDE).unwrap_or(bits >> 60 & 1 == 1) {
                path.extend(["M", &x.to_string(), " ", &y.to_string(), "h1v1h-1z"]);
            }
        }
    }
    path
}

/// Returns the pixel of the three corner squares of a QR code, with a quiet line around each;
/// `None` elsewhere.
fn finder_pixel(x: usize, y: usize, side: usize) -> Option<bool> {
    let corners = [(0, 0), (side - 7, 0), (0, side - 7)];
    corners.iter().find_map(|(left, top)| {
        let (dx, dy) = ((x + 1).checked_sub(*left)?, (y + 1).checked_sub(*top)?);
        (dx <= 8 && dy <= 8).then(|| {
            let ring = (dx.abs_diff(4)).max(dy.abs_diff(4));
            ring == 3 || ring <= 1
        })
    })
}

pub(super) fn first_letter(name: &str) -> String {
    name.chars().next().map(String::from).unwrap_or_default()
}

/// Says what is special about a member, for a person who picks one to try.
pub(super) fn member_remark(view: WorldView, member: &SimulatedMember) -> &'static str {
    let visible = || view.range(view.world.app.agent_id).is_some_and(|r| r.has_member(member));
    match member.status {
        SimulatedStatus::Disabled => "已禁用",
        SimulatedStatus::NotActivated => "未激活",
        SimulatedStatus::Left => "已离职",
        SimulatedStatus::Active if !visible() => "不在可见范围",
        SimulatedStatus::Active => "",
    }
}

/// Groups the members by main department; people who are no members come last.
fn group_members(view: WorldView, who: Option<&str>) -> Vec<ChoiceGroup> {
    let world = view.world;
    let choice = |value: &str, name: &str, remark: &str| PersonChoice {
        value: value.to_owned(),
        text: if remark.is_empty() {
            format!("{name} {value}")
        } else {
            format!("{name} {value}（{remark}）")
        },
        chosen: who == Some(value),
    };
    let of = |m: &SimulatedMember| choice(&m.userid, &m.name, member_remark(view, m));
    let home = SimulatedMember::main;
    let departments = world.departments.iter().map(|d| ChoiceGroup {
        name: d.name.clone(),
        choices: world.members.iter().filter(|m| home(m) == Some(d.id)).map(of).collect(),
    });
    let unplaced = world.members.iter().filter(|m| world.departments.iter().all(|d| home(m) != Some(d.id)));
    let unplaced = ChoiceGroup { name: "其他成员".to_owned(), choices: unplaced.map(of).collect() };
    let outsiders = world.outsiders.iter().map(|o| choice(&o.openid, &o.name, "外部联系人"));
    let linked = world.linked.iter().map(|l| choice(&l.userid, &l.name, "互联企业"));
    let others =
        ChoiceGroup { name: "非本企业成员".to_owned(), choices: outsiders.chain(linked).collect() };
    departments.chain([unplaced, others]).filter(|g| !g.choices.is_empty()).collect()
}
