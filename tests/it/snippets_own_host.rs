//! The printed nginx snippet for a host that serves only the gateway, and the redirect from port
//! 80.

use gongpai::testing::cli::snippet::{NginxArgs, render_nginx};

use crate::snippets::{config_of, tls_ends_before};
use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::echo::{EchoServer, send_raw};
use crate::support::nginx::Nginx;
use crate::support::port::Port;

#[tokio::test]
async fn case_46_on_a_host_of_its_own_only_the_gateway_answers_and_applications_elsewhere_open_signed_in() {
    let t = TestApp::start().await;
    let (echo, port, plain) = (EchoServer::start().await, Port::reserve(), Port::reserve());
    let config = config_of(&t);
    let print = |host: &str, upstream: Option<String>| {
        let args = NginxArgs {
            host: host.to_owned(),
            upstream,
            listen: "127.0.0.1:443".to_owned(),
            api: false,
            access_log: "gongpai.log".to_owned(),
        };
        tls_ends_before(&render_nginx(&config, &args).expect("a snippet"))
    };
    let own = print("oa.example.com", None);
    assert!(!own.contains("auth_request") && !own.contains("upstream app_"), "{own}");
    let http = format!("{own}{}", print("app.example.com", Some(echo.url())))
        .replace("127.0.0.1:443", &port.address().to_string())
        .replace("listen 127.0.0.1:80;", &format!("listen {};", plain.address()));
    let nginx = Nginx::start(&http).await;
    let mut phone = t.phone_of("zhangsan");
    phone.resolve(PUBLIC_URL, port.address());
    phone.resolve(APP_URL, port.address());
    let end = phone.open(format!("{APP_URL}/orders?x=1")).await;
    assert_eq!((end.status.as_u16(), end.url.as_str()), (200, &*format!("{APP_URL}/orders?x=1")));
    assert_eq!(echo.last().one("remote-user"), Some("zhangsan"));
    assert_eq!(end.header("strict-transport-security"), Some("max-age=31536000"));
    let seen = echo.seen().len();

    let home = phone.open(format!("{PUBLIC_URL}/")).await;
    assert_eq!(home.status, 200);
    assert!(home.text().contains("张三"), "{}", home.text());
    assert_eq!(home.header("strict-transport-security"), Some("max-age=31536000"));
    for (path, status) in [
        ("/sso/session", 200),
        ("/.well-known/jwks.json", 200),
        ("/collect", 404),
        ("/auth/nginx", 404),
        ("/%61uth/nginx", 404),
        ("//auth/nginx", 404),
        ("/metrics", 404),
        ("/api/v1/sessions", 404),
    ] {
        let page = phone.fetch(format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(page.status, status, "{path}: {}", page.text());
        assert_eq!(page.header("x-from"), None, "{path}");
    }
    assert_eq!(echo.seen().len(), seen, "the application answered on the gateway's host");

    // From port 80 everything goes to https, except for the proofs of a certificate authority.
    let ask = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n");
        send_raw(plain.address(), request.as_bytes()).await
    };
    let answer = ask("/a%20b?x=1&y=2").await;
    assert_eq!(
        (answer.status, answer.head.one("location")),
        (301, Some("https://app.example.com/a%20b?x=1&y=2"))
    );
    assert_eq!(ask("/.well-known/acme-challenge/none").await.status, 404);
    drop(nginx);
}
