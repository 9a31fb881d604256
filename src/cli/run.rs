//! From the command line to a command.

use std::io::Write;

use anyhow::Context as _;

use super::args::{
    ApiClientCommand, Args, Command, ConfigCommand, ConflictsCommand, DirectoryCommand, KeyCommand,
    MessagesCommand, RulesCommand, SessionsCommand, SnippetCommand,
};
use super::snippet::{NginxArgs, SnippetError, WorkbenchArgs};
use super::{
    api_client, audit, config, conflicts, directory, doctor, explain, key, messages, rules, send, serve,
    sessions, snippet, sync,
};
use crate::base::clock::Clock;
use crate::config::{Config, Sources};

/// How a command ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Done, exit code 0.
    Done,
    /// It found something wrong and said so, exit code 1.
    Wrong,
}

impl Ended {
    const fn well(good: bool) -> Self {
        if good { Self::Done } else { Self::Wrong }
    }
}

/// It was called in a way that makes no sense: exit code 2. What is wrong with arguments that only the configuration
/// can judge.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CalledWrong(pub String);

/// Does what the command line says, and prints to `out`.
///
/// # Errors
/// Whatever kept the command from its end, with its causes; [`CalledWrong`] where that was the command line.
pub async fn run(args: Args, out: &mut (dyn Write + Send)) -> anyhow::Result<Ended> {
    let sources = Sources::from_process(args.config, args.qiyeweixin);
    let clock = Clock::System;
    match args.command {
        Command::Serve => serve::serve(&sources, out).await?,
        Command::Doctor { json, message_to } => {
            return doctor::doctor(&sources, &clock, json, message_to, out).await.map(Ended::well);
        }
        Command::Config { command: ConfigCommand::Check } => {
            return config::check(&sources, out).map(Ended::well);
        }
        Command::Config { command: ConfigCommand::Show } => {
            return config::show(&sources, out).map(Ended::well);
        }
        Command::Sync { dry_run, force, update, json } => {
            let asked = sync::Asked { dry_run, force, update, json };
            return sync::sync(&load(&sources)?, &clock, asked, out).await.map(Ended::well);
        }
        Command::Explain { user, url, method } => {
            let question = explain::Question { user, url, method };
            explain::explain(&load(&sources)?, &question, out).await?;
        }
        Command::Snippet { command: SnippetCommand::Systemd } => {
            writeln!(out, "{}", snippet::SYSTEMD_UNIT.trim_end())?;
        }
        Command::Snippet { command } => writeln!(out, "{}", printed(&load(&sources)?, command)?.trim_end())?,
        Command::Sessions { command: SessionsCommand::List { user, json, .. } } => {
            sessions::list(&load(&sources)?, &clock, user.as_deref(), json, out).await?;
        }
        Command::Sessions { command: SessionsCommand::Revoke { sid, user, .. } } => {
            let whose = match (sid, user) {
                (Some(sid), _) => sessions::Whose::One(sid),
                (None, Some(user)) => sessions::Whose::Person(user),
                (None, None) => sessions::Whose::Everybody,
            };
            sessions::revoke(&load(&sources)?, &clock, &whose, out).await?;
        }
        Command::Audit { user, since, json } => {
            let asked = audit::Asked { user, since, json };
            audit::audit(&load(&sources)?, &clock, &asked, out).await?;
        }
        Command::ApiClient { command: ApiClientCommand::Add { id, scopes } } => {
            api_client::add(&load(&sources)?, &id, &scopes, out)?;
        }
        Command::Directory { command } => {
            let config = load(&sources)?;
            return in_directory(&config, &clock, command, out).await.map(Ended::well);
        }
        Command::Send(args) => {
            return send::send(&load(&sources)?, &clock, &args, out).await.map(Ended::well);
        }
        Command::Messages { command } => {
            let config = load(&sources)?;
            return in_messages(&config, &clock, command, out).await.map(Ended::well);
        }
        Command::Rules { command: RulesCommand::Accept { userids, all } } => {
            let which = match (all, userids) {
                (true, _) => rules::Which::All,
                (false, userids) if userids.is_empty() => rules::Which::List,
                (false, userids) => rules::Which::These(userids),
            };
            return rules::accept(&load(&sources)?, &clock, &which, out).await.map(Ended::well);
        }
        Command::Key { command: KeyCommand::Rotate } => key::rotate(&load(&sources)?, clock, out).await?,
    }
    out.flush()?;
    Ok(Ended::Done)
}

async fn in_directory(
    config: &Config,
    clock: &Clock,
    command: DirectoryCommand,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    match command {
        DirectoryCommand::Import { file, dry_run } => {
            return directory::import(config, clock, &file, dry_run, out).await;
        }
        DirectoryCommand::Export { file, all } => directory::export(config, &file, all, out).await?,
        DirectoryCommand::Conflicts { command: ConflictsCommand::List { json } } => {
            conflicts::list(config, json, out).await?;
        }
        DirectoryCommand::Conflicts { command: ConflictsCommand::Resolve { id, person, .. } } => {
            conflicts::resolve(config, clock, &id, person.as_deref(), out).await?;
        }
    }
    Ok(true)
}

async fn in_messages(
    config: &Config,
    clock: &Clock,
    command: MessagesCommand,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let (ids, deed) = match command {
        MessagesCommand::List { status, user, client, limit, json } => {
            let wanted = messages::Wanted { status, user, client, limit, json };
            return messages::list(config, clock, &wanted, out).await.map(|()| true);
        }
        MessagesCommand::Show { id, json } => {
            return messages::show(config, clock, &id, json, out).await.map(|()| true);
        }
        MessagesCommand::Resume => return messages::resume(config, clock, out).await,
        MessagesCommand::Retry { ids } => (ids, messages::Deed::Retry),
        MessagesCommand::Bury { ids, reason } => (ids, messages::Deed::Bury(reason)),
        MessagesCommand::Recall { ids } => (ids, messages::Deed::Recall),
    };
    messages::steer(config, clock, &ids, &deed, out).await
}

fn load(sources: &Sources) -> anyhow::Result<Config> {
    let (config, _warnings) = Config::load(sources).context("the configuration is not accepted")?;
    Ok(config)
}

fn printed(config: &Config, command: SnippetCommand) -> anyhow::Result<String> {
    let printed = match command {
        SnippetCommand::Nginx { host, upstream, listen, api, access_log } => {
            snippet::nginx(config, &NginxArgs { host, upstream, listen, api, access_log })
        }
        SnippetCommand::Workbench { rd, seed_style } => {
            snippet::workbench(config, &WorkbenchArgs { rd, seed_style })
        }
        SnippetCommand::Systemd => Ok(snippet::SYSTEMD_UNIT.to_owned()),
    };
    printed.map_err(|error| match error {
        SnippetError::ForeignHost(_) | SnippetError::Missing(_) => error.into(),
        _ => CalledWrong(error.to_string()).into(),
    })
}
