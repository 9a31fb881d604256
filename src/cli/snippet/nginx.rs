//! `gongpai snippet nginx`: complete blocks for nginx's http context.
//!
//! The texts are the files beside this one: `nginx.conf` for a host with an application,
//! `nginx_own_host.conf` for a host on which only the gateway answers, and the parts that both
//! share. This file fills in what depends on the installation.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;

use crate::base::host::{Origin, Scheme};
use crate::config::{Config, ListenAddress};
use crate::gate::proxy::NGINX;
use crate::gate::proxy::client_headers::{CLEARED_HEADERS, FORWARDED_HEADERS, list_spellings};

use super::cookie_filter::build_cookie_filter;
use super::error_page::{APPLICATION_DOWN_TEXTS, GATEWAY_DOWN_TEXTS, PageTexts, render_page};
use super::template::fill_template;
use super::{SnippetError, parse_application_host};

const SHARED_HOST_TEMPLATE: &str = include_str!("nginx.conf");
const OWN_HOST_TEMPLATE: &str = include_str!("nginx_own_host.conf");
const MAPS_TEMPLATE: &str = include_str!("nginx_maps.conf");
const DOWN_TEMPLATE: &str = include_str!("nginx_down.conf");

/// The default path of Debian, Red Hat and the official image. nginx has no name for its default
/// log.
pub(crate) const DEFAULT_ACCESS_LOG: &str = "/var/log/nginx/access.log";

/// A control character, which no header may contain (RFC 9110 §5.5). nginx accepts all but NUL, CR
/// and LF; the gateway accepts none.
const CONTROL_CHARACTER_PATTERN: &str = r"~[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]";

/// One year (RFC 6797), without subdomains, because those may belong to somebody else.
const HSTS_DIRECTIVE: &str = "add_header Strict-Transport-Security $gongpai_hsts always;";

/// The application's own Strict-Transport-Security wins, because it may cover more.
const HSTS_MAP: &str = "
# Browsers come by https only for a year; what the application itself says about that wins.
map $upstream_http_strict_transport_security $gongpai_hsts {
    default \"\";
    \"\" \"max-age=31536000\";
}
";

/// Arguments of `gongpai snippet nginx`.
#[derive(Debug, Clone)]
pub struct NginxArgs {
    /// `--host`: the application's host as browsers name it, `HOST[:PORT]`.
    pub host: String,
    /// `--upstream`: the origin of the application; `None` for a host on which only the gateway
    /// answers.
    pub upstream: Option<String>,
    /// `--listen`: as in nginx's `listen`. On an https host ` ssl` is added if it is missing.
    pub listen: String,
    /// `--api`: also pass `/api/v1/` of public_url's host to the gateway.
    pub api: bool,
    /// The log of requests to the gateway's own paths; by default [`DEFAULT_ACCESS_LOG`].
    pub access_log: String,
}

/// Returns the configuration of an application's host, or of public_url's host without one.
///
/// # Errors
/// [`SnippetError`] if an argument is invalid, or the host does not belong to this installation.
pub fn render_nginx(config: &Config, args: &NginxArgs) -> Result<String, SnippetError> {
    let origin = parse_application_host(config, &args.host)?;
    let listen = args.listen.trim();
    let word = |c: char| c.is_ascii_alphanumeric() || " .:[]_=/-".contains(c);
    if listen.is_empty() || !listen.chars().all(word) {
        return Err(SnippetError::BadListen(args.listen.clone()));
    }
    let is_public = config.hosts.is_public(&origin);
    let upstream_text = args.upstream.as_deref().unwrap_or_default();
    let app = match &args.upstream {
        Some(text) => Some(parse_upstream(text)?),
        None if is_public => None,
        None => return Err(SnippetError::MissingUpstream(origin.to_string())),
    };
    let secure = origin.scheme() == Scheme::Https;
    let slug = make_slug(&origin);
    let host = origin.authority();
    let api = args.api && is_public;
    let page = |texts: &PageTexts| render_page(texts, &config.pages.contact);
    let (regex, value) = build_cookie_filter();
    let own_proxy = render_own_proxy(&slug, &origin);
    let hooks = if is_public { render_hooks(&own_proxy, app.is_some()) } else { String::new() };
    let port = origin.port().to_string();
    let (down_page, app_down_page) = (page(&GATEWAY_DOWN_TEXTS), page(&APPLICATION_DOWN_TEXTS));
    let (gateway, listen_lines) =
        (render_gateway_upstream(&slug, &config.server.listen), render_listen_lines(&origin, listen));
    let app_tls =
        app.as_ref().filter(|app| app.scheme() == Scheme::Https).map(render_app_tls).unwrap_or_default();
    let app_address = app.as_ref().map(|app| format!("{}:{}", app.host(), app.port())).unwrap_or_default();
    let plain_http = render_plain_http_server(&origin, listen, &slug, &args.access_log);
    let (cleared, closed_paths) = (render_cleared_headers(), closed_paths(api));
    let mut values = vec![
        ("host", host.as_str()),
        ("host_file", origin.host()),
        ("upstream", upstream_text),
        ("listen", listen),
        ("api_flag", if args.api { " --api" } else { "" }),
        ("slug", &slug),
        ("gateway", &gateway),
        ("app", &app_address),
        ("app_scheme", app.as_ref().map_or("", |app| app.scheme().as_str())),
        ("app_tls", &app_tls),
        ("control", CONTROL_CHARACTER_PATTERN),
        ("cookie_regex", &regex),
        ("cookie_value", &value),
        ("listen_lines", &listen_lines),
        ("plain_http", &plain_http),
        ("server_name", origin.host()),
        ("scheme", origin.scheme().as_str()),
        ("port", &port),
        ("cleared", &cleared),
        ("own_paths", own_paths(is_public, api)),
        ("closed_paths", closed_paths),
        ("api_closed", if api { "" } else { ", and the API, which --api opens" }),
        ("access_log", &args.access_log),
        ("own_proxy", &own_proxy),
        ("hooks", &hooks),
        ("down_page", &down_page),
        ("app_down_page", &app_down_page),
        ("hsts_map", if secure { HSTS_MAP } else { "" }),
    ];
    let hsts_server = if secure { format!("    {HSTS_DIRECTIVE}\n") } else { String::new() };
    let hsts = if secure { format!("\n        {HSTS_DIRECTIVE}") } else { String::new() };
    values.push(("hsts_server", &hsts_server));
    values.push(("hsts", &hsts));
    let is_shared = app.is_some();
    values.push(("auth_off", if is_shared { "        auth_request off;\n" } else { "" }));
    values.push(("check_answered", if is_shared { CHECK_ANSWERED_BLOCK } else { "" }));
    let (maps, down) = (fill_template(MAPS_TEMPLATE, &values), fill_template(DOWN_TEMPLATE, &values));
    values.push(("maps", maps.trim_end()));
    values.push(("down", down.trim_end()));
    Ok(fill_template(if is_shared { SHARED_HOST_TEMPLATE } else { OWN_HOST_TEMPLATE }, &values))
}

