//! `gongpai-demo`: what an employee sees, on this machine and without a WeCom account.
//!
//! One process on loopback, with the parts that a company has around nginx:
//!
//! ```text
//! browser ──▶ simulator   a phone with the workbench, and WeCom's own pages
//!    └──────▶ proxy       does what nginx does with the printed snippet ──▶ application (a sample)
//!               └───────▶ gateway   the real one, on a database that is thrown away
//! ```
//!
//! Nobody reaches the gateway directly. public_url is the proxy's address; its port is taken first, so
//! the address is known before the gateway starts.

mod application;
mod folder;
mod proxy;
mod todo;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use gongpai::simulator::{Simulator, World};
use gongpai::testing::app::{App, RuntimeParts};
use gongpai::testing::base::clock::Clock;
use gongpai::testing::base::secret::{random_token, sha256_hex};
use gongpai::testing::config::{Config, ConfigSources};
use gongpai::testing::observe::telemetry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use folder::TemporaryFolder;
use proxy::DemoProxy;
use todo::Todos;

/// How long the database may take to close. After that its files are removed all the same.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A WeCom, the gateway and a sample application on this machine: no account, no configuration.
#[derive(Debug, Parser)]
#[command(name = "gongpai-demo", version, after_help = "Example:\n  gongpai-demo --port 9300")]
struct DemoArgs {
    /// The port of the phone, which is the page to open; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = DemoArgs::parse();
    // The signals are handled before there is anything that could be left behind.
    let stopped = stop_signal()?;
    let folder = TemporaryFolder::create().context("there is no place for the demo's files")?;
    let outcome = run_demo(&args, folder.path(), stopped).await;
    folder.remove().context("the demo's files could not be removed")?;
    outcome
}

/// Runs all parts until `stopped` completes. A part that ends by itself is an error.
async fn run_demo(args: &DemoArgs, data_dir: &Path, stopped: impl Future<Output = ()>) -> anyhow::Result<()> {
    let phone = bind_loopback(args.port).await?;
    let front = bind_loopback(0).await?;
    let (phone_url, public_url) = (listener_url(&phone)?, listener_url(&front)?);
    let world = sample_company(&public_url);
    // As `gongpai api-client add` does it: the application keeps the secret, the gateway its hash.
    let secret = random_token::<32>();
    let members: Vec<_> = world.members.iter().map(|m| (m.userid.clone(), m.name.clone())).collect();
    let text = render_configuration(data_dir, &public_url, &phone_url, &world, &secret)?;
    let (config, _) = Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() })?;
    telemetry::start_logging(&config.log)?;
    let (app, runtime_parts) = App::build(config, Clock::System).await.context("the gateway cannot start")?;
    let db = app.db.clone();
    let simulator = Simulator::new(world);
    let outcome = {
        let (listening, gateway_address) = oneshot::channel();
        let gateway = pin!(run_gateway(app, runtime_parts, listening));
        let todos = Todos::new(&public_url, members, secret)?;
        let applications =
            pin!(run_applications(front, gateway_address, public_url, format!("{phone_url}/phone"), todos));
        // Nothing is shut down gracefully: there is no request that matters and no data to keep.
        tokio::select! {
            () = stopped => Ok(()),
            ended = gateway => ended,
            ended = applications => ended,
            ended = simulator.serve(phone, std::future::pending()) => ended.context("the simulator ended"),
        }
    };
    if tokio::time::timeout(CLOSE_TIMEOUT, db.close()).await.is_err() {
        tracing::warn!("The database did not close in time");
    }
    outcome
}

/// Runs the gateway and sends its address once it listens.
async fn run_gateway(
    app: App,
    runtime_parts: RuntimeParts,
    listening: oneshot::Sender<String>,
) -> anyhow::Result<()> {
    let ready = |public: &str, _admin: &str| {
        // The receiver is dropped only when the whole demo ends.
        let _ = listening.send(public.to_owned());
    };
    app.run(runtime_parts, ready).await.context("the gateway ended")
}

