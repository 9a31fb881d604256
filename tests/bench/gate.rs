//! What an auth check costs, beside a bare axum handler of the same build:
//!
//! ```text
//! cargo bench --bench gate [-- --repeats 7 --requests 200000]
//! ```
//!
//! Each subject is a server process of its own, pinned to one core; a second process on another core asks
//! `/auth/nginx` as nginx would, over 64 kept connections, with 10 000 different session cookies in rotation. The
//! figure is the server's CPU time per request, as the kernel's scheduler counted it: unlike requests per second it
//! does not change with what else the machine does in that moment. Subjects take turns, so that a slow minute hits
//! all of them; the best of the repeats says what the code costs, the median what the machine made of it.
//!
//! The program starts itself in three roles: the one that measures, `--serve` and `--load`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How many different cookies are sent in turn.
const ROTATION: usize = 10_000;
/// What nginx keeps open to one upstream under load.
const CONNECTIONS: usize = 64;
/// The cores that server and load are pinned to.
const SERVER_CORE: &str = "1";
const LOAD_CORE: &str = "0";
/// A repeat that takes longer is stuck.
const DEADLINE: Duration = Duration::from_secs(300);

/// The application that the checks are about: its address as nginx passes it on.
const ORIGINAL_URL: &str = "https://app.bench.test/orders/17?page=2";

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    /// How it is called, also on the command line.
    name: &'static str,
    /// How many sessions are alive in the server.
    sessions: usize,
}

/// The first is what the others are compared with.
const CASES: &[Case] = &[Case { name: "bare-axum-204", sessions: 0 }];

/// A server about to be measured.
struct Subject {
    /// Where it listens on loopback.
    port: u16,
    /// The accept loop and everything behind it, for ever.
    serve: Pin<Box<dyn Future<Output = Result<()>>>>,
    /// Session cookies, as `name=value`; empty for a subject that looks at none, which is then sent another's.
    cookies: Vec<String>,
}

/// Builds what `case` measures. This is the place where a further case of [`CASES`] gets its server: the gateway as
/// production builds it (accept loop, middleware, rules for the host of [`ORIGINAL_URL`]), with `case.sessions`
/// live sessions, of which the cookies of the first [`ROTATION`] are given back.
async fn subject(case: Case) -> Result<Subject> {
    match case.name {
        "bare-axum-204" => {
            let router =
                Router::new().route("/auth/nginx", get(|| std::future::ready(StatusCode::NO_CONTENT)));
            served_by_axum(router).await
        }
        name => bail!("no subject is called {name}"),
    }
}

/// A router alone, in axum's own accept loop.
async fn served_by_axum(router: Router) -> Result<Subject> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let serve = Box::pin(async move { Ok(axum::serve(listener, router).await?) });
    Ok(Subject { port, serve, cookies: Vec::new() })
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).map(String::as_str)
    };
    if let Some(name) = value("--serve") {
        return serve(name, Path::new(value("--cookies").context("--cookies FILE")?));
    }
    let requests = value("--requests").unwrap_or("200000").parse().context("--requests N")?;
    if let Some(port) = value("--load") {
        let cookies = fs::read_to_string(value("--cookies").context("--cookies FILE")?)?;
        return load(port.parse().context("--load PORT")?, &cookies, requests);
    }
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing is measured in a test run; see `cargo bench --bench gate`");
        return Ok(());
    }
    measure(value("--repeats").unwrap_or("7").parse().context("--repeats N")?, requests)
}

// --- the one that measures ---------------------------------------------------------------------------------

/// What one repeat found.
#[derive(Clone, Copy, Debug)]
struct Figure {
    /// CPU time of the server per request, in microseconds.
    cpu: f64,
    /// Requests per second, by the clock on the wall.
    rate: f64,
}

