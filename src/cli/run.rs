//! Dispatches the command line to a command.

use std::io::Write;

use anyhow::Context as _;

use super::args::{
    ApiClientCommand, Command, CommandLine, ConfigCommand, ConflictsCommand, DirectoryCommand, KeyCommand,
    MessagesCommand, RulesCommand, SessionsCommand, SnippetCommand,
};
use super::outcome::{CommandOutcome, UsageError};
use super::snippet::{NginxArgs, SnippetError, WorkbenchArgs};
use super::{
    api_client, audit, config, conflicts, directory, docs, doctor, explain, key, messages, rules, send,
    serve, sessions, snippet, sync,
};
use crate::base::clock::Clock;
use crate::config::{Config, ConfigSources};

/// Runs the command and prints to `out`.
///
/// # Errors
/// The error of the command with its causes; [`UsageError`] if the command line is to blame.
pub async fn run_command(args: CommandLine, out: &mut (dyn Write + Send)) -> anyhow::Result<CommandOutcome> {
    let sources = ConfigSources::from_process(args.config, args.qiyeweixin);
    let clock = Clock::System;
    match args.command {
        Command::Serve => serve::serve_gateway(&sources, out).await?,
        Command::Doctor { json, message_to } => {
            return doctor::run_doctor(&sources, &clock, json, message_to, out)
                .await
                .map(CommandOutcome::from_success);
        }
        Command::Docs { topic, lang } => docs::print_documentation(&sources, topic.as_deref(), lang, out)?,
        Command::Config { command: ConfigCommand::Check } => {
            return config::check_config(&sources, out).map(CommandOutcome::from_success);
        }
        Command::Config { command: ConfigCommand::Show } => {
            return config::show_config(&sources, out).map(CommandOutcome::from_success);
        }
        Command::Sync { dry_run, force, update, json } => {
            let options = sync::SyncOptions { dry_run, force, update, json };
            return sync::sync_directory(&load_config(&sources)?, &clock, options, out)
                .await
                .map(CommandOutcome::from_success);
        }
        Command::Explain { user, url, method } => {
            let query = explain::ExplainQuery { user, url, method };
            explain::explain_access(&load_config(&sources)?, &query, out).await?;
        }
        // Before the configuration is loaded: the unit does not need it, and it may be broken.
        Command::Snippet { command: SnippetCommand::Systemd } => {
            writeln!(out, "{}", snippet::SYSTEMD_UNIT.trim_end())?;
        }
        Command::Snippet { command } => {
            writeln!(out, "{}", render_snippet(&load_config(&sources)?, command)?.trim_end())?;
        }
        Command::Sessions { command: SessionsCommand::List { user, json, .. } } => {
            sessions::list_sessions(&load_config(&sources)?, &clock, user.as_deref(), json, out).await?;
        }
        Command::Sessions { command: SessionsCommand::Revoke { sid, user, .. } } => {
            let target = match (sid, user) {
                (Some(sid), _) => sessions::RevokeTarget::One(sid),
                (None, Some(user)) => sessions::RevokeTarget::Person(user),
                // clap requires one of the three, so this is `--all`.
                (None, None) => sessions::RevokeTarget::Everybody,
            };
            sessions::revoke_sessions(&load_config(&sources)?, &clock, &target, out).await?;
        }
        Command::Audit { user, since, json } => {
            let query = audit::AuditQuery { user, since, json };
            audit::print_audit_trail(&load_config(&sources)?, &clock, &query, out).await?;
        }
        Command::ApiClient { command: ApiClientCommand::Add { id, scopes } } => {
            api_client::add_client(&load_config(&sources)?, &id, &scopes, out)?;
        }
        Command::Directory { command } => {
            let config = load_config(&sources)?;
            return run_directory_command(&config, &clock, command, out)
                .await
                .map(CommandOutcome::from_success);
        }
        Command::Send(args) => {
            return send::send_message(&load_config(&sources)?, &clock, &args, out)
                .await
                .map(CommandOutcome::from_success);
        }
        Command::Messages { command } => {
            let config = load_config(&sources)?;
            return run_messages_command(&config, &clock, command, out)
                .await
                .map(CommandOutcome::from_success);
        }
        Command::Rules { command: RulesCommand::Accept { userids, all } } => {
            let selection = match (all, userids) {
                (true, _) => rules::UseridSelection::All,
                (false, userids) if userids.is_empty() => rules::UseridSelection::List,
                (false, userids) => rules::UseridSelection::These(userids),
            };
            return rules::accept_userids(&load_config(&sources)?, &clock, &selection, out)
                .await
                .map(CommandOutcome::from_success);
        }
        Command::Key { command: KeyCommand::Rotate } => {
            key::rotate_key(&load_config(&sources)?, clock, out).await?;
        }
    }
    out.flush()?;
    Ok(CommandOutcome::Done)
}

async fn run_directory_command(
    config: &Config,
    clock: &Clock,
    command: DirectoryCommand,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    match command {
        DirectoryCommand::Import { file, dry_run } => {
            return directory::import_persons(config, clock, &file, dry_run, out).await;
        }
        DirectoryCommand::Export { file, all } => directory::export_persons(config, &file, all, out).await?,
        DirectoryCommand::Conflicts { command: ConflictsCommand::List { json } } => {
            conflicts::list_conflicts(config, json, out).await?;
        }
        DirectoryCommand::Conflicts { command: ConflictsCommand::Resolve { id, person, .. } } => {
            conflicts::resolve_conflict(config, clock, &id, person.as_deref(), out).await?;
        }
    }
    Ok(true)
}

async fn run_messages_command(
    config: &Config,
    clock: &Clock,
    command: MessagesCommand,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let (ids, action) = match command {
        MessagesCommand::List { status, user, client, limit, json } => {
            let query = messages::MessageListQuery { status, user, client, limit, json };
            return messages::list_messages(config, clock, &query, out).await.map(|()| true);
        }
        MessagesCommand::Show { id, json } => {
            return messages::show_message(config, clock, &id, json, out).await.map(|()| true);
        }
        MessagesCommand::Resume => return messages::resume_sending(config, clock, out).await,
        MessagesCommand::Retry { ids } => (ids, messages::MessageAction::Retry),
        MessagesCommand::Bury { ids, reason } => (ids, messages::MessageAction::Bury(reason)),
        MessagesCommand::Recall { ids } => (ids, messages::MessageAction::Recall),
    };
    messages::apply_action(config, clock, &ids, &action, out).await
}

fn load_config(sources: &ConfigSources) -> anyhow::Result<Config> {
    let (config, _warnings) = Config::load(sources).context("the configuration is not accepted")?;
    Ok(config)
}

fn render_snippet(config: &Config, command: SnippetCommand) -> anyhow::Result<String> {
    let printed = match command {
        SnippetCommand::Nginx { host, upstream, listen, api, access_log } => {
            snippet::render_nginx(config, &NginxArgs { host, upstream, listen, api, access_log })
        }
        SnippetCommand::Workbench { rd, seed_style } => {
            snippet::render_workbench_url(config, &WorkbenchArgs { rd, seed_style })
        }
        SnippetCommand::Systemd => Ok(snippet::SYSTEMD_UNIT.to_owned()),
    };
    printed.map_err(|error| match error {
        // The configuration is to blame, not the arguments: exit code 1.
        SnippetError::ForeignHost(_) | SnippetError::Missing(_) => error.into(),
        _ => UsageError(error.to_string()).into(),
    })
}