/// The answer if the check succeeded but nginx failed afterwards: 400 if the gate answered with a
/// 4xx, 500 if it answered with a 2xx.
const CHECK_ANSWERED_BLOCK: &str = "        \
    if ($gongpai_check ~ \"^4\") {
            return 400 '{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"code\":\"gate.malformed_request\"}';
        }
        if ($gongpai_check ~ \"^2\") {
            return 500 '{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500,\"code\":\"nginx.failed\"}';
        }
";

/// Returns a name for upstreams and log formats. It must be unique: nginx rejects a second
/// definition.
fn make_slug(origin: &Origin) -> String {
    let mut slug = String::new();
    for c in origin.authority().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            // `a-b` and `a.b` must not get the same name.
            '-' => slug.push_str("__"),
            _ => slug.push('_'),
        }
    }
    slug
}

fn render_gateway_upstream(slug: &str, listen: &ListenAddress) -> String {
    format!(
        "upstream gongpai_{slug} {{\n    server {};\n    keepalive 64;                      \
         # without it every check opens a connection: two to three times slower\n}}",
        gateway_address(listen)
    )
}

/// Returns the gateway's address as nginx on the same machine reaches it.
fn gateway_address(listen: &ListenAddress) -> String {
    match listen {
        ListenAddress::Tcp(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
                ip => ip,
            };
            SocketAddr::new(ip, address.port()).to_string()
        }
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn parse_upstream(text: &str) -> Result<Origin, SnippetError> {
    let bad = || SnippetError::BadUpstream(text.to_owned());
    let url = Url::parse(text).map_err(|_| bad())?;
    let origin = Origin::from_url(&url).ok_or_else(bad)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
    // The text itself goes into the configuration, so a URL that parses is not enough.
    if bare && text.chars().all(plain) { Ok(origin) } else { Err(bad()) }
}

fn render_listen_lines(origin: &Origin, listen: &str) -> String {
    // An entry of nginx's hash takes the name and 18 bytes; a bucket has 64 bytes by default.
    let long = if origin.host().len() > 46 {
        "    # So long a name needs `server_names_hash_bucket_size 128;` once in nginx's http context.\n"
    } else {
        ""
    };
    if origin.scheme() == Scheme::Http {
        return format!("{long}    listen {listen};");
    }
    let ssl = if listen.split(' ').any(|word| word == "ssl") { "" } else { " ssl" };
    let file = origin.host();
    format!(
        "{long}    listen {listen}{ssl};\n    \
         # Where TLS ends at a load balancer before this nginx: without ` ssl` and these three lines.\n    \
         ssl_certificate /etc/nginx/tls/{file}.crt;\n    \
         ssl_certificate_key /etc/nginx/tls/{file}.key;\n    \
         ssl_protocols TLSv1.2 TLSv1.3;"
    )
}

/// Returns a server for port 80 that redirects to https.
///
/// Empty if the listener is not on port 443, because something else is in front of nginx then.
fn render_plain_http_server(origin: &Origin, listen: &str, slug: &str, access_log: &str) -> String {
    let address = listen.split(' ').next().unwrap_or_default();
    let before = match address {
        "443" => Some(""),
        other => other.strip_suffix(":443").map(|_| other.trim_end_matches("443")),
    };
    let Some(before) = before.filter(|_| origin.scheme() == Scheme::Https && origin.port() == 443) else {
        return String::new();
    };
    format!(
        "
# Without TLS only the way to TLS, and the proofs of a certificate authority (certbot --webroot -w /var/www/html).
server {{
    listen {before}80;
    server_name {host};
    access_log {access_log} gongpai_{slug};
    location ^~ /.well-known/acme-challenge/ {{
        root /var/www/html;
        default_type text/plain;
    }}
    location / {{
        return 301 https://{host}$request_uri;
    }}
}}
",
        host = origin.host()
    )
}

/// Returns the paths of the gateway that browsers must not reach: only a proxy sends checks.
const fn closed_paths(api: bool) -> &'static str {
    if api { "^/(?:auth/|oauth2/auth$)" } else { "^/(?:auth/|oauth2/auth$|api/)" }
}

