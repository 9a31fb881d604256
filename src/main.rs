//! The `gongpai` program: reads the command line and calls the command.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;

use gongpai::cli::args::{
    ApiClientCommand, Cli, Command, ConfigCommand, KeyCommand, SessionsCommand, SnippetCommand,
};
use gongpai::cli::{self, snippet};
use gongpai::config::Sources;

fn main() -> ExitCode {
    let args = Cli::parse();
    let sources = Sources::from_process(args.config, args.qiyeweixin);
    let mut out = io::stdout();
    let done = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(args.command, &sources, &mut out)),
        Err(error) => Err(error.into()),
    };
    match done.and_then(|good| Ok(out.flush().map(|()| good)?)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // The reader has seen enough (`| head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed too there is nobody left to tell.
            let _ = writeln!(io::stderr(), "gongpai: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Runs a command; false: it found something wrong, and has said so.
async fn run(command: Command, sources: &Sources, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    match command {
        Command::Serve => cli::serve::serve(sources, out).await?,
        Command::Config { command: ConfigCommand::Check } => return cli::config::check(sources, out),
        Command::Config { command: ConfigCommand::Show } => return cli::config::show(sources, out),
        Command::Explain { user, url, method } => {
            let question = cli::explain::Question { user, url, method };
            cli::explain::explain_on(sources, &question, out).await?;
        }
        Command::Snippet { command } => print_snippet(command, sources, out)?,
        Command::Sessions { command: SessionsCommand::List { user, json } } => {
            cli::sessions::list(sources, user, json, out).await?;
        }
        Command::Sessions { command: SessionsCommand::Revoke(which) } => {
            cli::sessions::revoke(sources, &which.into(), out).await?;
        }
        Command::Audit(args) => {
            cli::audit::print(sources, args.user.as_deref(), &args.since, args.json, out).await?;
        }
        Command::ApiClient { command: ApiClientCommand::Add { id, scopes } } => {
            cli::api_client::add(sources, &id, &scopes, out)?;
        }
        Command::Key { command: KeyCommand::Rotate } => cli::key::rotate(sources, out).await?,
    }
    Ok(true)
}

fn print_snippet(
    command: SnippetCommand,
    sources: &Sources,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let config = cli::rows::load(sources)?;
    let text = match command {
        SnippetCommand::Nginx { host, upstream, listen, api, access_log } => {
            let args = snippet::NginxArgs { host, upstream, listen, api, access_log };
            snippet::nginx(&config, &args)?
        }
        SnippetCommand::Workbench { rd, seed_style } => {
            format!("{}\n", snippet::workbench(&config, &snippet::WorkbenchArgs { rd, seed_style })?)
        }
    };
    out.write_all(text.as_bytes())?;
    Ok(())
}
