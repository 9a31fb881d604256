//! Tests of the printed configuration as text.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::*;
use crate::base::host::{AllowedHost, Hosts};
use crate::base::id::CorpId;
use crate::config::model::{DirectoryConfig, PagesConfig, ServerConfig, SessionConfig};
use crate::config::{
    DatabaseConfig, DefaultRule, GateConfig, GroupFormat, ListenAddress, LogConfig, LogFormat, RateConfig,
    WecomConfig,
};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn config(public: &str) -> Config {
    let rate = RateConfig { count: 1, per: Duration::from_secs(1), burst: 1 };
    let redirect = ["app.example.com", "wiki.example.org:8443"].map(|h| AllowedHost::parse(h).unwrap());
    Config {
        hosts: Hosts::new(Origin::from_url(&url(public)).unwrap(), redirect.to_vec(), ".corp.example", false),
        data_dir: PathBuf::from("data"),
        time_zone: chrono_tz::Asia::Shanghai,
        server: ServerConfig {
            listen: ListenAddress::Tcp("127.0.0.1:8080".parse().unwrap()),
            admin_listen: ListenAddress::Tcp("127.0.0.1:9090".parse().unwrap()),
            trusted_proxies: vec![],
            start_rate: rate,
            bad_code_rate: rate,
            secret: None,
        },
        database: DatabaseConfig::Sqlite("x".into()),
        wecom: WecomConfig {
            enable: true,
            corp_id: CorpId::new("ww0123456789abcdef"),
            agent_id: 1_000_004,
            app_secret: None,
            contacts_secret: None,
            api_address: url("https://qyapi.weixin.qq.com"),
            oauth2_address: url("https://open.weixin.qq.com"),
            qr_connect_address: url("https://login.work.weixin.qq.com"),
            proxy: None,
            message_enable: true,
            sync_cron: None,
            force_sync_cron: None,
            verify_files: vec![],
            contacts_callback: None,
            app_callback: None,
        },
        session: SessionConfig { ttl: Duration::from_secs(1), idle: Duration::from_secs(1) },
        landing: "/".into(),
        pages: PagesConfig { title: String::new(), contact: String::new(), logo_file: None },
        gate: GateConfig {
            groups: GroupFormat::Paths,
            assertion: false,
            default: DefaultRule::Members,
            stale_after: Duration::from_secs(60),
            recheck: Duration::from_secs(600),
            code_paths: vec![],
        },
        rules: vec![],
        directory: DirectoryConfig { link_by: vec![], max_removals: 0, purge_left_after: Duration::ZERO },
        api_clients: vec![],
        log: LogConfig { level: "info".into(), format: LogFormat::Auto },
    }
}

fn args(host: &str, listen: &str) -> NginxArgs {
    NginxArgs {
        host: host.into(),
        upstream: Some("http://127.0.0.1:3000".into()),
        listen: listen.into(),
        api: false,
        access_log: DEFAULT_ACCESS_LOG.into(),
    }
}

fn render_for(host: &str) -> String {
    render_nginx(&config("https://oa.example.com"), &args(host, "443")).unwrap()
}

#[test]
fn the_workbench_link_is_encoded_once() {
    let config = config("https://oa.example.com");
    let link = |rd: Option<&str>, seed_style| {
        render_workbench_url(&config, &WorkbenchArgs { rd: rd.map(str::to_owned), seed_style }).unwrap()
    };
    assert_eq!(link(None, false), "https://oa.example.com/sso/login?rd=%2F");
    assert_eq!(
        link(Some("/待办?a=1&b=2"), false),
        "https://oa.example.com/sso/login?rd=%2F%25E5%25BE%2585%25E5%258A%259E%3Fa%3D1%26b%3D2"
    );
    assert_eq!(
        link(Some("https://app.example.com/x"), false),
        "https://oa.example.com/sso/login?rd=https%3A%2F%2Fapp.example.com%2Fx"
    );
    assert_eq!(
        link(None, true),
        "https://open.weixin.qq.com/connect/oauth2/authorize?appid=ww0123456789abcdef\
         &redirect_uri=https%3A%2F%2Foa.example.com%2Fx_desktop%2Fqiyeweixinsso.html\
         &response_type=code&scope=snsapi_base&agentid=1000004&#wechat_redirect"
    );
}

#[test]
fn the_seeds_link_can_carry_a_target_of_its_own() {
    let config = config("https://oa.example.com:8443");
    let link =
        render_workbench_url(&config, &WorkbenchArgs { rd: Some("/a?c=d&e=f".into()), seed_style: true })
            .unwrap();
    let redirect =
        Url::parse(&link).unwrap().query_pairs().find(|(k, _)| k == "redirect_uri").unwrap().1.into_owned();
    assert_eq!(
        redirect,
        "https://oa.example.com:8443/x_desktop/qiyeweixinsso.html?redirect=%2Fa%3Fc%3Dd%26e%3Df"
    );
    assert!(link.ends_with("#wechat_redirect"));
}

