//! Rules of politeness that are about time, as calls without a network in virtual time.

use std::cell::{Cell, RefCell};

use tokio::time::sleep;

use super::*;
use crate::wecom::WecomRefusal;

/// How long each call takes.
const CALL_TIME: Duration = Duration::from_millis(10);

fn caller_with(pace: FetchPace) -> ApiCaller {
    // Nothing listens there, and nothing is sent.
    ApiCaller::new(client_at("http://127.0.0.1:9".parse().unwrap(), Some(APP_SECRET), None), pace)
}

fn refusal(code: i64) -> WecomError {
    WecomError::Refused(WecomRefusal {
        api: "user/list",
        code,
        message: "refused by the test".to_owned(),
        from_ip: None,
    })
}

#[tokio::test(start_paused = true)]
async fn a_limit_pauses_everybody_until_its_window_is_over() {
    let start = Instant::now();
    let begun: RefCell<Vec<(u32, Duration)>> = RefCell::default();
    let refused_at: Cell<Option<Duration>> = Cell::new(None);
    let call = |_: WecomClient, key: u32, _: Deadline| {
        let is_first = begun.borrow().iter().all(|(other, _)| *other != key);
        begun.borrow_mut().push((key, start.elapsed()));
        let refused_at = &refused_at;
        async move {
            sleep(CALL_TIME).await;
            if key == 15 && is_first {
                refused_at.set(Some(start.elapsed()));
                return Err(refusal(45009));
            }
            Ok(key)
        }
    };
    let mut answered = BTreeSet::new();
    let keys = (0..100).collect();
    caller_with(FetchPace::PRODUCTION)
        .call_each("user/list", keys, call, |key, result| {
            assert!(result.is_ok() && answered.insert(key), "{key}: {result:?}");
        })
        .await;
    let (begun, refused_at) = (begun.into_inner(), refused_at.get().unwrap());
    assert_eq!((answered.len(), begun.len()), (100, 101));
    let reopened_at = refused_at + FetchPace::PRODUCTION.rate_limit_pause;
    // Calls that began at the very instant of the refusal were let in before it.
    let early = begun.iter().filter(|(_, at)| *at > refused_at && *at < reopened_at).count();
    assert_eq!(early, 0, "{begun:?}");
    let again = begun.iter().rev().find(|(key, _)| *key == 15).map(|(_, at)| *at);
    assert!(again >= Some(reopened_at), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_crowd_half_as_many_calls_run_in_parallel() {
    let pace = FetchPace { answers_before_raise: 1_000, ..FetchPace::PRODUCTION };
    let (begun, in_flight, most) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let call = |_: WecomClient, key: u32, _: Deadline| {
        begun.set(begun.get() + 1);
        // The first ten, which run in parallel, are too many.
        let is_crowded = begun.get() <= 10;
        let (in_flight, most) = (&in_flight, &most);
        async move {
            if is_crowded {
                sleep(CALL_TIME).await;
                return Err(refusal(45033));
            }
            in_flight.set(in_flight.get() + 1);
            most.set(most.get().max(in_flight.get()));
            sleep(CALL_TIME).await;
            in_flight.set(in_flight.get() - 1);
            Ok(key)
        }
    };
    let mut answered = 0;
    let take = |key, result: Result<u32, WecomError>| {
        assert_eq!(result, Ok(key));
        answered += 1;
    };
    caller_with(pace).call_each("user/list", (0..60).collect(), call, take).await;
    assert_eq!((answered, begun.get(), most.get()), (60, 70, 5));
}
