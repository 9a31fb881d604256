//! Measures what an auth check costs, compared with a bare axum handler of the same build:
//!
//! ```text
//! cargo bench --bench gate          # everything: some 10 minutes and 1 GB of memory
//! cargo bench --bench gate -- --only gateway-10k --repeats 5 --requests 100000
//! ```
//!
//! Each subject is a server in its own process, pinned to one core. A second process on another core
//! asks `/auth/nginx` as nginx would, over 64 kept connections, with 10 000 different session cookies
//! in turn. The figure is the server's CPU time per request, as counted by the kernel's scheduler:
//! unlike requests per second it does not depend on what else the machine does. Subjects take turns,
//! so that a slow minute hits all of them. The best repeat shows the cost of the code, the median the
//! influence of the machine.
//!
//! The gateway is the one of `gongpai serve`, jobs included, on a database that another process
//! filled. Every cookie is sent once before anything is counted; the column "first use" shows that
//! first request, which verifies the signature and reads the row.
//!
//! With nginx (where it is installed) the figure is that of nginx and gateway together, for a file of
//! 1 KB and the configuration of `gongpai snippet nginx`; both share the core then.
//!
//! The program starts itself in four roles: the one that measures, `--seed`, `--serve` and `--load`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod gateway;
mod load;
mod nginx;
mod organisation;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use gongpai::testing::config::ListenAddress;
use gongpai::testing::supervisor::listen::Listener;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The number of different cookies that are sent in turn.
const ROTATION_COOKIES: usize = 10_000;
/// The cores that server and load are pinned to.
const SERVER_CORE: &str = "1";
const LOAD_CORE: &str = "0";

/// The path of a check.
const CHECK_PATH: &str = "/auth/nginx";

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BenchCase {
    /// The name, also on the command line.
    name: &'static str,
    /// The server that answers.
    subject: Subject,
    /// Active sessions in the gateway.
    sessions: usize,
    /// The path of the requests.
    path: &'static str,
    /// The case that it is compared with.
    reference: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// A router with one handler, in axum's accept loop.
    BareAxum,
    /// The same router in the gateway's accept loop.
    BareInOurLoop,
    Gateway,
    /// nginx with the printed configuration, and the gateway that it asks.
    Nginx,
}

const CASES: &[BenchCase] = &[
    BenchCase {
        name: "bare-axum-204",
        subject: Subject::BareAxum,
        sessions: 0,
        path: CHECK_PATH,
        reference: "bare-axum-204",
    },
    BenchCase {
        name: "bare-axum-204-our-loop",
        subject: Subject::BareInOurLoop,
        sessions: 0,
        path: CHECK_PATH,
        reference: "bare-axum-204",
    },
    BenchCase {
        name: "gateway-10k",
        subject: Subject::Gateway,
        sessions: 10_000,
        path: CHECK_PATH,
        reference: "bare-axum-204",
    },
    BenchCase {
        name: "gateway-100k",
        subject: Subject::Gateway,
        sessions: 100_000,
        path: CHECK_PATH,
        reference: "bare-axum-204",
    },
    BenchCase {
        name: "nginx-open",
        subject: Subject::Nginx,
        sessions: 10_000,
        path: nginx::OPEN_PATH,
        reference: "nginx-open",
    },
    BenchCase {
        name: "nginx-checked",
        subject: Subject::Nginx,
        sessions: 10_000,
        path: nginx::CHECKED_PATH,
        reference: "nginx-open",
    },
];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).map(String::as_str)
    };
    let path = |name: &'static str| value(name).map(Path::new).context(name);
    if let Some(name) = value("--serve") {
        return serve_case(name, path("--data")?);
    }
    if let Some(sessions) = value("--seed") {
        let sessions = sessions.parse().context("--seed N")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(gateway::seed_sessions(path("--data")?, sessions, path("--cookies")?));
    }
    let requests = value("--requests").map(str::parse).transpose().context("--requests N")?;
    if let Some(port) = value("--load") {
        let cookies = fs::read_to_string(path("--cookies")?)?;
        let port = port.parse().context("--load PORT")?;
        return load::run_load(port, value("--path").unwrap_or(CHECK_PATH), &cookies, requests.unwrap_or(1));
    }
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing is measured in a test run; see `cargo bench --bench gate`");
        return Ok(());
    }
    let repeats = value("--repeats").unwrap_or("7").parse().context("--repeats N")?;
    measure_cases(repeats, requests.unwrap_or(200_000), value("--only"))
}