#[test]
fn a_workbench_link_that_could_not_work_is_refused() {
    let mut config = config("https://oa.example.com");
    let link = |config: &Config, rd: &str, seed_style| {
        render_workbench_url(config, &WorkbenchArgs { rd: Some(rd.into()), seed_style })
    };
    assert_eq!(
        link(&config, "https://evil.example/", false),
        Err(SnippetError::BadTarget("https://evil.example/".into()))
    );
    config.wecom.agent_id = 0;
    assert_eq!(link(&config, "/", true), Err(SnippetError::Missing(RequiredKey::AgentId)));
    config.wecom.corp_id = CorpId::new("");
    assert_eq!(link(&config, "/", true), Err(SnippetError::Missing(RequiredKey::CorpId)));
}

#[test]
fn every_placeholder_is_filled() {
    for host in ["oa.example.com", "wiki.example.org:8443", "hr.corp.example"] {
        let text = render_for(host);
        assert!(!text.contains("{{") && !text.contains("}}"), "{text}");
    }
}

#[test]
fn case_38_host_and_port_are_literal_and_never_what_a_client_sent() {
    let text = render_for("wiki.example.org:8443");
    assert!(text.contains("proxy_set_header X-Original-URL https://wiki.example.org:8443$request_uri;"));
    assert!(text.contains("server_name wiki.example.org;"));
    for variable in [
        "$http_host",
        "$host",
        "$scheme",
        "$proxy_add_x_forwarded_for",
        "$http_x_forwarded",
        "$http_x_original",
        "$http_x_real",
    ] {
        assert!(!text.contains(variable), "{variable}");
    }
    let hosts: Vec<_> = text.lines().filter(|l| l.contains("proxy_set_header Host ")).collect();
    assert!(
        hosts.len() == 3 && hosts.iter().all(|l| l.ends_with("Host wiki.example.org:8443;")),
        "{hosts:?}"
    );
}

#[test]
fn case_7_the_application_gets_every_identity_header_from_the_gate_only() {
    let text = render_for("app.example.com");
    for (header, variable) in [
        ("Remote-User", "$gongpai_user"),
        ("Remote-Name", "$gongpai_name"),
        ("Remote-Email", "$gongpai_email"),
        ("Remote-Groups", "$gongpai_groups"),
        ("Gongpai-Assertion", "$gongpai_assertion"),
    ] {
        assert!(text.contains(&format!("proxy_set_header {header} {variable};")), "{header}");
        assert!(text.contains(&format!("proxy_set_header {} \"\";", header.replace('-', "_"))), "{header}");
        assert!(text.contains(&format!(
            "auth_request_set {variable} $upstream_http_{};",
            header.replace('-', "_").to_lowercase()
        )));
    }
    assert!(text.contains("proxy_set_header Cookie $gongpai_cookie;"));
}