/// Runs the proxy with the sample application behind it, and announces the URL of the phone.
async fn run_applications(
    front: TcpListener,
    gateway: oneshot::Receiver<String>,
    public_url: String,
    phone: String,
    todos: Todos,
) -> anyhow::Result<()> {
    let gateway = gateway.await.context("the gateway did not start")?;
    let application = application::build_routes(phone.clone(), todos.with_gateway(&gateway));
    let proxy = DemoProxy::new(&gateway, &public_url, application)?;
    announce(&phone);
    axum::serve(front, proxy.routes()).await.context("the proxy ended")
}

/// Returns the sample company with the application's icon on the workbench.
fn sample_company(public_url: &str) -> World {
    let mut world = World::default();
    "报销".clone_into(&mut world.app.name);
    // An ordinary browser plays WeCom's own here: `entrance=app` tells the gateway so.
    world.app.home_url = format!("{public_url}/sso/login?rd=%2F&entrance=app");
    "entrance=app".clone_into(&mut world.app.link_query);
    world.app.trusted_domains = vec![authority(public_url).to_owned()];
    world
}

/// Returns the gateway's `gongpai.toml`: as in production, but with free ports.
fn render_configuration(
    data_dir: &Path,
    public_url: &str,
    phone_url: &str,
    world: &World,
    secret: &str,
) -> anyhow::Result<String> {
    let data_dir =
        data_dir.to_str().context("the folder for temporary files has a name that is not UTF-8")?;
    let text = |text: &str| toml::Value::from(text).to_string();
    Ok(format!(
        r#"
public_url = {public_url}
data_dir = {data_dir}

[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"

[wecom]
corp_id = {corp_id}
agent_id = {agent_id}
app_secret = {app_secret}
contacts_secret = {contacts_secret}
# Often, so that a change in the simulated organisation is seen at once.
sync_cron = "0/5 * * * * ?"
api_address = {wecom}
oauth2_address = {wecom}
qr_connect_address = {wecom}

[pages]
title = {title}
contact = "IT 服务台 8008"

[[api_clients]]
id = "expenses"
secret_hash = "sha256:{secret_hash}"
scopes = ["messages"]

[[rules]]
host = "127.0.0.1"
path = "/boss/**"
allow = ["user:zhangsan"]

[[rules]]
host = "127.0.0.1"
path = "/finance/**"
allow = ["unit:财务部/**"]

[[rules]]
host = "127.0.0.1"
path = "/"
allow = ["members"]

[[rules]]
host = "127.0.0.1"
path = "/todo/**"
allow = ["members"]

[[rules]]
host = "127.0.0.1"
path = "/application.css"
allow = ["members"]

[log]
level = "warn"
format = "text"
"#,
        public_url = text(public_url),
        data_dir = text(data_dir),
        corp_id = text(&world.corp_id),
        agent_id = world.app.agent_id,
        app_secret = text(&world.app.secret),
        contacts_secret = text(&world.contacts.secret),
        wecom = text(phone_url),
        title = text(&world.corp_name),
        secret_hash = sha256_hex(secret),
    ))
}

async fn bind_loopback(port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; try another --port"))
}

fn listener_url(listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Returns `host:port` of a URL made by [`listener_url`].
fn authority(url: &str) -> &str {
    url.trim_start_matches("http://")
}

/// Completes at Ctrl-C, at SIGTERM, and when the terminal closes.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// Prints the URL of the phone and how to end the demo.
#[expect(clippy::print_stdout, reason = "what the program has to say to whoever started it")]
fn announce(phone: &str) {
    println!("工牌演示 · Gongpai demo: {phone}");
    println!("按 Ctrl-C 结束，不留下任何东西。Ctrl-C ends it and leaves nothing behind.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_configuration_is_accepted_without_a_warning() {
        let (public, phone) = ("http://127.0.0.1:2", "http://127.0.0.1:1");
        let text =
            render_configuration(Path::new("/tmp/a \"b\""), public, phone, &sample_company(public), "secret")
                .unwrap();
        let (config, warnings) =
            Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() }).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(config.hosts.public().to_string(), public);
        assert_eq!(config.data_dir, Path::new("/tmp/a \"b\""));
    }

    #[test]
    fn the_icon_opens_what_wecom_trusts() {
        let world = sample_company("http://127.0.0.1:2");
        assert_eq!(world.app.trusted_domains, ["127.0.0.1:2"]);
        assert_eq!(world.app.home_url, "http://127.0.0.1:2/sso/login?rd=%2F&entrance=app");
    }
}
