//! `gongpai send`: accepts a message as the API does. A gateway delivers it.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::args::{Expiry, SendArgs, SendTarget};
use super::outcome::UsageError;
use super::{database, messages, table};
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::MessageId;
use crate::config::Config;
use crate::db::Db;
use crate::directory;
use crate::message::accept::{AcceptError, AcceptedMessage, Sender};
use crate::message::content::MessageRequest;
use crate::message::views::MessageView;
use crate::message::{MessageStatus, Messages};

/// How often `--wait` reads the state of the message.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The largest request that the API accepts.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;

/// Accepts a message and prints its id.
///
/// With `wait` it also prints the final state, and returns `false` (exit code 1) unless everybody
/// received the message. Everything else goes to standard error.
///
/// # Errors
/// If there is no database, the message is refused, or the database fails; with `wait` also if it
/// is interrupted. [`UsageError`] for arguments that exclude each other.
pub(crate) async fn send_message(
    config: &Config,
    clock: &Clock,
    args: &SendArgs,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let request = build_request(args, clock.now(), &mut io::stdin().lock())?;
    let order = MessageRequest::parse(request)
        .map_err(AcceptError::Invalid)
        .map_err(|why| describe_refusal(why, args))?;
    let db = database::open_or_create(config).await?;
    let sent = accept_and_follow(config, clock, &db, args, order, out).await;
    db.close().await;
    sent
}

async fn accept_and_follow(
    config: &Config,
    clock: &Clock,
    db: &Db,
    args: &SendArgs,
    order: MessageRequest,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let messages = messages::open_messages(config, clock, db)?;
    let chart = directory::store::load_chart(db, &config.wecom.corp_id).await?;
    let accepted = messages.accept(&chart, Sender::CommandLine, args.key.as_deref(), order).await;
    let accepted = accepted.map_err(|why| describe_refusal(why, args))?;
    writeln!(out, "{}", accepted.id)?;
    // Now, so that a script has the id even if the wait is interrupted.
    out.flush()?;
    print_next_steps(&accepted, args.wait);
    if !args.wait {
        return Ok(true);
    }
    let shown = wait_until_finished(&messages, &accepted.id).await?;
    messages::print_message(&shown, config.time_zone, out)?;
    Ok(shown.status == MessageStatus::Sent)
}

/// Prints hints for people to standard error. Scripts read the id from standard output.
fn print_next_steps(accepted: &AcceptedMessage, waits: bool) {
    let id = &accepted.id;
    let mut lines = Vec::new();
    if accepted.repeated {
        lines.push("This key stands for a message that was accepted before; nothing new is sent.".to_owned());
    }
    if !accepted.truncated.is_empty() {
        lines.push(format!("Too long for WeCom, and cut: {}.", accepted.truncated.join(", ")));
    }
    if !waits {
        lines.push(format!(
            "`gongpai serve` delivers it; `gongpai messages show {id}` tells what became of it."
        ));
    }
    for line in lines {
        // A closed standard error changes nothing.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Builds the request of `POST /api/v1/messages` from the arguments.
fn build_request(
    args: &SendArgs,
    now: Timestamp,
    stdin: &mut dyn io::Read,
) -> anyhow::Result<Map<String, Value>> {
    if let Some(file) = &args.json {
        let text = if file == "-" { read_text(stdin, "standard input")? } else { read_file(file)? };
        // Windows editors save JSON with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        return serde_json::from_str(text).with_context(|| {
            format!(
                "{}: not a request of POST /api/v1/messages, which is a JSON object",
                table::to_printable(file)
            )
        });
    }
    let expires_at = match args.expires {
        // A period would end at another instant with each call, so the key would stand for two
        // messages.
        Some(Expiry::After(_)) if args.key.is_some() => {
            let wrong = "with --key, --expires takes an instant, such as 2026-11-23T18:00:00+08:00";
            return Err(UsageError(wrong.to_owned()).into());
        }
        Some(Expiry::After(span)) => Some(now.plus(span)),
        Some(Expiry::At(instant)) => Some(instant),
        None => None,
    };
    let (kind, content) = build_content(args, stdin)?;
    let request = json!({
        "to": build_recipients(args),
        "kind": kind,
        "content": content,
        "url_signed_in": !args.plain_links,
        "truncate": args.truncate,
        "expires_at": expires_at,
    });
    match request {
        Value::Object(request) => Ok(request),
        _ => bail!("the request is no object"),
    }
}

fn build_recipients(args: &SendArgs) -> Value {
    let of = |name: fn(&SendTarget) -> Option<&String>| args.to.iter().filter_map(name).collect::<Vec<_>>();
    json!({
        "users": of(|to| if let SendTarget::User(userid) = to { Some(userid) } else { None }),
        "units": of(|to| if let SendTarget::Unit(unit) = to { Some(unit) } else { None }),
        "tags": of(|to| if let SendTarget::Tag(tag) = to { Some(tag) } else { None }),
        "all": args.all,
    })
}

