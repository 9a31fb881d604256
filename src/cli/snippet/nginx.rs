//! `gongpai snippet nginx`: complete blocks for the http context.
//!
//! The text is `nginx.conf` beside this file; here stands what depends on the installation.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;

use crate::base::host::{Origin, Scheme};
use crate::config::{Config, Listen};

use super::{SnippetError, application_host};

const TEMPLATE: &str = include_str!("nginx.conf");

/// Where Debian, Red Hat and the official image keep it; nginx has no name for "the log that is the default".
pub const DEFAULT_ACCESS_LOG: &str = "/var/log/nginx/access.log";

/// Our cookies, as [`crate::http::cookie`] would read them: the session, attempts (`-s-…`) and markers (`-m`, `-o`).
const OUR_COOKIE: &str = "(?:__Host-|__Secure-)?gongpai(?:-s-[^=;]*|-m|-o)?[ \\t]*=";

/// How many runs of other cookies are kept: one more than a browser can hold of ours (24 attempts, a session of
/// each name, markers), so that they may stand in any order.
const COOKIE_RUNS: usize = 32;

/// What a client must not be able to say to an application: names that applications take an identity or a
/// request from, and the underscore spellings of ours (CGI and WSGI read both alike).
const CLEARED: [&str; 31] = [
    "Remote_User",
    "Remote_Name",
    "Remote_Email",
    "Remote_Groups",
    "Gongpai_Assertion",
    "X_Forwarded_For",
    "X_Forwarded_Proto",
    "X_Forwarded_Host",
    "X_Real_IP",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Rewrite-URL",
    "Forwarded",
    "Gongpai-Denied",
    // The method that was checked is the method that happens.
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    // CGI programs take it for HTTP_PROXY.
    "Proxy",
];

/// Arguments of `gongpai snippet nginx`.
#[derive(Debug, Clone)]
pub struct NginxArgs {
    /// `--host H[:PORT]`: the application's host as browsers name it.
    pub host: String,
    /// `--upstream http(s)://host[:port]`: the application itself.
    pub upstream: String,
    /// `--listen ADDR`: as in nginx's `listen`; on an https host ` ssl` is added if it is not there.
    pub listen: String,
    /// `--api`: also pass `/api/v1/` of the public host to us.
    pub api: bool,
    /// The file that requests to our own paths are logged to: [`DEFAULT_ACCESS_LOG`].
    pub access_log: String,
}

/// The configuration of one application host.
///
/// # Errors
/// [`SnippetError`] if an argument is not what it should be, or the host is none of this installation.
pub fn nginx(config: &Config, args: &NginxArgs) -> Result<String, SnippetError> {
    let origin = application_host(config, &args.host)?;
    let app = upstream(&args.upstream)?;
    let listen = args.listen.trim();
    let word = |c: char| c.is_ascii_alphanumeric() || " .:[]_=/-".contains(c);
    if listen.is_empty() || !listen.chars().all(word) {
        return Err(SnippetError::BadListen(args.listen.clone()));
    }
    let slug = slug(&origin);
    let is_public = config.hosts.is_public(&origin);
    let (regex, value) = cookie_filter();
    let own_proxy = own_proxy(&slug, &origin);
    let hooks = if is_public { hooks(&own_proxy) } else { String::new() };
    let app_tls = if app.scheme() == Scheme::Https { app_tls(&app) } else { String::new() };
    let api = args.api && is_public;
    Ok(fill(&[
        ("host", &origin.authority()),
        ("host_file", origin.host()),
        ("upstream", &args.upstream),
        ("listen", listen),
        ("api_flag", if args.api { " --api" } else { "" }),
        ("slug", &slug),
        ("gateway", &gateway(&config.server.listen)),
        ("app", &format!("{}:{}", app.host(), app.port())),
        ("app_scheme", app.scheme().as_str()),
        ("app_tls", &app_tls),
        ("cookie_regex", &regex),
        ("cookie_value", &value),
        ("listen_lines", &listen_lines(&origin, listen)),
        ("server_name", origin.host()),
        ("scheme", origin.scheme().as_str()),
        ("port", &origin.port().to_string()),
        ("cleared", &cleared()),
        ("own_paths", own_paths(is_public, api)),
        ("access_log", &args.access_log),
        ("own_proxy", &own_proxy),
        ("hooks", &hooks),
    ]))
}

