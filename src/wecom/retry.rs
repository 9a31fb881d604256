//! Repeats a call that WeCom itself asks to repeat.

use std::future::Future;
use std::time::Duration;

use super::Deadline;
use super::errcode::ErrorFamily;
use super::error::WecomError;

/// Pauses before the second and the third try (document 90313: at most three tries for −1).
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(500)];

/// Makes a call up to three times while WeCom answers that it is busy (−1, 6000) and the deadline
/// leaves time for a pause.
pub(super) async fn retry_while_busy<T, F>(
    deadline: Deadline,
    mut call: impl FnMut() -> F,
) -> Result<T, WecomError>
where
    F: Future<Output = Result<T, WecomError>>,
{
    for pause in RETRY_PAUSES {
        match call().await {
            Err(WecomError::Refused(refusal))
                if ErrorFamily::from_errcode(refusal.code) == ErrorFamily::Retry
                    && pause < deadline.remaining() =>
            {
                tokio::time::sleep(pause).await;
            }
            result => return result,
        }
    }
    call().await
}