// --- measuring ----------------------------------------------------------------------------------

/// The result of one repeat.
#[derive(Clone, Copy, Debug)]
struct Measurement {
    /// CPU time of the server per request, in microseconds.
    cpu: f64,
    /// Requests per second of wall-clock time.
    rate: f64,
}

fn measure_cases(repeats: usize, requests: usize, only: Option<&str>) -> Result<()> {
    ensure!(repeats >= 5, "fewer than five repeats say nothing on a machine that others use");
    let folder = tempfile::tempdir()?;
    let pinned = std::thread::available_parallelism()?.get() > 1
        && pinned_command(SERVER_CORE, "true").status().is_ok();
    if !pinned {
        println!("not pinned: this needs two cores and `taskset`; the figures are worth less");
    }
    let has_nginx = Path::new(nginx::NGINX_EXECUTABLE).exists();
    if !has_nginx {
        println!("without nginx: {} is not there", nginx::NGINX_EXECUTABLE);
    }
    let asked = |case: &BenchCase| only.is_none_or(|name| case.name == name);
    let wanted = |case: &&BenchCase| {
        CASES.iter().any(|c| asked(c) && (c.name == case.name || c.reference == case.name))
            && (has_nginx || case.subject != Subject::Nginx)
    };
    let seeds = Seeds { folder: folder.path(), pinned };
    let mut servers = Vec::new();
    for case in CASES.iter().filter(wanted) {
        println!("starting {} with {} sessions", case.name, case.sessions);
        servers.push(Server::start(*case, &seeds, pinned)?);
    }

    let mut figures = vec![Vec::new(); servers.len()];
    for repeat in 0..=repeats {
        // The first round is a warm-up and does not count.
        let count = if repeat == 0 { requests / 10 } else { requests };
        for (server, figures) in servers.iter().zip(&mut figures) {
            let figure = server.figure(&server.rotation, count, pinned)?;
            if repeat > 0 {
                println!(
                    "{repeat}/{repeats}  {:24} {:7.2} us  {:8.0} req/s",
                    server.case.name, figure.cpu, figure.rate
                );
                figures.push(figure);
            }
        }
    }
    print_table(&servers, &figures)
}

fn print_table(servers: &[Server], figures: &[Vec<Measurement>]) -> Result<()> {
    let sorted = |figures: &[Measurement], pick: fn(&Measurement) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let best = |values: &[f64]| values.first().copied().unwrap_or(f64::NAN);
    let median = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or(f64::NAN);

    println!(
        "\ngoals: a check costs at most 1/0.70 of bare-axum-204, nginx-checked at most 1/0.33 of nginx-open; ready in \
         200 ms; 32 MiB without a directory and sessions, 160 MiB with 100 000 of each"
    );
    println!("CPU per request; a ratio of 0.70 means that what it is compared with costs 0.70 of it");
    println!(
        "| subject | sessions | best us | median us | compared with | ratio best | ratio median | req/s | \
         first use us | ready ms | RSS MiB at start | with all sessions | now |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (server, figures_of_it) in servers.iter().zip(figures) {
        let case = server.case;
        let at = servers.iter().position(|s| s.case.name == case.reference).context("no reference")?;
        let reference = sorted(figures.get(at).context("no figures")?, |figure| figure.cpu);
        let cpu = sorted(figures_of_it, |figure| figure.cpu);
        let rate = sorted(figures_of_it, |figure| figure.rate);
        println!(
            "| {} | {} | {:.2} | {:.2} | {} | {:.2} | {:.2} | {:.0} | {:.1} | {:.0} | {:.1} | {:.1} | \
             {:.1} |",
            case.name,
            case.sessions,
            best(&cpu),
            median(&cpu),
            case.reference,
            best(&reference) / best(&cpu),
            median(&reference) / median(&cpu),
            median(&rate),
            server.first_use,
            server.ready.as_secs_f64() * 1e3,
            server.resident_at_start,
            server.resident_warm,
            server.resident_mib()?,
        );
    }
    Ok(())
}

