//! What a test may do to the corporation and ask of the simulator while it runs.

use std::net::IpAddr;

use super::Simulator;
use super::fault::{Fault, Faults};
use super::scan::{PendingScan, ScanError};
use super::state::{Received, State};
use super::world::{App, Department, Member, Phone, World};

impl Simulator {
    /// A copy of the corporation as it is now.
    pub fn world(&self) -> World {
        self.inner.state.lock().world.clone()
    }

    /// Changes anything about the corporation; it holds from the next request on.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.inner.state.lock().world)
    }

    /// Changes the application under test.
    pub fn change_app(&self, change: impl FnOnce(&mut App)) {
        self.change(|w| change(&mut w.app));
    }

    /// Adds a member, or replaces the one with the same userid.
    pub fn add_member(&self, member: Member) {
        self.change(|w| {
            w.members.retain(|m| !m.userid.eq_ignore_ascii_case(&member.userid));
            w.members.push(member);
        });
    }

    /// Changes a member; `false` if there is none of that userid.
    pub fn change_member(&self, userid: &str, change: impl FnOnce(&mut Member)) -> bool {
        self.change(|w| {
            let member = w.members.iter_mut().find(|m| m.userid.eq_ignore_ascii_case(userid));
            member.map(change).is_some()
        })
    }

    /// Deletes a member: from now on 60111.
    pub fn remove_member(&self, userid: &str) {
        self.change(|w| w.members.retain(|m| !m.userid.eq_ignore_ascii_case(userid)));
    }

    /// Adds a department, or replaces the one with the same id.
    pub fn add_department(&self, department: Department) {
        self.change(|w| {
            w.departments.retain(|d| d.id != department.id);
            w.departments.push(department);
        });
    }

    /// Deletes a department; its members keep its id until they are changed.
    pub fn remove_department(&self, id: i64) {
        self.change(|w| w.departments.retain(|d| d.id != id));
    }

    /// Sets the visible range of the application: these departments with all below them, and these members.
    pub fn set_visible<'a>(
        &self,
        departments: impl IntoIterator<Item = i64>,
        members: impl IntoIterator<Item = &'a str>,
    ) {
        self.change_app(|a| {
            a.visible.departments = departments.into_iter().collect();
            a.visible.members = members.into_iter().map(str::to_owned).collect();
            a.visible.hidden.clear();
        });
    }

    /// Takes a member out of the application's visible range.
    pub fn hide_from_app(&self, userid: &str) {
        self.change_app(|a| {
            a.visible.members.remove(userid);
            a.visible.hidden.insert(userid.to_owned());
        });
    }

    /// Takes a member into the application's visible range.
    pub fn show_to_app(&self, userid: &str) {
        self.change_app(|a| {
            a.visible.hidden.remove(userid);
            a.visible.members.insert(userid.to_owned());
        });
    }

    /// Sets 网页授权可信域名, each `host` or `host:port`.
    pub fn set_trusted_domains<S: Into<String>>(&self, domains: impl IntoIterator<Item = S>) {
        self.change_app(|a| a.trusted_domains = domains.into_iter().map(Into::into).collect());
    }

    /// Sets 授权回调域 of the QR sign-in, each `host` or `host:port`.
    pub fn set_callback_domains<S: Into<String>>(&self, domains: impl IntoIterator<Item = S>) {
        self.change_app(|a| a.callback_domains = domains.into_iter().map(Into::into).collect());
    }

    /// Sets 企业可信IP of the application; `None`: any address.
    pub fn set_trusted_ips(&self, addresses: Option<Vec<IpAddr>>) {
        self.change_app(|a| a.trusted_ips = addresses);
    }

    /// Sets 应用主页, what the icon on the workbench opens.
    pub fn set_home_url(&self, url: impl Into<String>) {
        self.change_app(|a| a.home_url = url.into());
    }

    /// Puts the phone into the hands of a userid, openid or `CorpId/userid`: whoever comes with WeCom's
    /// User-Agent and neither cookie nor header is this person.
    pub fn set_phone_member(&self, who: impl Into<String>) {
        self.change(|w| w.phone = Phone::Person(who.into()));
    }

    /// A code as if a userid, openid or `CorpId/userid` had just opened the application.
    pub fn issue_code(&self, who: &str) -> String {
        self.inside(|i| i.grants.issue_code(i.world.who(who), i.world.app.agent_id, false, i.now))
    }

    /// The same for another application of the corporation.
    pub fn issue_code_for(&self, agent_id: i64, who: &str) -> String {
        self.inside(|i| i.grants.issue_code(i.world.who(who), agent_id, false, i.now))
    }

    /// Takes back every access token given out so far.
    pub fn revoke_tokens(&self) {
        self.inside(|i| i.grants.revoke_tokens());
    }

    /// The QR pages that wait for somebody to scan and confirm them, oldest first.
    pub fn pending_scans(&self) -> Vec<PendingScan> {
        let now = self.inner.clock.now();
        self.inner.state.lock().scans.pending(now)
    }

    /// Confirms a QR page on the phone of a userid (openid, `CorpId/userid`). `key` is its `state`, pairing
    /// number or id. Gives the URL that the QR page goes to.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub fn confirm_scan(&self, key: &str, who: &str) -> Result<String, ScanError> {
        let now = self.inner.clock.now();
        let State { world, grants, scans, .. } = &mut *self.inner.state.lock();
        scans.confirm(key, who, world, grants, now)
    }

    /// Declines a QR page; the URL it goes to has no code.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub fn cancel_scan(&self, key: &str) -> Result<String, ScanError> {
        let now = self.inner.clock.now();
        self.inner.state.lock().scans.cancel(key, now)
    }

    /// The next call of `api` (`gettoken`, `user/get`, … or `*`) fails; queued behind earlier ones.
    pub fn fail_next(&self, api: &str, fault: Fault) {
        self.inner.state.lock().faults.next(name(api), fault);
    }

    /// Every call of `api` (or `*`) fails until [`Simulator::clear_faults`].
    pub fn fail_always(&self, api: &str, fault: Fault) {
        self.inner.state.lock().faults.always(name(api), fault);
    }

    /// No call fails any more. A call that hangs already goes on hanging.
    pub fn clear_faults(&self) {
        self.inner.state.lock().faults = Faults::default();
    }

    /// How often `api` was called, faults included.
    pub fn calls(&self, api: &str) -> u64 {
        self.inner.state.lock().counts.get(name(api)).copied().unwrap_or(0)
    }

    /// How often any API was called.
    pub fn calls_total(&self) -> u64 {
        self.inner.state.lock().counts.values().sum()
    }

    /// The most API calls that were being answered at the same time.
    pub fn most_calls_at_once(&self) -> usize {
        self.inner.most_in_flight()
    }

    /// The last API calls, oldest first; at most ten thousand.
    pub fn requests(&self) -> Vec<Received> {
        self.inner.state.lock().received.iter().cloned().collect()
    }

    /// Forgets counts and calls.
    pub fn forget_requests(&self) {
        let mut state = self.inner.state.lock();
        state.received.clear();
        state.counts.clear();
    }
}

/// `/cgi-bin/user/get` and `user/get` are the same API.
fn name(api: &str) -> &str {
    let api = api.trim_start_matches('/');
    api.strip_prefix("cgi-bin/").unwrap_or(api)
}