/// Returns kind and content. The text `-` stands for standard input without its final line break.
fn build_content(args: &SendArgs, stdin: &mut dyn io::Read) -> anyhow::Result<(&'static str, Value)> {
    let mut text = |given: &str| -> anyhow::Result<String> {
        if given != "-" {
            return Ok(given.to_owned());
        }
        let text = read_text(stdin, "standard input")?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    if let Some(given) = &args.text {
        return Ok(("text", json!({"content": text(given)?})));
    }
    if let Some(given) = &args.markdown {
        return Ok(("markdown", json!({"content": text(given)?})));
    }
    let mut card = json!({"title": args.card_title, "description": args.card_text, "url": args.url});
    if let (Some(button), Some(card)) = (&args.button, card.as_object_mut()) {
        card.insert("btntxt".to_owned(), Value::from(button.as_str()));
    }
    Ok(("textcard", card))
}

fn read_file(path: &str) -> anyhow::Result<String> {
    let mut file =
        std::fs::File::open(path).with_context(|| format!("{} cannot be read", table::to_printable(path)))?;
    read_text(&mut file, path)
}

fn read_text(from: &mut dyn io::Read, name: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let name = table::to_printable(name);
    // One byte more than allowed tells a file that is too large from one that just fits.
    let mut limited = from.take(MAX_REQUEST_BYTES.saturating_add(1));
    limited.read_to_string(&mut text).with_context(|| format!("{name} cannot be read as UTF-8"))?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes > MAX_REQUEST_BYTES) {
        bail!("{name} is longer than a request may be, {MAX_REQUEST_BYTES} bytes");
    }
    Ok(text)
}

/// Says why nothing was accepted, and what to do.
fn describe_refusal(why: AcceptError, args: &SendArgs) -> anyhow::Error {
    match why {
        AcceptError::Unavailable(reason) => anyhow!("nothing was sent: {reason}"),
        AcceptError::BadKey => anyhow!("nothing was sent: --key takes 1 to 255 printable ASCII characters"),
        AcceptError::KeyReused => anyhow!(
            "nothing was sent: another message was sent with this --key; choose another one, or send what was sent then"
        ),
        AcceptError::Invalid(findings) => {
            let lines = findings.iter().map(|finding| format!("\n  {}", table::to_printable(&finding.to_string())));
            anyhow!("nothing was sent:{}", lines.collect::<String>())
        }
        AcceptError::Store(error) if args.key.is_some() => {
            anyhow!(error).context("it is not known whether the message was accepted: call this again with the same --key")
        }
        AcceptError::Store(error) => anyhow!(error).context(
            "it is not known whether the message was accepted: look with `gongpai messages list --client \"\"` before \
             sending it again; with --key that would not be necessary",
        ),
    }
}

/// Polls until the message has reached its final state.
async fn wait_until_finished(messages: &Messages, id: &MessageId) -> anyhow::Result<MessageView> {
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be listened for")?;
    let mut progress = SendProgress::new(io::stderr().is_terminal());
    loop {
        let Some(shown) = messages.find(id).await? else {
            bail!(messages::unknown_message_text(id.as_str()))
        };
        if shown.internals.finished_at.is_some() {
            progress.clear();
            return Ok(shown);
        }
        progress.show(&describe_progress(&shown));
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            _ = interrupt.recv() => {
                progress.clear();
                bail!("interrupted; the message stays accepted: `gongpai messages show {id}`, or recall it")
            }
        }
    }
}

/// Describes the state of the message in one line.
fn describe_progress(shown: &MessageView) -> String {
    let counts = shown.internals.counts;
    let mut text = match shown.status {
        MessageStatus::Accepted => "accepted; a gateway that runs (`gongpai serve`) delivers it".to_owned(),
        status => format!(
            "{}: {} pending, {} sent, {} failed",
            status.as_str(),
            counts.pending,
            counts.sent,
            counts.failed
        ),
    };
    if let Some(reason) = &shown.reason {
        text = format!("{text}; {reason}");
    }
    table::to_printable(&text)
}

/// Shows progress: a spinner on a terminal, elsewhere a line for each change.
struct SendProgress {
    bar: Option<ProgressBar>,
    said: String,
}

impl SendProgress {
    fn new(terminal: bool) -> Self {
        let bar = terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, said: String::new() }
    }

    fn show(&mut self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        } else if self.said != text {
            // A closed standard error is no reason to stop.
            let _ = writeln!(io::stderr(), "{text}");
            text.clone_into(&mut self.said);
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