/// Databases with active sessions, and their cookies; each size is created once.
struct Seeds<'a> {
    folder: &'a Path,
    pinned: bool,
}

impl Seeds<'_> {
    /// Returns a data folder for a case, and the file with the cookies of all its sessions.
    fn get(&self, case: BenchCase) -> Result<(PathBuf, PathBuf)> {
        // A server without sessions gets the same cookies as the one with the fewest.
        let sessions = case.sessions.max(ROTATION_COOKIES);
        let master = self.folder.join(format!("seed-{sessions}"));
        let cookies = self.folder.join(format!("seed-{sessions}.cookies"));
        if !cookies.exists() {
            let status = role_command(LOAD_CORE, self.pinned)?
                .args(["--seed", &sessions.to_string(), "--data"])
                .arg(&master)
                .arg("--cookies")
                .arg(&cookies)
                .status()?;
            ensure!(status.success(), "the database could not be filled");
        }
        // A copy, because two gateways would both write to one SQLite file.
        let data = self.folder.join(case.name);
        fs::create_dir_all(&data)?;
        for file in fs::read_dir(&master)? {
            let file = file?;
            fs::copy(file.path(), data.join(file.file_name()))?;
        }
        Ok((data, cookies))
    }
}

/// A server in processes of its own.
struct Server {
    case: BenchCase,
    port: u16,
    /// The cookies that are sent in turn.
    rotation: PathBuf,
    processes: Vec<ChildProcess>,
    first_use: f64,
    ready: Duration,
    resident_at_start: f64,
    resident_warm: f64,
}

/// A process that is killed on drop.
struct ChildProcess {
    child: Child,
    /// The process ends when this pipe is closed, so it never outlives the measurement.
    _leash: Option<ChildStdin>,
}

impl Server {
    fn start(case: BenchCase, seeds: &Seeds<'_>, pinned: bool) -> Result<Self> {
        let (data, cookies) = seeds.get(case)?;
        let rotation = data.join("rotation");
        let text = fs::read_to_string(&cookies)?;
        // Spread over all sessions, not only the first ones.
        let step = text.lines().count().div_ceil(ROTATION_COOKIES).max(1);
        fs::write(&rotation, text.lines().step_by(step).collect::<Vec<_>>().join("\n"))?;

        let began = Instant::now();
        let (mut port, server) = ChildProcess::serve(case, &data, pinned)?;
        let ready = began.elapsed();
        let mut processes = vec![server];
        if case.subject == Subject::Nginx {
            let gateway = std::mem::replace(&mut port, nginx::free_port()?);
            nginx::prepare_prefix(&data, &data, port, gateway)?;
            processes.push(ChildProcess::nginx(&data, port, pinned)?);
        }
        let (first_use, resident_at_start, resident_warm) = (f64::NAN, f64::NAN, f64::NAN);
        let mut server =
            Self { case, port, rotation, processes, first_use, ready, resident_at_start, resident_warm };
        server.resident_at_start = server.resident_mib()?;
        let first = server.figure(&cookies, text.lines().count(), pinned)?;
        if case.sessions > 0 {
            server.first_use = first.cpu;
        }
        server.resident_warm = server.resident_mib()?;
        Ok(server)
    }

