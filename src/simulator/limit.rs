//! Limits of the API, and the largest number of concurrent calls.
//!
//! WeCom publishes 10 000 calls a minute for one API (doc 90454, errcode 45009). It does not
//! publish how many may run at once (45033) or how large an answer may be (45029). All limits are
//! off until a test sets them, except those of messages.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;

use super::call::SimulatedRefusal;

/// The window in which WeCom counts calls, and for which it refuses them.
const MINUTE: Duration = Duration::from_mins(1);

/// Lists that grow with the corporation and may become too large for one answer.
const LARGE_LIST_APIS: [&str; 3] = ["user/list", "user/simplelist", "department/list"];

/// Calls with a valid code do not count (doc 90454).
const UNCOUNTED_APIS: [&str; 2] = ["auth/getuserinfo", "user/getuserinfo"];

/// A value for each API (`user/list`); `*` stands for every API without a value of its own.
#[derive(Debug, Clone)]
pub struct PerApi<T>(BTreeMap<String, T>);

impl<T> Default for PerApi<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Copy> PerApi<T> {
    /// Sets the value of an API, or of `*`.
    pub fn set(&mut self, api: &str, value: T) {
        self.0.insert(super::call::api_name(api).to_owned(), value);
    }

    /// Returns the value of the API itself.
    fn own(&self, api: &str) -> Option<T> {
        self.0.get(api).copied()
    }

    /// Returns the value of the API, else that of `*`.
    pub fn get(&self, api: &str) -> Option<T> {
        self.0.get(api).or_else(|| self.0.get("*")).copied()
    }
}

/// The limits of a caller. They are off by default, except those of messages, which have WeCom's
/// figures.
#[derive(Debug, Clone)]
pub struct SimulatedLimits {
    /// Members or departments in one answer of `user/list`, `user/simplelist`, `department/list`;
    /// more is 45029.
    pub answer_rows: Option<usize>,
    /// Bytes of such an answer; more is 45029.
    pub answer_bytes: Option<usize>,
    /// Concurrent calls of one API; one more is 45033 at once.
    pub calls_at_once: PerApi<usize>,
    /// Calls of one API within a minute of the simulator's clock; more are 45009 until the minute
    /// is over.
    ///
    /// `message/send` has limits of its own and counts only if it is named, not by `*` (doc 90454).
    pub calls_per_minute: PerApi<u64>,
    /// The delay of every answer.
    pub latency: PerApi<Duration>,
    /// Copies that one member gets from one application within any minute; more are dropped
    /// silently. WeCom: 30.
    pub messages_per_minute: Option<usize>,
    /// The same within any hour. WeCom: 1000.
    pub messages_per_hour: Option<usize>,
    /// Recipients of one application within a day in China, for each account of the corporation
    /// ([`account_limit`](super::World::account_limit)). A call that would exceed it is 45009.
    /// WeCom: 200.
    pub recipients_per_account: Option<u64>,
    /// Whether an equal body is dropped even if the request differs.
    ///
    /// With `enable_duplicate_check`, a member then does not get the same msgtype and content twice
    /// within the interval. WeCom promises this only for identical requests and does not say what
    /// it compares; `true` is the worse case for a caller.
    pub equal_bodies_swallowed: bool,
    /// Whether a repeated `task_id` of an application is 42014 (doc 90236).
    pub task_ids_used_once: bool,
}

impl Default for SimulatedLimits {
    fn default() -> Self {
        Self {
            answer_rows: None,
            answer_bytes: None,
            calls_at_once: PerApi::default(),
            calls_per_minute: PerApi::default(),
            latency: PerApi::default(),
            messages_per_minute: Some(30),
            messages_per_hour: Some(1000),
            recipients_per_account: Some(200),
            equal_bodies_swallowed: true,
            task_ids_used_once: true,
        }
    }
}

impl SimulatedLimits {
    /// Refuses an answer that is too large.
    pub(super) fn fits(&self, api: &str, answer: &Value) -> Result<(), SimulatedRefusal> {
        if !LARGE_LIST_APIS.contains(&api) {
            return Ok(());
        }
        self.rows_fit(
            ["userlist", "department"].iter().find_map(|k| answer.get(k)?.as_array()).map_or(0, Vec::len),
        )?;
        if self.answer_bytes.is_some_and(|most| answer.to_string().len() > most) {
            return Err(TOO_LARGE);
        }
        Ok(())
    }

    /// Refuses by the number of rows, before the answer is written.
    pub(super) fn rows_fit(&self, rows: usize) -> Result<(), SimulatedRefusal> {
        if self.answer_rows.is_some_and(|most| rows > most) { Err(TOO_LARGE) } else { Ok(()) }
    }
}

const TOO_LARGE: SimulatedRefusal = SimulatedRefusal(45029, "response size out of limit");

/// Counts the concurrent calls, and those of the current minute.
#[derive(Debug, Default)]
pub(super) struct CallCounter {
    running: HashMap<String, usize>,
    most: HashMap<String, usize>,
    running_in_all: usize,
    most_in_all: usize,
    /// The start of the minute of each API, and its calls since.
    minutes: HashMap<String, (Duration, u64)>,
}

impl CallCounter {
    /// Admits a call or returns why it is refused. Either way it counts as running until
    /// [`CallCounter::leave`].
    pub(super) fn enter(
        &mut self,
        limits: &SimulatedLimits,
        api: &str,
        now: Duration,
    ) -> Option<SimulatedRefusal> {
        let running = self.running.entry(api.to_owned()).or_default();
        *running += 1;
        let most = self.most.entry(api.to_owned()).or_default();
        *most = (*most).max(*running);
        self.running_in_all += 1;
        self.most_in_all = self.most_in_all.max(self.running_in_all);
        let at_once = *running;
        // It still counts as running: a test may ask how many calls there were at once.
        if UNCOUNTED_APIS.contains(&api) {
            return None;
        }
        let minute = self.minutes.entry(api.to_owned()).or_insert((now, 0));
        if now.saturating_sub(minute.0) >= MINUTE {
            *minute = (now, 0);
        }
        // Refused calls count too.
        minute.1 += 1;
        let most = &limits.calls_per_minute;
        // `message/send` has limits of its own, so `*` does not cover it (doc 90454).
        let most = if api == "message/send" { most.own(api) } else { most.get(api) };
        if most.is_some_and(|most| minute.1 > most) {
            return Some(SimulatedRefusal(45009, "api freq out of limit"));
        }
        (limits.calls_at_once.get(api))
            .filter(|most| at_once > *most)
            .map(|_| SimulatedRefusal(45033, "api concurrent out of limit"))
    }

    pub(super) fn leave(&mut self, api: &str) {
        if let Some(running) = self.running.get_mut(api) {
            *running = running.saturating_sub(1);
        }
        self.running_in_all = self.running_in_all.saturating_sub(1);
    }

    /// Returns the largest number of concurrent calls, of one API or of all.
    pub(super) fn most(&self, api: Option<&str>) -> usize {
        api.map_or(self.most_in_all, |api| self.most.get(api).copied().unwrap_or(0))
    }

    /// Resets the largest numbers to the running calls.
    pub(super) fn forget(&mut self) {
        self.most.clone_from(&self.running);
        self.most_in_all = self.running_in_all;
    }
}
