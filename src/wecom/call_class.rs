//! For whom a call is made: how many of its kind may be under way, how long it may take, how long its answer may be.

use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// WeCom answers 45033 to too many concurrent calls and names no number; up to 10–20 have been seen to pass.
const MAX_PARALLEL_CALLS: usize = 16;

/// How many of them may be a recheck's, a fetch's or a message's, all together. The other four are always somebody's who is
/// signing in, so that neither many slow lists nor many messages keep a person waiting.
const MAX_PARALLEL_BACKGROUND_CALLS: usize = 12;

/// How many a fetch may have at once.
const MAX_PARALLEL_FETCHES: usize = 10;

/// How many people of active sessions may be asked about again at once: at 200 ms a call 30 000 in ten minutes, and
/// well below the 10 000 calls a minute that WeCom allows (document 90454).
pub const MAX_PARALLEL_RECHECKS: usize = 10;

/// How many messages may be on their way at once. WeCom counts 45033 by call.
const MAX_PARALLEL_MESSAGES: usize = 10;

/// How many files may be on their way at once: each is up to 20 MB in memory and takes its time.
const MAX_PARALLEL_UPLOADS: usize = 2;

/// How long the parts of a call may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallTimeouts {
    /// To a connection, TLS included.
    pub(super) connect: Duration,
    /// From the request to the last byte of its answer; also everything around one gettoken.
    pub(super) exchange: Duration,
    /// What an early renewal may cost the one caller who makes it.
    pub(super) renewal: Duration,
    /// As `exchange`, for a call of [`Lane::Fetch`].
    pub(super) fetch: Duration,
    /// As `exchange`, for a call of [`Lane::Message`].
    pub(super) message: Duration,
    /// As `exchange`, for a call of [`Lane::Upload`].
    pub(super) upload: Duration,
}

impl CallTimeouts {
    /// 3 s to connect and 8 s in all, so that token, code and member fit 14 s even if one of them hangs. Nobody
    /// waits for a fetch, and the list of a department with 20 000 members takes its time. A message waits longer than
    /// a person: whoever gives up on it does not know whether it was sent. 20 MB at 3 Mbit/s take a minute.
    pub(super) const PRODUCTION: Self = Self {
        connect: Duration::from_secs(3),
        exchange: Duration::from_secs(8),
        renewal: Duration::from_secs(2),
        fetch: Duration::from_secs(30),
        message: Duration::from_secs(14),
        upload: Duration::from_secs(60),
    };
}

/// For whom a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallClass {
    /// Somebody waits for it.
    Person,
    /// Whether somebody who is signed in still is a member: many calls, nobody waits.
    Recheck,
    /// A fetch of the directory: many calls, long answers.
    Fetch,
    /// A message or its recall. Whoever keeps the message decides when it is tried again, and waits in between.
    Message,
    /// A file for a message.
    Upload,
}

impl CallClass {
    /// MiB. No answer that is asked for comes near; more is somebody else's or a mistake. A member is about 1 KB,
    /// and a department may have 20 000 of them.
    pub(super) const fn max_body_mib(self) -> usize {
        match self {
            Self::Person | Self::Recheck | Self::Message | Self::Upload => 8,
            Self::Fetch => 32,
        }
    }

    /// From the request to the last byte of its answer.
    pub(super) const fn timeout(self, limits: &CallTimeouts) -> Duration {
        match self {
            Self::Person | Self::Recheck => limits.exchange,
            Self::Fetch => limits.fetch,
            Self::Message => limits.message,
            Self::Upload => limits.upload,
        }
    }

    /// Whether a call is made again at once where WeCom says that it is busy (−1, 6000).
    pub(super) const fn retries_when_busy(self) -> bool {
        matches!(self, Self::Person | Self::Recheck | Self::Fetch)
    }
}

/// The places of the calls under way.
#[derive(Debug)]
pub(super) struct CallSlots {
    all: Semaphore,
    background: Semaphore,
    rechecks: Semaphore,
    fetches: Semaphore,
    messages: Semaphore,
    uploads: Semaphore,
}

/// The places that a call has until it is over.
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

    /// Waits for a place. A call that nobody waits for waits in its own lane first, so that it holds none of the
    /// others' places meanwhile.
    pub(super) async fn acquire(&self, class: CallClass) -> Result<CallPermits<'_>, AcquireError> {
        let own = match class {
            CallClass::Person => None,
            CallClass::Recheck => Some(&self.rechecks),
            CallClass::Fetch => Some(&self.fetches),
            CallClass::Message => Some(&self.messages),
            CallClass::Upload => Some(&self.uploads),
        };
        let background = match own {
            None => None,
            Some(own) => Some((own.acquire().await?, self.background.acquire().await?)),
        };
        Ok(CallPermits { _all: self.all.acquire().await?, _background: background })
    }
}