    fn figure(&self, cookies: &Path, requests: usize, pinned: bool) -> Result<Measurement> {
        let (cpu, clock) = (self.cpu()?, Instant::now());
        let status = role_command(LOAD_CORE, pinned)?
            .args(["--load", &self.port.to_string(), "--path", self.case.path])
            .args(["--requests", &requests.to_string(), "--cookies"])
            .arg(cookies)
            .status()?;
        ensure!(status.success(), "the load on {} failed", self.case.name);
        let (cpu, clock) = (self.cpu()?.saturating_sub(cpu), clock.elapsed());
        let requests = f64::from(u32::try_from(requests)?);
        Ok(Measurement { cpu: cpu.as_secs_f64() * 1e6 / requests, rate: requests / clock.as_secs_f64() })
    }

    /// Returns the CPU time of all threads.
    fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for process in &self.processes {
            for thread in fs::read_dir(format!("/proc/{}/task", process.child.id()))? {
                let line = fs::read_to_string(thread?.path().join("schedstat"))?;
                nanoseconds += line.split(' ').next().context("schedstat")?.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Returns the memory of the measured process, without nginx.
    fn resident_mib(&self) -> Result<f64> {
        let process = self.processes.first().context("no process")?;
        let status = fs::read_to_string(format!("/proc/{}/status", process.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(f64::from(line.trim().trim_end_matches(" kB").parse::<u32>()?) / 1024.0)
    }
}

impl ChildProcess {
    /// Starts this program as the server of `case`; returns its port.
    fn serve(case: BenchCase, data: &Path, pinned: bool) -> Result<(u16, Self)> {
        let mut child = role_command(SERVER_CORE, pinned)?
            .args(["--serve", case.name, "--data"])
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let leash = child.stdin.take();
        let output = child.stdout.take().context("the server's output")?;
        let server = Self { child, _leash: leash };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("{} did not start", case.name))?;
        Ok((port, server))
    }

    fn nginx(prefix: &Path, port: u16, pinned: bool) -> Result<Self> {
        let mut command = if pinned {
            pinned_command(SERVER_CORE, nginx::NGINX_EXECUTABLE)
        } else {
            Command::new(nginx::NGINX_EXECUTABLE)
        };
        let child = command.arg("-p").arg(prefix).args(["-c", "nginx.conf", "-e", "error.log"]).spawn()?;
        let server = Self { child, _leash: None };
        let began = Instant::now();
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            ensure!(began.elapsed() < Duration::from_secs(10), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // Both fail only for a child that has already been reaped.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// Returns a command that runs this program again, pinned to `core`.
fn role_command(core: &str, pinned: bool) -> Result<Command> {
    let this = std::env::current_exe()?;
    Ok(if pinned { pinned_command(core, this) } else { Command::new(this) })
}

fn pinned_command(core: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

// --- serving ------------------------------------------------------------------------------------

fn serve_case(name: &str, data: &Path) -> Result<()> {
    let case = CASES.iter().find(|case| case.name == name).with_context(|| format!("no case {name}"))?;
    // One worker for each core that it may use: one, when pinned.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ready = |port: u16| {
        println!("{port}");
        std::thread::spawn(|| {
            // Nothing is ever written to this pipe; the read returns when the measuring process is
            // gone.
            let _ = std::io::stdin().read(&mut [0]);
            std::process::exit(0);
        });
    };
    let bare = Router::new().route(CHECK_PATH, get(|| std::future::ready(StatusCode::NO_CONTENT)));
    runtime.block_on(async {
        match case.subject {
            Subject::BareAxum => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                ready(listener.local_addr()?.port());
                axum::serve(listener, bare).await?;
            }
            Subject::BareInOurLoop => {
                let any = ListenAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
                let listener = Listener::bind(&any).await?;
                ready(listener.port().context("no port")?);
                gongpai::testing::supervisor::listen::serve_routes(listener, bare, CancellationToken::new())
                    .await;
            }
            Subject::Gateway | Subject::Nginx => gateway::serve_gateway(data, ready).await?,
        }
        Ok(())
    })
}
