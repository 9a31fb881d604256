//! Measures whole runs: `gongpai sync` in a process of its own, against a simulated WeCom in
//! another.
//!
//! ```text
//! cargo bench --bench sync                                     # SQLite, in a folder of its own
//! cargo bench --bench sync -- --postgres postgres://…/EMPTY_DATABASE
//! cargo bench --bench sync -- --contacts --members 20000
//! ```
//!
//! 100 000 members in 5 000 departments are read once into an empty database, then twice more
//! unchanged. Each line shows the time in all, WeCom's part of it (from the first call to the last
//! answer), the time before and after, the CPU time of both processes, and gongpai's peak memory.
//! `--contacts` also gives it the 通讯录同步 (contacts) secret.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// How many departments the simulated WeCom has.
const DEPARTMENTS: &str = "5000";
/// How often the memory is read.
const MEMORY_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The unit of CPU time in `/proc`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing is measured in a test run; see `cargo bench --bench sync`");
        return Ok(());
    }
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).map(String::as_str)
    };
    let folder = tempfile::tempdir()?;
    let wecom = SimulatorProcess::start(value("--members").unwrap_or("100000"))?;
    let mut text = wecom.configuration(args.iter().any(|arg| arg == "--contacts"))?;
    text.push_str("\n[log]\nlevel = \"warn\"\n[server]\nadmin_listen = \"127.0.0.1:0\"\n");
    if let Some(url) = value("--postgres") {
        text.push_str(&format!("[database]\nurl = {url:?}\n"));
    }
    let text = format!(
        "public_url = \"https://oa.bench.test\"\ndata_dir = {:?}\n{text}",
        folder.path().join("data")
    );
    let file = folder.path().join("gongpai.toml");
    fs::write(&file, text)?;
    println!(
        "{} members in {} departments, {}",
        wecom.value_of("members")?,
        wecom.value_of("departments")?,
        if value("--postgres").is_some() { "PostgreSQL" } else { "SQLite" }
    );
    println!(
        "goals: the first run at most 5 s (SQLite) or 10 s (PostgreSQL) beyond WeCom's answers, the same again half"
    );
    println!(
        "{:<18}{:>8}{:>9}{:>8}{:>8}{:>9}{:>9}{:>12}{:>11}{:>10}",
        "", "wall", "before", "WeCom", "after", "compare", "write", "its CPU", "WeCom CPU", "peak"
    );
    for name in ["first", "nothing changed", "nothing changed"] {
        let before = cpu_seconds(wecom.child.id())?;
        let run = MeasuredRun::measure(&file)?;
        let asked = cpu_seconds(wecom.child.id())? - before;
        println!(
            "{name:<18}{:>7.2}s{:>8.2}s{:>7.2}s{:>7.2}s{:>8.2}s{:>8.2}s{:>11.2}s{:>10.2}s{:>7} MB",
            run.wall.as_secs_f64(),
            run.before.as_secs_f64(),
            run.wecom.as_secs_f64(),
            (run.compare + run.write).as_secs_f64(),
            run.compare.as_secs_f64(),
            run.write.as_secs_f64(),
            run.cpu,
            asked,
            run.peak / 1024
        );
        for line in run.said.lines().filter(|line| !line.is_empty()).take(6) {
            println!("    {line}");
        }
    }
    Ok(())
}

/// A simulated WeCom in a process of its own, ended when it is dropped.
struct SimulatorProcess {
    child: Child,
    /// Its output, one `name = value` per line.
    output_lines: Vec<String>,
}

impl SimulatorProcess {
    fn start(members: &str) -> Result<Self> {
        let child = Command::new(env!("CARGO_BIN_EXE_wecom-simulator"))
            .args(["--members", members, "--departments", DEPARTMENTS])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut wecom = Self { child, output_lines: Vec::new() };
        let output = wecom.child.stdout.take().context("the simulator's output")?;
        for line in BufReader::new(output).lines() {
            wecom.output_lines.push(line?);
            if wecom.value_of("departments").is_ok() {
                break;
            }
        }
        Ok(wecom)
    }

    fn value_of(&self, name: &str) -> Result<&str> {
        let value = |line: &'_ String| line.split_once(" = ").is_some_and(|(of, _)| of == name);
        let line = self.output_lines.iter().find(|line| value(line));
        let (_, value) =
            line.and_then(|line| line.split_once(" = ")).with_context(|| format!("no {name}"))?;
        Ok(value)
    }

    fn configuration(&self, contacts: bool) -> Result<String> {
        let mut text = format!(
            "[wecom]\ncorp_id = {:?}\nagent_id = {}\napp_secret = {:?}\napi_address = {:?}\n",
            self.value_of("corp_id")?,
            self.value_of("agent_id")?,
            self.value_of("app_secret")?,
            self.value_of("url")?
        );
        if contacts {
            text.push_str(&format!("contacts_secret = {:?}\n", self.value_of("contacts_secret")?));
        }
        Ok(text)
    }
}

impl Drop for SimulatorProcess {
    fn drop(&mut self) {
        // Both fail only for a child that has ended already.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// What one `gongpai sync` took.
struct MeasuredRun {
    wall: Duration,
    /// Until the first call.
    before: Duration,
    wecom: Duration,
    compare: Duration,
    write: Duration,
    /// In seconds.
    cpu: f64,
    /// In KB.
    peak: u64,
    /// The report.
    said: String,
}

impl MeasuredRun {
    fn measure(configuration: &Path) -> Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_gongpai"))
            .args(["sync", "--config"])
            .arg(configuration)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let steps = child.stderr.take().context("its steps")?;
        // Each step is a line, written when it begins or at most 200 ms later.
        let steps = std::thread::spawn(move || -> Result<Vec<(String, Instant)>> {
            BufReader::new(steps).lines().map(|line| Ok((line?, Instant::now()))).collect()
        });
        let id = child.id();
        let mut peak = 0;
        let cpu = loop {
            // The status of a process that ended, and was not waited for, contains no memory.
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            if let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
                peak = line.trim().trim_end_matches(" kB").parse()?;
            }
            if status.lines().any(|line| line.starts_with("State:\tZ")) {
                break cpu_seconds(id)?;
            }
            std::thread::sleep(MEMORY_POLL_INTERVAL);
        };
        let ended = Instant::now();
        let mut said = String::new();
        child.stdout.take().context("its report")?.read_to_string(&mut said)?;
        let status = child.wait()?;
        let steps = match steps.join() {
            Ok(steps) => steps?,
            Err(_) => anyhow::bail!("its steps could not be read"),
        };
        ensure!(status.success(), "the run failed: {said}{steps:?}");
        let at = |name: &str| steps.iter().find(|(step, _)| step == name).map(|(_, at)| *at);
        let first = at("reading departments").context("no departments were read")?;
        // A step shorter than the time between two looks was not seen.
        let writing = at("writing").unwrap_or(ended);
        let comparing = at("comparing").unwrap_or(writing);
        Ok(Self {
            wall: ended - began,
            before: first - began,
            wecom: comparing - first,
            compare: writing - comparing,
            write: ended - writing,
            cpu,
            peak,
            said,
        })
    }
}

/// Returns the CPU time of a process, in seconds.
fn cpu_seconds(id: u32) -> Result<f64> {
    let line = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in brackets, may contain blanks.
    let (_, fields) = line.rsplit_once(") ").context("/proc/…/stat")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next().context("user time")??, times.next().context("system time")??);
    Ok(f64::from(user + system) / TICKS_PER_SECOND)
}