#[test]
fn only_public_urls_host_gives_us_more_than_our_own_prefix() {
    let own = |text: &str| text.lines().find(|l| l.contains("location ~ ")).unwrap().trim().to_owned();
    assert_eq!(own(&render_for("app.example.com")), r#"location ~ "^/_gongpai/" {"#);
    assert!(!render_for("app.example.com").contains("location ^~ /hooks/"));
    let public = own(&render_for("oa.example.com"));
    for path in ["_gongpai/", "sso/", "qiyeweixinsso", "WW_verify_", "wecom/callback/", "jwks"] {
        assert!(public.contains(path), "{path}");
    }
    assert!(render_for("oa.example.com").contains("location ^~ /hooks/o2oa/ {"));
    assert!(!public.contains("api/v1/"));
    let config = config("https://oa.example.com");
    let api = |host| render_nginx(&config, &NginxArgs { api: true, ..args(host, "443") }).unwrap();
    assert!(own(&api("oa.example.com")).contains("api/v1/"));
    assert!(!own(&api("app.example.com")).contains("api/v1/"));
}

#[test]
fn https_hosts_listen_with_tls_and_http_ones_without() {
    let https = render_for("app.example.com");
    assert!(
        https.contains("listen 443 ssl;")
            && https.contains("ssl_certificate /etc/nginx/tls/app.example.com.crt;")
    );
    let said = render_nginx(&config("https://oa.example.com"), &args("oa.example.com", "[::]:443 ssl http2"))
        .unwrap();
    assert!(said.contains("listen [::]:443 ssl http2;"));
    let http =
        render_nginx(&config("http://127.0.0.1:18080"), &args("127.0.0.1:18080", "127.0.0.1:18080")).unwrap();
    assert!(http.contains("listen 127.0.0.1:18080;") && !http.contains("ssl"), "{http}");
    assert!(http.contains("X-Original-URL http://127.0.0.1:18080$request_uri;"));
}

#[test]
fn an_https_application_is_verified() {
    let config = config("https://oa.example.com");
    let text = render_nginx(
        &config,
        &NginxArgs { upstream: Some("https://app.internal".into()), ..args("app.example.com", "443") },
    );
    let text = text.unwrap();
    assert!(
        text.contains("server app.internal:443;") && text.contains("proxy_pass https://app_app_example_com;")
    );
    assert!(text.contains("proxy_ssl_verify on;") && text.contains("proxy_ssl_name app.internal;"));
}

#[test]
fn arguments_that_nginx_would_misread_are_refused() {
    let config = config("https://oa.example.com");
    let of = |change: &dyn Fn(&mut NginxArgs)| {
        let mut args = args("app.example.com", "443");
        change(&mut args);
        render_nginx(&config, &args).unwrap_err()
    };
    for host in ["", "https://app.example.com", "a b", "a;b", "$host", "*.corp.example", "a{b.corp.example"] {
        assert!(matches!(of(&|a| a.host = host.into()), SnippetError::BadHost(_)), "{host}");
    }
    for host in ["evil.example", "app.example.com:8443", "corp.example"] {
        assert!(matches!(of(&|a| a.host = host.into()), SnippetError::ForeignHost(_)), "{host}");
    }
    for upstream in
        ["", "127.0.0.1:3000", "http://a/b", "http://a?b", "http://u@a", "ftp://a", "http://a;b", "http://$a"]
    {
        assert!(
            matches!(of(&|a| a.upstream = Some(upstream.into())), SnippetError::BadUpstream(_)),
            "{upstream}"
        );
    }
    for listen in ["", "443; return 200", "443 {", "443\nx", "\"443\""] {
        assert!(matches!(of(&|a| a.listen = listen.into()), SnippetError::BadListen(_)), "{listen}");
    }
}

#[test]
fn every_snippet_clears_every_spelling_of_every_header_that_could_name_somebody() {
    use crate::gate::proxy::client_headers::{CLEARED_HEADERS, IDENTITY_HEADERS, list_spellings};
    let text = render_for("app.example.com");
    for name in IDENTITY_HEADERS.iter().chain(CLEARED_HEADERS) {
        for spelling in list_spellings(name).iter().skip(usize::from(IDENTITY_HEADERS.contains(name))) {
            assert!(text.contains(&format!("proxy_set_header {spelling} \"\";")), "{spelling}");
        }
    }
}

#[test]
fn only_on_public_urls_host_the_gateway_answers_alone() {
    let config = config("https://oa.example.com");
    let own = |host: &str| render_nginx(&config, &NginxArgs { upstream: None, ..args(host, "443") });
    let text = own("oa.example.com").unwrap();
    assert!(!text.contains("{{") && !text.contains("auth_request"), "{text}");
    assert!(text.contains("location / {\n        proxy_pass http://gongpai_oa_example_com;"), "{text}");
    assert_eq!(own("app.example.com"), Err(SnippetError::MissingUpstream("https://app.example.com".into())));
    assert!(
        !render_nginx(&config, &NginxArgs { upstream: None, api: true, ..args("oa.example.com", "443") })
            .unwrap()
            .contains("api/)")
    );
}

#[test]
fn port_80_leads_to_https_where_the_listener_is_the_usual_one() {
    let text =
        |public: &str, host: &str, listen: &str| render_nginx(&config(public), &args(host, listen)).unwrap();
    let oa = "https://oa.example.com";
    for (listen, plain) in [("443", "80"), ("[::]:443 ssl http2", "[::]:80"), ("10.0.0.5:443", "10.0.0.5:80")]
    {
        let text = text(oa, "oa.example.com", listen);
        assert!(text.contains(&format!("    listen {plain};\n")), "{listen}");
        assert!(text.contains("return 301 https://oa.example.com$request_uri;"));
        assert!(text.contains("location ^~ /.well-known/acme-challenge/ {"));
    }
    for (public, host, listen) in [
        (oa, "oa.example.com", "8443"),
        (oa, "wiki.example.org:8443", "443"),
        ("http://127.0.0.1:18080", "127.0.0.1:18080", "127.0.0.1:18080"),
    ] {
        assert!(!text(public, host, listen).contains("acme-challenge"), "{listen}");
    }
    assert!(text(oa, "oa.example.com", "443").contains("add_header Strict-Transport-Security"));
    assert!(!text("http://127.0.0.1:18080", "127.0.0.1:18080", "18080").contains("Strict-Transport"));
}

#[test]
fn a_page_that_nginx_shows_fits_into_one_of_its_parameters() {
    let mut config = config("https://oa.example.com");
    config.pages.contact = "找'张三' $host \\ <b>{{slug}}</b> ".repeat(30);
    let text = render_nginx(&config, &args("oa.example.com", "443")).unwrap();
    let pages: Vec<_> = text.lines().filter(|line| line.contains("<!doctype html>")).collect();
    assert_eq!(pages.len(), 2);
    for page in pages {
        assert!(page.len() < 4000, "{}", page.len());
        let body = page.trim().splitn(3, ' ').nth(2).unwrap();
        assert!(body.starts_with('\'') && body.ends_with("';") && body.matches('\'').count() == 2, "{body}");
        assert!(!body.contains("$host") && !body.contains("<b>") && !body.contains('\\'), "{body}");
    }
}

#[test]
fn the_systemd_unit_gives_the_gateway_nothing_but_its_folder_and_the_network() {
    for line in [
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
        "UMask=0077",
        "StateDirectoryMode=0700",
    ] {
        assert!(SYSTEMD_UNIT.lines().any(|l| l == line), "{line}");
    }
}