/// Puts the values into the template in one pass, so that no value is read as template.
fn fill(values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(2 * TEMPLATE.len());
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = after.split_once("}}") else { break };
        out.push_str(values.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A name for upstreams and log formats, of which a second one of the same name is an error in nginx.
fn slug(origin: &Origin) -> String {
    let mut slug = String::new();
    for c in origin.authority().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            '-' => slug.push_str("__"),
            _ => slug.push('_'),
        }
    }
    slug
}

/// Our own address as nginx on the same machine reaches it.
fn gateway(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
                ip => ip,
            };
            SocketAddr::new(ip, address.port()).to_string()
        }
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn upstream(text: &str) -> Result<Origin, SnippetError> {
    let bad = || SnippetError::BadUpstream(text.to_owned());
    let url = Url::parse(text).map_err(|_| bad())?;
    let origin = Origin::of(&url).ok_or_else(bad)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
    if bare && text.chars().all(plain) { Ok(origin) } else { Err(bad()) }
}

fn listen_lines(origin: &Origin, listen: &str) -> String {
    // An entry of nginx's hash is the name and 18 bytes, and a bucket by default 64.
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

/// The paths that are ours, as a regular expression. A regex location, the first of the server, wins over those
/// an administrator adds below.
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

/// How a request to a path of ours is passed on.
fn own_proxy(slug: &str, origin: &Origin) -> String {
    let mut out = format!("        proxy_pass http://gongpai_{slug};\n");
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
    ];
    for (name, value) in set {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "        proxy_set_header {name} {value};");
    }
    out.truncate(out.trim_end().len());
    out
}

fn hooks(own_proxy: &str) -> String {
    format!(
        "\n    # The path holds a token: Gongpai logs these requests itself, without it.\n    \
         location ^~ /hooks/o2oa/ {{\n        auth_request off;\n        access_log off;\n        \
         error_log /dev/null crit;\n{own_proxy}\n    }}\n"
    )
}

fn app_tls(app: &Origin) -> String {
    format!(
        "        proxy_ssl_server_name on;\n        proxy_ssl_name {};\n        proxy_ssl_verify on;\n        \
         proxy_ssl_verify_depth 4;\n        \
         proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt; # or the company's own CA\n",
        app.host()
    )
}

fn cleared() -> String {
    let mut out = String::new();
    for name in CLEARED {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "    proxy_set_header {name} \"\";");
    }
    out.truncate(out.trim_end().len());
    out
}

/// The `map` line that takes our cookies out: a regular expression over the whole header with one named group for
/// each run of other cookies, and the groups joined again.
///
/// Every repetition is possessive, so it reads the header once whatever is in it. The two kinds of cookie are
/// defined once and called, because nginx takes no parameter longer than 4096 bytes.
fn cookie_filter() -> (String, String) {
    let mut regex = format!(
        "~^(?(DEFINE)(?<gongpai_own>{OUR_COOKIE}[^;]*+)(?<gongpai_other>(?!{OUR_COOKIE})[^;]*+))\
         [ \\t]*+(?:(?&gongpai_own)(?:;[ \\t]*+|$))*+\
         (?<gongpai_0>(?&gongpai_other)(?:;[ \\t]*+(?&gongpai_other))*+)"
    );
    let mut value = "$gongpai_0".to_owned();
    for run in 1..COOKIE_RUNS {
        // Writing to a String cannot fail.
        let _ =
            write!(regex, "(?:;[ \\t]*+(?&gongpai_own))*+(?<gongpai_{run}>(?:;[ \\t]*+(?&gongpai_other))*+)");
        let _ = write!(value, "$gongpai_{run}");
    }
    regex.push_str("(?:;[ \\t]*+(?&gongpai_own))*+$");
    (regex, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_filter_fits_into_one_parameter_of_nginx() {
        let (regex, value) = cookie_filter();
        assert!(regex.len() + value.len() < 4000, "{} {}", regex.len(), value.len());
    }

    #[test]
    fn a_gateway_on_every_address_is_reached_by_loopback() {
        let tcp = |a: &str| gateway(&Listen::Tcp(a.parse().unwrap()));
        assert_eq!(tcp("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(tcp("[::]:8080"), "[::1]:8080");
        assert_eq!(tcp("10.0.0.5:80"), "10.0.0.5:80");
        assert_eq!(gateway(&Listen::Unix("/run/gongpai.sock".into())), "unix:/run/gongpai.sock");
    }
}
