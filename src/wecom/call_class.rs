//! The classes of calls: how many of each may run at once, how long one may take, and how long its
//! answer may be.

use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// WeCom answers 45033 to too many concurrent calls but documents no number; 10 to 20 have been
/// seen to pass.
const MAX_PARALLEL_CALLS: usize = 16;

/// The limit of all calls together for which no person waits. The other four slots are always free
/// for sign-ins, so that neither slow lists nor many messages keep a person waiting.
const MAX_PARALLEL_BACKGROUND_CALLS: usize = 12;

const MAX_PARALLEL_FETCHES: usize = 10;

/// How many active sessions are rechecked at once. At 200 ms a call this checks 30 000 people in
/// ten minutes, well below WeCom's limit of 10 000 calls a minute (document 90454).
pub(crate) const MAX_PARALLEL_RECHECKS: usize = 10;

/// WeCom's limit of concurrent calls (45033) counts each call by itself.
const MAX_PARALLEL_MESSAGES: usize = 10;

/// Each upload holds up to 20 MB in memory and takes long.
const MAX_PARALLEL_UPLOADS: usize = 2;

/// The time limits of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallTimeouts {
    /// Until the connection is open, TLS included.
    pub(super) connect: Duration,
    /// From the request to the last byte of its answer; also everything around one gettoken.
    pub(super) exchange: Duration,
    /// How long an early renewal may delay the one caller who makes it.
    pub(super) renewal: Duration,
    /// As `exchange`, for [`CallClass::Fetch`].
    pub(super) fetch: Duration,
    /// As `exchange`, for [`CallClass::Message`].
    pub(super) message: Duration,
    /// As `exchange`, for [`CallClass::Upload`].
    pub(super) upload: Duration,
}

impl CallTimeouts {
    /// 3 s to connect and 8 s in all, so that token, code and member fit into 14 s even if one of
    /// them hangs. Nobody waits for a fetch, and the list of a department with 20 000 members takes
    /// long. A message waits longer than a person: whoever gives up on it does not know whether it
    /// was sent. 20 MB at 3 Mbit/s take a minute.
    pub(super) const PRODUCTION: Self = Self {
        connect: Duration::from_secs(3),
        exchange: Duration::from_secs(8),
        renewal: Duration::from_secs(2),
        fetch: Duration::from_secs(30),
        message: Duration::from_secs(14),
        upload: Duration::from_secs(60),
    };
}

/// The class of a call: what it is for, which decides its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallClass {
    /// A person waits for it.
    Person,
    /// Checks whether somebody who is signed in is still a member. Many calls; nobody waits.
    Recheck,
    /// A fetch of the directory. Many calls with long answers.
    Fetch,
    /// A message or its recall. The keeper of the message decides when it is tried again.
    Message,
    /// A file for a message.
    Upload,
}

impl CallClass {
    /// Returns the limit of an answer in MiB. No expected answer comes near it; a longer one is a
    /// mistake or not WeCom's. A member takes about 1 KB, and a department may have 20 000.
    pub(super) const fn max_body_mib(self) -> usize {
        match self {
            Self::Person | Self::Recheck | Self::Message | Self::Upload => 8,
            Self::Fetch => 32,
        }
    }

    /// Returns the limit from the request to the last byte of its answer.
    pub(super) const fn timeout(self, limits: &CallTimeouts) -> Duration {
        match self {
            Self::Person | Self::Recheck => limits.exchange,
            Self::Fetch => limits.fetch,
            Self::Message => limits.message,
            Self::Upload => limits.upload,
        }
    }

    /// Whether a call is repeated at once if WeCom is busy (−1, 6000).
    pub(super) const fn retries_when_busy(self) -> bool {
        matches!(self, Self::Person | Self::Recheck | Self::Fetch)
    }
}

/// The slots of the calls in progress.
#[derive(Debug)]
pub(super) struct CallSlots {
    all: Semaphore,
    background: Semaphore,
    rechecks: Semaphore,
    fetches: Semaphore,
    messages: Semaphore,
    uploads: Semaphore,
}

/// The slots that a call holds until it is over.
#[derive(Debug)]
pub(super) struct CallPermits<'a> {
    _all: SemaphorePermit<'a>,
    _background: Option<(SemaphorePermit<'a>, SemaphorePermit<'a>)>,
}

impl CallSlots {
    pub(super) fn new() -> Self {
        Self {
            all: Semaphore::new(MAX_PARALLEL_CALLS),
            background: Semaphore::new(MAX_PARALLEL_BACKGROUND_CALLS),
            rechecks: Semaphore::new(MAX_PARALLEL_RECHECKS),
            fetches: Semaphore::new(MAX_PARALLEL_FETCHES),
            messages: Semaphore::new(MAX_PARALLEL_MESSAGES),
            uploads: Semaphore::new(MAX_PARALLEL_UPLOADS),
        }
    }

    /// Waits for a slot. A call that no person waits for takes its own class's slot first, so that
    /// it holds no shared slot while it waits.
    pub(super) async fn acquire(&self, class: CallClass) -> Result<CallPermits<'_>, AcquireError> {
        let own = match class {
            CallClass::Person => None,
            CallClass::Recheck => Some(&self.rechecks),
            CallClass::Fetch => Some(&self.fetches),
            CallClass::Message => Some(&self.messages),
            CallClass::Upload => Some(&self.uploads),
        };
        // Everybody takes them in this order: own class, background, all. So nobody holds a later
        // one while waiting for an earlier one.
        let background = match own {
            None => None,
            Some(own) => Some((own.acquire().await?, self.background.acquire().await?)),
        };
        Ok(CallPermits { _all: self.all.acquire().await?, _background: background })
    }
}
