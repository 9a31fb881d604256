//! How politely a fetch calls WeCom, and how long it keeps trying.

use std::time::Duration;

/// Every pause and limit of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchPace {
    /// How long one call may take, including its token.
    pub call_timeout: Duration,
    /// How many calls run in parallel at most.
    pub max_parallel_calls: usize,
    /// The pause of all calls after 45009. A limit counted by the minute blocks for 60 s (document
    /// 90454).
    pub rate_limit_pause: Duration,
    /// How many such pauses in a row are made for one API before it counts as unreadable.
    pub max_rate_limit_pauses: usize,
    /// The pause after 45033, in addition to halving the parallel calls.
    pub crowd_pause: Duration,
    /// How often one call is repeated after 45033.
    pub max_crowd_retries: usize,
    /// After this many answers in a row, one more parallel call is tried.
    pub answers_before_raise: usize,
    /// Pauses before the second and third pass over what got no answer.
    pub pass_pauses: [Duration; 2],
    /// After this many calls in a row without an answer, the rest of the pass is not called: WeCom
    /// is away.
    pub max_silent_failures: usize,
}

impl FetchPace {
    /// The pace that suits WeCom's limits (document 90454): ten parallel calls stay far below them.
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
