//! How politely a fetch asks, and how long it keeps at it.

use std::time::Duration;

/// Every pause, window and count of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long one call may take, its token included.
    pub call: Duration,
    /// Calls in flight at most.
    pub at_once: usize,
    /// How long everybody pauses after 45009. A limit that is counted by the minute blocks for 60 s (document 90454).
    pub window: Duration,
    /// How often in a row that is done for one API before it counts as unreadable for the rest of the fetch.
    pub windows: usize,
    /// The pause after 45033, beside asking half as much at once.
    pub crowd: Duration,
    /// How often one call is asked again after 45033.
    pub crowds: usize,
    /// After so many answers in a row one more call at once is tried again.
    pub calm: usize,
    /// Pauses before the second and the third pass over what got no answer.
    pub passes: [Duration; 2],
    /// After so many failures to get an answer in a row the rest of a pass is not asked: WeCom is away.
    pub hopeless: usize,
}

impl Pace {
    /// What WeCom's limits ask for (document 90454): at ten calls at once none of them is near.
    pub const PRODUCTION: Self = Self {
        call: Duration::from_secs(30),
        at_once: 10,
        window: Duration::from_secs(60),
        windows: 3,
        crowd: Duration::from_millis(500),
        crowds: 10,
        calm: 50,
        passes: [Duration::from_secs(5), Duration::from_secs(30)],
        hopeless: 30,
    };
}
