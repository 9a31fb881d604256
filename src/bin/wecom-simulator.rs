//! `wecom-simulator`: a WeCom on this machine, to try Gongpai without an account.

use std::error::Error;
use std::net::SocketAddr;

use clap::Parser;
use gongpai::simulator::{MARKER, Simulator, World};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The generated corporation is the same at every start.
const SEED: u64 = 20_260_101;

/// A simulated WeCom: server API, authorize page, QR page and a phone with a workbench.
#[derive(Debug, Parser)]
#[command(
    name = MARKER,
    version,
    after_help = "Example:\n  wecom-simulator --listen 127.0.0.1:9300 --trusted-domain 127.0.0.1:8080 \\\n    \
                  --home-url 'http://127.0.0.1:8080/sso/login?rd=%2F&entrance=app'"
)]
struct SimulatorArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// 企业ID
    #[arg(long, value_name = "ID")]
    corp_id: Option<String>,
    /// `AgentId` of the application
    #[arg(long, value_name = "ID")]
    agent_id: Option<i64>,
    /// Secret of the application
    #[arg(long, value_name = "SECRET")]
    app_secret: Option<String>,
    /// Secret of 通讯录同步
    #[arg(long, value_name = "SECRET")]
    contacts_secret: Option<String>,
    /// 网页授权可信域名, exactly as in the browser; repeat it for more
    #[arg(long = "trusted-domain", value_name = "HOST[:PORT]")]
    trusted_domains: Vec<String>,
    /// 应用主页: what the icon on the workbench opens
    #[arg(long, value_name = "URL")]
    home_url: Option<String>,
    /// 接收消息服务器URL, without which cards with buttons are refused; nothing is sent to it
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// So many invented members besides the named ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    members: usize,
    /// So many invented departments besides the named ones, as a deep tree that the invented
    /// members are in
    #[arg(long, value_name = "N", default_value_t = 0)]
    departments: usize,
}

impl SimulatorArgs {
    fn into_world(self) -> World {
        let mut world = World::default();
        let set = |into: &mut String, from: Option<String>| {
            if let Some(from) = from {
                *into = from;
            }
        };
        set(&mut world.corp_id, self.corp_id);
        set(&mut world.app.secret, self.app_secret);
        set(&mut world.contacts.secret, self.contacts_secret);
        set(&mut world.app.home_url, self.home_url);
        set(&mut world.app.callback_url, self.callback_url);
        world.app.agent_id = self.agent_id.unwrap_or(world.app.agent_id);
        world.app.trusted_domains = self.trusted_domains;
        if self.departments == 0 {
            world.populate(self.members);
        } else {
            world.populate_large(self.members, self.departments, SEED);
        }
        world
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = SimulatorArgs::parse();
    let listener = TcpListener::bind(args.listen).await?;
    let world = args.into_world();
    announce(&world, listener.local_addr()?);
    let simulator = Simulator::new(world);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    // A graceful stop would wait for calls that a fault keeps open for ever.
    tokio::select! {
        served = simulator.serve(listener, std::future::pending()) => served?,
        () = stopped => {}
    }
    Ok(())
}

/// Prints one `name = value` a line, for people and for scripts.
#[expect(clippy::print_stdout, reason = "what the program has to say to whoever started it")]
fn announce(world: &World, address: SocketAddr) {
    println!("url = http://{address}");
    println!("phone = http://{address}/phone");
    println!("inbox = http://{address}/phone/inbox");
    println!("organisation = http://{address}/organisation");
    println!("corp_id = {}", world.corp_id);
    println!("agent_id = {}", world.app.agent_id);
    println!("app_secret = {}", world.app.secret);
    println!("contacts_secret = {}", world.contacts.secret);
    println!("trusted_domains = {}", world.app.trusted_domains.join(" "));
    println!("home_url = {}", world.app.home_url);
    println!("members = {}", world.members.len());
    println!("departments = {}", world.departments.len());
}
