//! Programs as processes: ours, nginx, chromedriver. Each has its own environment, its output is
//! recorded, and none is left running.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{POLL_INTERVAL, WAIT_TIMEOUT, eventually};

/// An output of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// A signal that tests send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// Shut down gracefully.
    Term,
    Interrupt,
    /// Reload the configuration.
    Hangup,
    /// End at once.
    Kill,
    /// Pause, as on an overloaded machine.
    Stop,
    /// Continue after [`Signal::Stop`].
    Continue,
}

/// A program that can be started.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    name: String,
}

impl Program {
    pub(crate) fn gongpai() -> Self {
        Self::at(env!("CARGO_BIN_EXE_gongpai"))
    }

    pub(crate) fn simulator() -> Self {
        Self::at(env!("CARGO_BIN_EXE_wecom-simulator"))
    }

    pub(crate) fn demo() -> Self {
        Self::at(env!("CARGO_BIN_EXE_gongpai-demo"))
    }

    /// Creates any program, by path or name. `GONGPAI_*` is not inherited: a developer's own
    /// settings must not decide a test.
    pub(crate) fn at(program: impl AsRef<OsStr>) -> Self {
        let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        let ours = |(key, _): &(OsString, OsString)| key.to_string_lossy().starts_with("GONGPAI_");
        for (key, _) in std::env::vars_os().filter(ours) {
            command.env_remove(key);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, name }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets the working directory.
    pub(crate) fn cwd(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn start(mut self) -> Process {
        let mut child =
            self.command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name));
        // A watch channel: a waiter sees earlier lines too, and learns when the outputs close.
        let (lines, seen) = watch::channel(Vec::new());
        let lines = Arc::new(lines);
        let stdout = child.stdout.take().map(|pipe| read_lines(pipe, Output::Stdout, Arc::clone(&lines)));
        let stderr = child.stderr.take().map(|pipe| read_lines(pipe, Output::Stderr, lines));
        Process { child, name: self.name, seen, readers: stdout.into_iter().chain(stderr).collect() }
    }

    /// Runs the program to its end.
    pub(crate) async fn run(self) -> FinishedProgram {
        let mut process = self.start();
        let status = process.exit().await;
        FinishedProgram { status, stdout: process.text(Output::Stdout), stderr: process.text(Output::Stderr) }
    }
}

/// The exit status and output of a program.
#[derive(Debug)]
pub(crate) struct FinishedProgram {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl FinishedProgram {
    /// Returns the exit code; `None` if a signal ended the program.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// A running program, killed and reaped on drop.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    seen: watch::Receiver<Vec<(Output, String)>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns what the program has written to an output so far.
    pub(crate) fn text(&self, output: Output) -> String {
        let seen = self.seen.borrow();
        let lines = seen.iter().filter(|(from, _)| *from == output).map(|(_, line)| format!("{line}\n"));
        lines.collect()
    }

    /// Waits for a line, of either output, that contains `part`. Earlier lines count.
    pub(crate) async fn line_with(&mut self, part: &str) -> String {
        self.line(part, |line| line.contains(part)).await
    }

    /// Waits for a line, of either output, that `wanted` accepts. Earlier lines count.
    pub(crate) async fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let find = |lines: &Vec<(Output, String)>| lines.iter().find(|(_, line)| wanted(line)).cloned();
        let mut seen = self.seen.clone();
        // Without senders both outputs are closed, and the line will never come.
        let found =
            match tokio::time::timeout(WAIT_TIMEOUT, seen.wait_for(|lines| find(lines).is_some())).await {
                Ok(Ok(lines)) => find(&lines),
                Ok(Err(_)) | Err(_) => None,
            };
        match found {
            Some((_, line)) => line,
            None => {
                panic!("{} never wrote a line with {what:?}; it wrote:\n{}", self.name, self.all_output())
            }
        }
    }

    /// Waits until the program ends by itself.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let name = self.name.clone();
        let child = &mut self.child;
        let status =
            eventually(&format!("{name} ends"), async || child.try_wait().expect("a child of ours")).await;
        self.finish_reading();
        status
    }

    /// Returns the exit status if the program has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Sends a signal. Nothing happens if the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Term => "TERM",
            Signal::Interrupt => "INT",
            Signal::Hangup => "HUP",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        // The shell's own `kill`, because not every machine has the program.
        let script = format!("kill -s {name} {} 2>/dev/null", self.id());
        Command::new("sh").args(["-c", &script]).status().expect("a shell");
    }

    /// Asks the program to stop gracefully and waits until it has ended.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::Term);
        self.exit().await
    }

    fn all_output(&self) -> String {
        self.seen.borrow().iter().map(|(_, line)| format!("  {line}\n")).collect()
    }

    /// Waits until the readers have seen the end of the pipes, so that `seen` is complete. A
    /// grandchild may keep a pipe open; then the wait ends after two seconds.
    fn finish_reading(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < deadline {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a child that has already been reaped.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
        if thread::panicking() {
            eprintln!("--- {} wrote:\n{}", self.name, self.all_output());
        }
    }
}

fn read_lines(
    pipe: impl Read + Send + 'static,
    output: Output,
    lines: Arc<watch::Sender<Vec<(Output, String)>>>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while pipe.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            lines.send_modify(|lines| lines.push((output, line)));
            bytes.clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::at("sh").args(["-c", script])
    }

    #[tokio::test]
    async fn output_exit_code_environment_and_folder_are_the_programs_own() {
        let folder = tempfile::tempdir().unwrap();
        let finished =
            shell("pwd; echo $WORD >&2; exit 3").cwd(folder.path()).env("WORD", "badge").run().await;
        assert_eq!(finished.code(), Some(3));
        assert_eq!(Path::new(finished.stdout.trim()), folder.path().canonicalize().unwrap());
        assert_eq!(finished.stderr, "badge\n");
    }

    #[tokio::test]
    async fn a_line_is_waited_for_and_a_stopped_process_is_gone() {
        let mut process =
            shell("trap 'echo bye; exit 7' TERM; echo ready >&2; while :; do sleep 0.05; done").start();
        assert_eq!(process.line_with("ready").await, "ready");
        assert_eq!(process.stop().await.code(), Some(7));
        assert_eq!(process.text(Output::Stdout), "bye\n");
    }

    #[tokio::test]
    async fn a_dropped_process_does_not_stay() {
        let mut process = shell("echo up; exec sleep 1000").start();
        process.line_with("up").await;
        process.signal(Signal::Stop);
        process.signal(Signal::Continue);
        let entry = format!("/proc/{}", process.id());
        drop(process);
        assert!(!Path::new(&entry).exists());
    }

    #[tokio::test]
    async fn our_programs_are_found() {
        for program in [Program::gongpai(), Program::simulator(), Program::demo()] {
            let mut process = program.arg("--version").start();
            process.signal(Signal::Kill);
            process.exit().await;
        }
    }
}
