//! How politely a fetch asks, and how long it keeps at it.

use std::time::Duration;

/// Every pause, window and count of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchPace {
    /// How long one call may take, its token included.
    pub call_timeout: Duration,
    /// Calls in flight at most.
    pub max_parallel_calls: usize,
    /// How long everybody pauses after 45009. A limit that is counted by the minute blocks for 60 s (document 90454).
    pub rate_limit_pause: Duration,
    /// How often in a row that is done for one API before it counts as unreadable for the rest of the fetch.
    pub max_rate_limit_pauses: usize,
    /// The pause after 45033, beside asking half as much at once.
    pub crowd_pause: Duration,
    /// How often one call is asked again after 45033.
    pub max_crowd_retries: usize,
    /// After so many answers in a row one more call at once is tried again.
    pub answers_before_raise: usize,
    /// Pauses before the second and the third pass over what got no answer.
    pub pass_pauses: [Duration; 2],
    /// After so many failures to get an answer in a row the rest of a pass is not asked: WeCom is away.
    pub max_silent_failures: usize,
}

impl FetchPace {
    /// What WeCom's limits ask for (document 90454): at ten calls at once none of them is near.
    pub const PRODUCTION: Self = Self {
        call_timeout: Duration::from_secs(30),
        max_parallel_calls: 10,
        rate_limit_pause: Duration::from_secs(60),
        max_rate_limit_pauses: 3,
        crowd_pause: Duration::from_millis(500),
        max_crowd_retries: 10,
        answers_before_raise: 50,
        pass_pauses: [Duration::from_secs(5), Duration::from_secs(30)],
        max_silent_failures: 30,
    };
}
