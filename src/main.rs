//! `gongpai`: the command line. What it does is in [`gongpai::cli`].

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser as _;
use gongpai::cli::args::Command;
use gongpai::cli::run::{CalledWrong, Ended};
use gongpai::cli::{Args, run};

fn main() -> ExitCode {
    let args = Args::parse();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(go(args)));
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Wrong) => ExitCode::from(1),
        // Whoever read the output has seen enough: `gongpai audit | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(if error.is::<CalledWrong>() { 2 } else { 1 })
        }
    }
}

async fn go(args: Args) -> anyhow::Result<Ended> {
    // The line that says "listening" must not wait; long lists should not go out line by line.
    if matches!(args.command, Command::Serve) {
        return run(args, &mut io::stdout()).await;
    }
    let mut out = BufWriter::new(io::stdout());
    let ended = run(args, &mut out).await;
    // What was printed before a failure is worth seeing; the failure is worth more than that it could not be printed.
    let flushed = out.flush();
    let ended = ended?;
    flushed?;
    Ok(ended)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes, each that says something new, on standard error.
fn complain(error: &anyhow::Error) {
    let mut text = format!("gongpai: {error}");
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(":\n  ");
            text.push_str(&said.replace('\n', "\n  "));
        }
        cause = inner.source();
    }
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
