//! `gongpai`: the command line. The commands are in `src/cli`.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser as _;
use gongpai::cli::{Command, CommandLine, CommandOutcome, UsageError, run_command};

fn main() -> ExitCode {
    let args = CommandLine::parse();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run_buffered(args)));
    match ended {
        Ok(CommandOutcome::Done) => ExitCode::SUCCESS,
        Ok(CommandOutcome::Wrong) => ExitCode::from(1),
        // The reader has closed the output, as in `gongpai audit | head`. That is no error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}

async fn run_buffered(args: CommandLine) -> anyhow::Result<CommandOutcome> {
    // The line "listening" must appear at once; long lists should not be written line by line.
    if matches!(args.command, Command::Serve) {
        return run_command(args, &mut io::stdout()).await;
    }
    let mut out = BufWriter::new(io::stdout());
    let ended = run_command(args, &mut out).await;
    // Output from before a failure is worth seeing. The failure matters more than an error while
    // writing.
    let flushed = out.flush();
    let ended = ended?;
    flushed?;
    Ok(ended)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints the error and those of its causes that say something new, on standard error.
fn print_error(error: &anyhow::Error) {
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
    // If standard error is closed, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{text}");
}