fn measure(repeats: usize, requests: usize) -> Result<()> {
    ensure!(repeats >= 5, "fewer than five repeats say nothing on a machine that others use");
    let folder = tempfile::tempdir()?;
    let pinned =
        std::thread::available_parallelism()?.get() > 1 && on_core(SERVER_CORE, "true").status().is_ok();
    if !pinned {
        println!("not pinned: this needs two cores and `taskset`; the figures are worth less");
    }
    let mut servers = Vec::new();
    for case in CASES {
        println!("starting {} with {} sessions", case.name, case.sessions);
        servers.push(Server::start(*case, folder.path(), pinned)?);
    }
    let borrowed = match servers.iter().find(|server| server.has_cookies) {
        Some(server) => server.cookies.clone(),
        None => invented_cookies(folder.path())?,
    };

    let mut figures = vec![Vec::new(); servers.len()];
    for repeat in 0..=repeats {
        // The first round warms up and is not counted.
        let count = if repeat == 0 { requests / 10 } else { requests };
        for (server, figures) in servers.iter().zip(&mut figures) {
            let cookies = if server.has_cookies { &server.cookies } else { &borrowed };
            let figure = server.figure(cookies, count, pinned)?;
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

fn print_table(servers: &[Server], figures: &[Vec<Figure>]) -> Result<()> {
    let sorted = |figures: &[Figure], pick: fn(&Figure) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let best = |values: &[f64]| values.first().copied().unwrap_or(f64::NAN);
    let median = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    let reference = sorted(figures.first().context("no case")?, |figure| figure.cpu);

    println!("\nCPU per request; a ratio of 0.70 means that a bare handler costs 0.70 of it");
    println!("| subject | sessions | best us | median us | ratio best | ratio median | req/s | RSS MiB |");
    println!("|---|---|---|---|---|---|---|---|");
    for (server, figures) in servers.iter().zip(figures) {
        let cpu = sorted(figures, |figure| figure.cpu);
        let rate = sorted(figures, |figure| figure.rate);
        println!(
            "| {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} |",
            server.case.name,
            server.case.sessions,
            best(&cpu),
            median(&cpu),
            best(&reference) / best(&cpu),
            median(&reference) / median(&cpu),
            median(&rate),
            server.resident_mib()?,
        );
    }
    Ok(())
}

/// A subject in a process of its own.
struct Server {
    case: Case,
    port: u16,
    cookies: PathBuf,
    has_cookies: bool,
    child: Child,
    /// The child ends when this is closed, so that it never outlives the measurement.
    _leash: Option<ChildStdin>,
}

impl Server {
    fn start(case: Case, folder: &Path, pinned: bool) -> Result<Self> {
        let cookies = folder.join(format!("{}.cookies", case.name));
        let mut child = role(SERVER_CORE, pinned)?
            .args(["--serve", case.name, "--cookies"])
            .arg(&cookies)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let leash = child.stdin.take();
        let mut line = String::new();
        let output = child.stdout.take().context("the server's output")?;
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("{} did not start", case.name))?;
        let has_cookies = fs::metadata(&cookies)?.len() > 0;
        Ok(Self { case, port, cookies, has_cookies, child, _leash: leash })
    }

    fn figure(&self, cookies: &Path, requests: usize, pinned: bool) -> Result<Figure> {
        let (cpu, clock) = (self.cpu()?, Instant::now());
        let status = role(LOAD_CORE, pinned)?
            .args(["--load", &self.port.to_string(), "--requests", &requests.to_string(), "--cookies"])
            .arg(cookies)
            .status()?;
        ensure!(status.success(), "the load on {} failed", self.case.name);
        let (cpu, clock) = (self.cpu()?.saturating_sub(cpu), clock.elapsed());
        let requests = f64::from(u32::try_from(requests)?);
        Ok(Figure { cpu: cpu.as_secs_f64() * 1e6 / requests, rate: requests / clock.as_secs_f64() })
    }

    /// The time its threads spent on a core.
    fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let line = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += line.split(' ').next().context("schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    fn resident_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(f64::from(line.trim().trim_end_matches(" kB").parse::<u32>()?) / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both only fail for a child that has ended already.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// This program again, on `core`.
fn role(core: &str, pinned: bool) -> Result<Command> {
    let this = std::env::current_exe()?;
    Ok(if pinned { on_core(core, this) } else { Command::new(this) })
}

fn on_core(core: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// Cookies as long as real ones, for a run in which no subject made any.
fn invented_cookies(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("invented.cookies");
    let lines: Vec<String> = (0..ROTATION).map(|number| format!("__Host-gongpai={number:0>620}")).collect();
    fs::write(&path, lines.join("\n"))?;
    Ok(path)
}

// --- the one that answers ----------------------------------------------------------------------------------

fn serve(name: &str, cookies: &Path) -> Result<()> {
    let case = CASES.iter().find(|case| case.name == name).with_context(|| format!("no case {name}"))?;
    // As many workers as cores it may use: one, when pinned.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let subject = subject(*case).await?;
        fs::write(cookies, subject.cookies.join("\n"))?;
        println!("{}", subject.port);
        std::thread::spawn(|| {
            // Nothing is ever written: this returns when the measuring process is gone.
            let _ = std::io::stdin().read(&mut [0]);
            std::process::exit(0);
        });
        drop(subject.cookies); // not the server's memory
        subject.serve.await
    })
}

// --- the one that asks -------------------------------------------------------------------------------------

fn load(port: u16, cookies: &str, requests: usize) -> Result<()> {
    let asked: Arc<[Vec<u8>]> = cookies.lines().map(request).collect::<Result<_>>()?;
    ensure!(!asked.is_empty(), "no cookies");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let next = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (asked, next) = (Arc::clone(&asked), Arc::clone(&next));
            connections.spawn(async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let mut answer = Vec::with_capacity(4096);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return Ok(());
                    }
                    let request = asked.get(number % asked.len()).context("a request")?;
                    exchange(&stream, request, &mut answer).await?;
                }
            });
        }
        let all = async {
            while let Some(done) = connections.join_next().await {
                let done: Result<()> = done?;
                done?;
            }
            Ok(())
        };
        tokio::time::timeout(DEADLINE, all).await.context("the load did not end")?
    })
}

/// What the printed nginx snippet sends for one request of a browser.
fn request(cookie: &str) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    write!(
        request,
        "GET /auth/nginx HTTP/1.1\r\nHost: app.bench.test\r\nX-Original-URL: {ORIGINAL_URL}\r\n\
         X-Original-Method: GET\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 \
         Safari/537.36\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Language: zh-CN,zh;q=0.9\r\n\
         Sec-Fetch-Mode: navigate\r\nCookie: theme=dark; lang=zh-CN; {cookie}\r\n\r\n"
    )?;
    Ok(request)
}

/// One request and its whole answer, which must be a 2xx.
async fn exchange(stream: &TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Result<()> {
    let mut rest = request;
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    answer.clear();
    loop {
        stream.readable().await?;
        match stream.try_read_buf(answer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(_) if is_whole(answer)? => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    let head = String::from_utf8_lossy(answer.get(..12).unwrap_or_default());
    ensure!(head.starts_with("HTTP/1.1 2"), "not admitted: {}", String::from_utf8_lossy(answer));
    Ok(())
}

/// Whether the head and as much body as it announces have arrived.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(answer.get(..head).unwrap_or_default())?;
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let body: usize = length.map_or(Ok(0), str::parse)?;
    Ok(answer.len() >= head + 4 + body)
}
