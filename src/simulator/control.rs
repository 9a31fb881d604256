//! Methods with which a test changes the corporation and inspects the simulator while it runs.

use std::net::IpAddr;
use std::time::Duration;

use super::Simulator;
use super::call::api_name;
use super::fault::{FaultQueue, FaultTarget, InjectedFault};
use super::limit::SimulatedLimits;
use super::mailbox::{AcceptedSend, InboxMessage, UndeliveredCopy};
use super::media::Media;
use super::scan::{PendingScan, ScanError};
use super::state::{ReceivedCall, SimulatorState};
use super::world::{PhoneHolder, SimulatedApp, World};

impl Simulator {
    /// Returns a copy of the corporation.
    pub fn world(&self) -> World {
        self.inner.state.lock().world.clone()
    }

    /// Reads the corporation without a copy.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.inner.state.lock().world)
    }

    /// Changes the corporation. The change applies from the next request on.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.inner.state.lock();
        // The index holds positions in the lists, so any change makes it useless.
        state.index = None;
        change(&mut state.world)
    }

    /// Changes the application under test.
    pub fn change_app(&self, change: impl FnOnce(&mut SimulatedApp)) {
        self.change(|w| change(&mut w.app));
    }

    /// Sets the visible range of the application: these departments with everything below, and
    /// these members.
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

    /// Removes a member from the application's visible range.
    pub fn hide_from_app(&self, userid: &str) {
        self.change_app(|a| {
            a.visible.members.remove(userid);
            a.visible.hidden.insert(userid.to_owned());
        });
    }

    /// Adds a member to the application's visible range.
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

    /// Sets 企业可信IP of the application; `None` allows any address.
    pub fn set_trusted_ips(&self, addresses: Option<Vec<IpAddr>>) {
        self.change_app(|a| a.trusted_ips = addresses);
    }

    /// Sets 应用主页, the URL that the icon on the workbench opens.
    pub fn set_home_url(&self, url: impl Into<String>) {
        self.change_app(|a| a.home_url = url.into());
    }

    /// Hands the phone to a person (userid, openid or `CorpId/userid`).
    ///
    /// A request with WeCom's User-Agent and neither cookie nor header comes from this person.
    pub fn set_phone_member(&self, who: impl Into<String>) {
        self.change(|w| w.phone = PhoneHolder::Person(who.into()));
    }

    /// Issues a code as if that person (userid, openid or `CorpId/userid`) had just opened the
    /// application.
    pub fn issue_code(&self, who: &str) -> String {
        self.with_world(|i| {
            i.grants.issue_code(i.world.resolve_person(who), i.world.app.agent_id, false, i.now)
        })
    }

    /// Revokes every access token.
    pub fn revoke_tokens(&self) {
        self.with_world(|i| i.grants.revoke_tokens());
    }

    /// Returns the QR pages that wait for a scan and a confirmation, oldest first.
    pub fn pending_scans(&self) -> Vec<PendingScan> {
        let now = self.inner.clock.now();
        self.inner.state.lock().scans.pending(now)
    }

    /// Confirms a QR page on a person's phone and returns the URL that the page goes to.
    ///
    /// `key` is the page's `state`, pairing number or id.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub fn confirm_scan(&self, key: &str, who: &str) -> Result<String, ScanError> {
        let now = self.inner.clock.now();
        let SimulatorState { world, grants, scans, .. } = &mut *self.inner.state.lock();
        scans.confirm(key, who, world, grants, now)
    }

    /// Declines a QR page and returns the URL that the page goes to, which has no code.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub fn cancel_scan(&self, key: &str) -> Result<String, ScanError> {
        let now = self.inner.clock.now();
        self.inner.state.lock().scans.cancel(key, now)
    }

    /// Returns a member's inbox, oldest first: every copy that was delivered and not recalled.
    pub fn inbox(&self, userid: &str) -> Vec<InboxMessage> {
        self.with_world(|i| {
            let items = i.mailboxes.messages(userid, 0, i.began).into_iter();
            items.filter(|s| !s.recalled).map(|s| s.message).collect()
        })
    }

    /// Returns every call of `message/send` that was answered with errcode 0, oldest first.
    pub fn sent(&self) -> Vec<AcceptedSend> {
        self.with_world(|i| i.mailboxes.sent(i.began))
    }

    /// Returns the number of those calls, without a copy.
    pub fn sent_count(&self) -> usize {
        self.with_world(|i| i.mailboxes.sent_count())
    }

    /// Returns the copies that were dropped by a member's limit per minute or hour, oldest first.
    pub fn dropped(&self) -> Vec<UndeliveredCopy> {
        self.with_world(|i| i.mailboxes.dropped(i.began))
    }

    /// Returns the copies that were not delivered because they repeat something, oldest first.
    ///
    /// These are the copies of identical requests, and those of equal bodies
    /// ([`SimulatedLimits::equal_bodies_swallowed`]).
    pub fn suppressed(&self) -> Vec<UndeliveredCopy> {
        self.with_world(|i| i.mailboxes.suppressed(i.began))
    }

    /// Returns the recalled messages, in the order in which they were sent.
    pub fn recalled(&self) -> Vec<AcceptedSend> {
        self.with_world(|i| i.mailboxes.recalled(i.began))
    }

    /// Returns an upload by its `media_id`; `None` after three days.
    pub fn media(&self, media_id: &str) -> Option<Media> {
        self.with_world(|i| i.medias.public(media_id, i.now, i.began))
    }

    /// Fails the next call of `api` (`gettoken`, `user/get`, … or `*`), behind faults queued
    /// earlier.
    pub fn fail_next(&self, api: &str, fault: InjectedFault) {
        self.fail(FaultTarget::for_api(api), Some(1), fault);
    }

    /// Fails the next `times` calls of `api` (or `*`), behind faults queued earlier.
    pub fn fail_times(&self, api: &str, times: u32, fault: InjectedFault) {
        self.fail(FaultTarget::for_api(api), Some(times), fault);
    }

    /// Fails every call of `api` (or `*`) until [`Simulator::clear_faults`]. Replaces an earlier
    /// fault.
    pub fn fail_always(&self, api: &str, fault: InjectedFault) {
        self.fail(FaultTarget::for_api(api), None, fault);
    }

    /// Fails the calls of a target, such as
    /// `FaultTarget::for_api("user/list").with("department_id", 3)`.
    ///
    /// `times` counts the calls; `None` stands for all calls until [`Simulator::clear_faults`]. The
    /// closest target wins.
    pub fn fail(&self, aim: FaultTarget, times: Option<u32>, fault: InjectedFault) {
        self.inner.state.lock().faults.add(aim, times, fault);
    }

    /// Removes all faults. A call that already hangs goes on hanging.
    pub fn clear_faults(&self) {
        self.inner.state.lock().faults = FaultQueue::default();
    }

    /// Returns how often `api` was called, faults included.
    pub fn calls(&self, api: &str) -> u64 {
        self.inner.state.lock().counts.get(api_name(api)).copied().unwrap_or(0)
    }

    /// Returns how often any API was called.
    pub fn calls_total(&self) -> u64 {
        self.inner.state.lock().counts.values().sum()
    }

    /// Returns the largest number of API calls that were answered at the same time.
    pub fn most_calls_at_once(&self) -> usize {
        self.inner.state.lock().call_counter.most(None)
    }

    /// Returns the largest number of calls of `api` that were answered at the same time.
    pub fn most_calls_at_once_of(&self, api: &str) -> usize {
        self.inner.state.lock().call_counter.most(Some(api_name(api)))
    }

    /// Changes the limits: `|l| l.calls_at_once.set("user/list", 5)`.
    pub fn limit(&self, change: impl FnOnce(&mut SimulatedLimits)) {
        change(&mut self.inner.state.lock().world.limits);
    }

    /// Delays every answer of `api` (or `*`), so that calls overlap.
    pub fn set_latency(&self, api: &str, takes: Duration) {
        self.limit(|l| l.latency.set(api, takes));
    }

    /// Holds back the answers of `api` from now on: WeCom acts on its calls, and nobody learns of it.
    pub fn hold_answers(&self, api: &str) {
        self.inner.held_apis.send_modify(|apis| {
            apis.insert(api_name(api).to_owned());
        });
    }

    /// Gives the answers of `api` that are held back, and holds back no more.
    pub fn release_answers(&self, api: &str) {
        self.inner.held_apis.send_modify(|apis| {
            apis.remove(api_name(api));
        });
    }

    /// Returns how many answers of `api` were held back so far.
    pub fn count_held_answers(&self, api: &str) -> u64 {
        self.inner.state.lock().held_counts.get(api_name(api)).copied().unwrap_or(0)
    }

    /// Returns the last API calls, oldest first; at most ten thousand.
    pub fn requests(&self) -> Vec<ReceivedCall> {
        self.inner.state.lock().received.iter().cloned().collect()
    }

    /// Forgets the calls, their counts and the largest numbers.
    pub fn forget_requests(&self) {
        let mut state = self.inner.state.lock();
        state.received.clear();
        state.counts.clear();
        state.call_counter.forget();
    }
}