/// Returns a regular expression for the gateway's paths.
///
/// nginx uses the first regex location that matches. This one comes first, so it wins over those
/// that an administrator adds below.
const fn own_paths(is_public: bool, api: bool) -> &'static str {
    match (is_public, api) {
        (false, _) => "^/_gongpai/",
        (true, false) => {
            r"^/(?:_gongpai/|sso/|(?:x_desktop/)?qiyeweixinsso\.html$|WW_verify_[A-Za-z0-9]{16}\.txt$|wecom/callback/|\.well-known/jwks\.json$)"
        }
        (true, true) => {
            r"^/(?:_gongpai/|sso/|(?:x_desktop/)?qiyeweixinsso\.html$|WW_verify_[A-Za-z0-9]{16}\.txt$|wecom/callback/|\.well-known/jwks\.json$|api/v1/)"
        }
    }
}

/// Returns the directives that forward a request to the gateway.
fn render_own_proxy(slug: &str, origin: &Origin) -> String {
    let mut out = format!(
        "        proxy_pass http://gongpai_{slug};\n        proxy_connect_timeout 5s;\n        \
         proxy_read_timeout 60s;\n        error_page 502 504 = @gongpai_down;\n"
    );
    let scheme = origin.scheme().as_str();
    let host = origin.authority();
    let set = [
        ("Host", host.as_str()),
        ("Connection", "\"\""),
        ("X-Request-Id", "$request_id"),
        ("X-Forwarded-For", "$remote_addr"),
        ("X-Forwarded-Proto", scheme),
        ("X-Forwarded-Host", "\"\""),
        ("X-Forwarded-Uri", "\"\""),
        ("X-Forwarded-Method", "\"\""),
        ("X-Original-URL", "\"\""),
        ("X-Original-URI", "\"\""),
        ("X-Original-Method", "\"\""),
        ("Forwarded", "\"\""),
        ("Cookie", "$gongpai_sent_cookie"),
        ("Authorization", "$gongpai_sent_authorization"),
    ];
    for (name, value) in set {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "        proxy_set_header {name} {value};");
    }
    out.truncate(out.trim_end().len());
    out
}

fn render_hooks(own_proxy: &str, is_shared: bool) -> String {
    let auth_off = if is_shared { "        auth_request off;\n" } else { "" };
    format!(
        "\n    # The path holds a token: Gongpai logs these requests itself, without it.\n    \
         location ^~ /hooks/o2oa/ {{\n{auth_off}        access_log off;\n        \
         error_log /dev/null crit;\n{own_proxy}\n    }}\n"
    )
}

fn render_app_tls(app: &Origin) -> String {
    format!(
        "        proxy_ssl_server_name on;\n        proxy_ssl_name {};\n        proxy_ssl_verify on;\n        \
         proxy_ssl_verify_depth 4;\n        \
         proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt; # or the company's own CA\n",
        app.host()
    )
}

/// Returns one line for each header, with every spelling that an application could mistake for it,
/// except those that the snippet sets.
fn render_cleared_headers() -> String {
    // The snippet sets these itself, so only their other spellings are cleared.
    let is_set = NGINX.identity_headers.iter().chain(&FORWARDED_HEADERS).map(|name| (name, 1));
    let mut out = String::new();
    for (name, skipped) in is_set.chain(CLEARED_HEADERS.iter().map(|name| (name, 0))) {
        let lines = list_spellings(name).into_iter().skip(skipped);
        let lines: Vec<_> = lines.map(|name| format!("proxy_set_header {name} \"\";")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "    {}", lines.join(" "));
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_on_every_address_is_reached_by_loopback() {
        let tcp = |a: &str| gateway_address(&ListenAddress::Tcp(a.parse().unwrap()));
        assert_eq!(tcp("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(tcp("[::]:8080"), "[::1]:8080");
        assert_eq!(tcp("10.0.0.5:80"), "10.0.0.5:80");
        assert_eq!(
            gateway_address(&ListenAddress::Unix("/run/gongpai.sock".into())),
            "unix:/run/gongpai.sock"
        );
    }
}
