//! Limits of a caller, and the count of concurrent calls.

use super::*;

#[tokio::test]
async fn an_answer_that_is_too_large_is_45029() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    let two = format!("user/list?department_id=2&access_token={token}");
    let all = format!("user/list?department_id=1&fetch_child=1&access_token={token}");
    let names = format!("user/simplelist?department_id=1&fetch_child=1&access_token={token}");
    let departments = format!("department/list?access_token={token}");
    b.sim.limit(|l| l.answer_rows = Some(6));
    for (path, want) in [(&two, 0), (&all, 45029), (&names, 45029), (&departments, 45029)] {
        assert_eq!(b.errcode(path).await, want, "{path}");
    }
    b.sim.limit(|l| (l.answer_rows, l.answer_bytes) = (None, Some(1000)));
    for (path, want) in [(&two, 0), (&all, 45029), (&names, 0), (&departments, 0)] {
        assert_eq!(b.errcode(path).await, want, "{path}");
    }
    b.sim.limit(|l| *l = SimulatedLimits::default());
    assert_eq!(b.errcode(&all).await, 0);
}

#[tokio::test]
async fn more_calls_of_one_api_at_once_than_it_takes_are_45033() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    b.sim.set_latency("/cgi-bin/user/list", Duration::from_millis(400));
    b.sim.limit(|l| l.calls_at_once.set("user/list", 2));
    let list = format!("user/list?department_id=2&access_token={token}");
    let get = format!("user/get?userid=lisi&access_token={token}");
    let (a, c, d, other) =
        tokio::join!(b.errcode(&list), b.errcode(&list), b.errcode(&list), b.errcode(&get));
    let mut codes = [a, c, d];
    codes.sort_unstable();
    assert_eq!((codes, other), ([0, 0, 45033], 0));
    assert_eq!(b.sim.most_calls_at_once_of("user/list"), 3);
    assert_eq!(b.sim.most_calls_at_once_of("user/get"), 1);
    assert!((3..=4).contains(&b.sim.most_calls_at_once()));
    assert_eq!(b.errcode(&list).await, 0, "the others are done");
    b.sim.forget_requests();
    assert_eq!((b.sim.most_calls_at_once(), b.sim.most_calls_at_once_of("user/list")), (0, 0));
}

#[tokio::test]
async fn a_caller_that_gives_up_is_no_longer_in_flight() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    b.sim.limit(|l| l.calls_at_once.set("*", 1));
    b.sim.fail_next("user/get", InjectedFault::Hang);
    let path = format!("/cgi-bin/user/get?userid=lisi&access_token={token}");
    let url = b.sim.url() + &path;
    let gave_up = b.http.get(url).timeout(Duration::from_millis(300)).send().await;
    assert!(gave_up.unwrap_err().is_timeout());
    let until = Instant::now() + Duration::from_secs(10);
    while b.errcode(path.trim_start_matches("/cgi-bin/")).await != 0 {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn more_calls_a_minute_than_allowed_are_45009_until_the_minute_is_over() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    b.sim.limit(|l| l.calls_per_minute.set("user/get", 2));
    let get = format!("user/get?userid=lisi&access_token={token}");
    for want in [0, 0, 45009, 45009] {
        assert_eq!(b.errcode(&get).await, want);
    }
    assert_eq!(b.errcode(&format!("tag/list?access_token={token}")).await, 0, "each API has its own");
    b.sim.advance(Duration::from_mins(1));
    for want in [0, 0, 45009] {
        assert_eq!(b.errcode(&get).await, want);
    }
}

#[tokio::test]
async fn a_limit_of_every_api_gives_way_to_one_of_its_own_and_codes_are_not_counted() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    b.sim.limit(|l| {
        l.calls_per_minute.set("*", 0);
        l.calls_per_minute.set("user/get", 1);
    });
    assert_eq!(b.errcode(&format!("user/get?userid=lisi&access_token={token}")).await, 0);
    assert_eq!(b.errcode(&format!("tag/list?access_token={token}")).await, 45009);
    let code = b.sim.issue_code("lisi");
    assert_eq!(b.errcode(&format!("auth/getuserinfo?access_token={token}&code={code}")).await, 0);
}
