//! Checks `[server]`, `[database]`, `[session]`, `[pages]` and `[log]`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use secrecy::ExposeSecret as _;
use url::Url;

use super::LayerReader;
use crate::base::copy_fault::CopiedAlphabet;
use crate::config::model::{
    DatabaseConfig, ListenAddress, LogConfig, LogFormat, PagesConfig, RootSecret, ServerConfig, SessionConfig,
};
use crate::config::root_secret::decode_root_secret;
use crate::config::{suggestion, units};

pub(super) fn check_server(r: &mut LayerReader<'_>) -> Option<ServerConfig> {
    let listen = r.parsed("server.listen", units::parse_listen_address);
    let admin_listen = r.parsed("server.admin_listen", units::parse_listen_address);
    if let (Some(listen), Some(admin)) = (&listen, &admin_listen)
        && is_collision(listen, admin)
    {
        r.error(
            "server.admin_listen",
            "must differ from server.listen: the admin listener is not for browsers",
        );
    }
    let trusted_proxies = check_trusted_proxies(r);
    let start_rate = r.parsed("server.start_rate", units::parse_rate);
    let bad_code_rate = r.parsed("server.bad_code_rate", units::parse_rate);
    let secret = check_root_secret(r);
    Some(ServerConfig {
        listen: listen?,
        admin_listen: admin_listen?,
        trusted_proxies: trusted_proxies?,
        start_rate: start_rate?,
        bad_code_rate: bad_code_rate?,
        secret: secret?,
    })
}

/// Returns whether both cannot be bound at the same time. Port 0 means any free port.
fn is_collision(a: &ListenAddress, b: &ListenAddress) -> bool {
    // An unspecified address (`0.0.0.0`, `::`) takes the port on every interface.
    let any = |x: &SocketAddr| x.ip().is_unspecified();
    match (a, b) {
        (ListenAddress::Tcp(a), ListenAddress::Tcp(b)) => {
            a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || any(a) || any(b))
        }
        (ListenAddress::Unix(a), ListenAddress::Unix(b)) => a == b,
        _ => false,
    }
}

fn check_trusted_proxies(r: &mut LayerReader<'_>) -> Option<Vec<IpNet>> {
    const KEY: &str = "server.trusted_proxies";
    let read: Vec<_> = r.list(KEY).iter().map(|text| units::parse_network(text)).collect();
    let wrong = read.iter().position(Option::is_none);
    if let Some(index) = wrong {
        let number = index.saturating_add(1);
        r.error(KEY, format_args!("entry {number} must be an address or a network, \"10.0.0.0/8\""));
        return None;
    }
    let networks: Vec<IpNet> = read.into_iter().flatten().collect();
    for everybody in networks.iter().filter(|net| net.prefix_len() == 0) {
        let message = format_args!(
            "{everybody} trusts everybody: whoever reaches the listener may claim any client address and any \
             original URL; name the proxies only"
        );
        r.warn(KEY, message);
    }
    Some(networks)
}

/// Returns the outer `None` for an error, the inner one if it is not set and the file in `data_dir`
/// counts.
fn check_root_secret(r: &mut LayerReader<'_>) -> Option<Option<RootSecret>> {
    const KEY: &str = "server.secret";
    let Some(text) = r.secret(KEY) else {
        // A file that cannot be read is a finding already.
        if is_postgres(r) && r.text("server.secret_file").is_empty() {
            r.error(
                KEY,
                "is required with PostgreSQL, so that every replica has the same; make one with: \
                 openssl rand -base64 32",
            );
            return None;
        }
        return Some(None);
    };
    let secret = decode_root_secret(text.expose_secret());
    if secret.is_none() {
        // The alphabet of the console lacks three characters of base64.
        let along = r.copied_along(KEY, CopiedAlphabet::Url);
        r.error(
            KEY,
            format_args!("must be 32 bytes in base64{along}; make one with: openssl rand -base64 32"),
        );
    }
    secret.map(Some)
}

const DATABASE_KEY: &str = "database.url";

fn is_postgres(r: &LayerReader<'_>) -> bool {
    r.secret(DATABASE_KEY).is_some_and(|url| {
        let url = url.expose_secret();
        url.starts_with("postgres://") || url.starts_with("postgresql://")
    })
}

pub(super) fn check_database(r: &mut LayerReader<'_>, data_dir: Option<&PathBuf>) -> Option<DatabaseConfig> {
    let Some(url) = r.secret(DATABASE_KEY) else {
        return Some(DatabaseConfig::Sqlite(data_dir?.join("gongpai.db")));
    };
    if !is_postgres(r) || Url::parse(url.expose_secret()).is_err() {
        let along = r.copied_along(DATABASE_KEY, CopiedAlphabet::Url);
        r.error(
            DATABASE_KEY,
            format_args!(
                "must be empty (SQLite in data_dir) or \"postgres://user:password@host/database\", with special \
                 characters of the password percent-encoded{along}"
            ),
        );
        return None;
    }
    r.warn_of_copy_fault(DATABASE_KEY, CopiedAlphabet::Url);
    Some(DatabaseConfig::Postgres(url))
}

pub(super) fn check_session(r: &mut LayerReader<'_>) -> Option<SessionConfig> {
    let ttl = r.parsed("session.ttl", units::parse_positive_duration);
    let idle = r.parsed("session.idle", units::parse_positive_duration);
    let session = SessionConfig { ttl: ttl?, idle: idle? };
    if session.idle > session.ttl {
        r.warn("session.idle", "is longer than session.ttl and has no effect: sessions end at ttl");
    }
    Some(session)
}

pub(super) fn check_pages(r: &mut LayerReader<'_>) -> Option<PagesConfig> {
    let logo_file = check_logo_file(r);
    let (title, contact) = (r.text("pages.title").to_owned(), r.text("pages.contact").to_owned());
    Some(PagesConfig { title, contact, logo_file: logo_file? })
}

fn check_logo_file(r: &mut LayerReader<'_>) -> Option<Option<PathBuf>> {
    const KEY: &str = "pages.logo_file";
    if r.text(KEY).is_empty() {
        return Some(None);
    }
    let path = PathBuf::from(r.text(KEY));
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if !["png", "jpg", "jpeg", "svg", "webp"].contains(&extension.as_str()) {
        r.error(KEY, "must be a picture: .png, .jpg, .svg or .webp");
        return None;
    }
    if let Err(cause) = ensure_readable(&path) {
        r.error(KEY, format_args!("cannot read {}: {cause}", path.display()));
        return None;
    }
    Some(Some(path))
}

fn ensure_readable(path: &Path) -> std::io::Result<()> {
    if std::fs::File::open(path)?.metadata()?.is_file() {
        Ok(())
    } else {
        Err(std::io::Error::other("this is not a file"))
    }
}

pub(super) fn check_log(r: &mut LayerReader<'_>) -> Option<LogConfig> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = r.one_of("log.format", &formats);
    let level = r.text("log.level").to_owned();
    // A single word is also a filter, for a target of that name: "inof" would silence the whole
    // log.
    let word = level.bytes().all(|b| b.is_ascii_alphanumeric());
    let known = LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known));
    if (word && !known) || tracing_subscriber::EnvFilter::builder().parse(&level).is_err() {
        let hint = suggestion::suggest_nearest("level", &level, LEVELS.into_iter());
        r.error(
            "log.level",
            format_args!("must be a level or a filter, \"info\" or \"gongpai=debug,info\"{hint}"),
        );
        return None;
    }
    Some(LogConfig { level, format: format? })
}
