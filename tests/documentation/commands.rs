//! `commands.md`: every command and its options, from what `--help` prints.

use std::collections::BTreeMap;

use clap::{Arg, Command, CommandFactory as _};
use gongpai::testing::cli::CommandLine;
use gongpai::testing::http::language::Language;

use crate::LANGUAGES;
use crate::generated::{compare_or_write, mark_up, note, read_texts};

/// Where the Chinese texts are.
const CHINESE_TEXTS: &str = "src/cli/help.zh.toml";

/// A command with the words that call it.
#[derive(Debug)]
pub(crate) struct Called {
    /// `gongpai snippet nginx`.
    pub(crate) name: String,
    /// How deep it is nested; `gongpai` itself is 0.
    depth: usize,
    pub(crate) command: Command,
}

/// Every command, each before those that are nested in it.
pub(crate) fn list_commands() -> Vec<Called> {
    let mut root = CommandLine::command();
    root.build();
    let mut commands = Vec::new();
    collect("gongpai", 0, &root, &mut commands);
    commands
}

fn collect(name: &str, depth: usize, command: &Command, commands: &mut Vec<Called>) {
    commands.push(Called { name: name.to_owned(), depth, command: command.clone() });
    for nested in
        command.get_subcommands().filter(|nested| nested.get_name() != "help" && !nested.is_hide_set())
    {
        collect(&format!("{name} {}", nested.get_name()), depth + 1, nested, commands);
    }
}

/// What differs between the two pages.
struct Words {
    title: &'static str,
    introduction: &'static str,
    /// What stands before a default and after it.
    default: [&'static str; 2],
    /// What stands between an option and its text.
    colon: &'static str,
    example: &'static str,
}

const ZH: Words = Words {
    title: "命令",
    introduction: "每个命令都有 `--help`，那里的说明是英文的，内容和这一页一样。`gongpai` 本身的选项对每个命令都有效。",
    default: ["（默认 ", "）"],
    colon: "：",
    example: "例如：",
};

const EN: Words = Words {
    title: "Commands",
    introduction: "Every command has `--help`, which says the same as this page. The options of `gongpai` itself belong to \
                   every command.",
    default: [" (default: ", ")"],
    colon: ": ",
    example: "For example:",
};

#[test]
fn the_pages_of_the_commands_are_what_help_says() {
    let commands = list_commands();
    let names: Vec<String> = commands.iter().map(|called| called.name.clone()).collect();
    let options: Vec<String> = commands
        .iter()
        .flat_map(|called| called.arguments().map(|argument| option_key(&called.name, argument)))
        .collect();
    let chinese = Chinese {
        commands: read_texts(CHINESE_TEXTS, "commands", &names),
        options: read_texts(CHINESE_TEXTS, "options", &options),
    };
    for lang in LANGUAGES {
        let (words, texts) = if lang == Language::Zh { (&ZH, Some(&chinese)) } else { (&EN, None) };
        let mut page = note("the commands' --help");
        page.push_str(&format!("# {}\n\n{}\n", words.title, words.introduction));
        for called in &commands {
            let level = "#".repeat(called.depth.max(1) + 1);
            page.push_str(&format!("\n{level} `{}`\n\n", called.name));
            page.push_str(&describe(called, words, texts));
        }
        compare_or_write(lang, "commands", &page);
    }
}

/// The Chinese texts of the page.
struct Chinese {
    commands: BTreeMap<String, String>,
    /// By command and option: `gongpai sync --force`.
    options: BTreeMap<String, String>,
}

impl Called {
    /// The arguments that are described with this command.
    fn arguments(&self) -> impl Iterator<Item = &Arg> {
        self.command.get_arguments().filter(|argument| !is_common(argument, self.depth))
    }
}

/// An option as the Chinese texts name it: `gongpai sync --force`, `gongpai docs [TOPIC]`.
fn option_key(command: &str, argument: &Arg) -> String {
    let written = argument.to_string();
    format!("{command} {}", written.split(' ').next().unwrap_or_default())
}

/// What `--help` says about a command, as Markdown, with the Chinese `texts` where there are any.
fn describe(called: &Called, words: &Words, texts: Option<&Chinese>) -> String {
    let command = &called.command;
    let about =
        command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    let mut parts: Vec<String> = match texts {
        Some(chinese) => vec![chinese.commands[&called.name].clone()],
        None => about.split("\n\n").map(|text| format!("{}.", mark_up(text.trim_end_matches('.')))).collect(),
    };
    let usage = command.clone().render_usage().to_string();
    parts.push(format!("```text\n{}\n```", usage.trim_start_matches("Usage: ").trim()));
    let arguments: Vec<String> = called
        .arguments()
        .map(|argument| {
            let text = texts.map(|chinese| chinese.options[&option_key(&called.name, argument)].clone());
            option(argument, words, text)
        })
        .collect();
    if !arguments.is_empty() {
        parts.push(arguments.join("\n"));
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for text in after.split("\n\n").filter(|text| !text.is_empty()) {
        match text.split_once(":\n") {
            Some(("Example" | "Examples", lines)) => {
                let lines: Vec<&str> =
                    lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
                parts.push(format!("{}\n\n```sh\n{}\n```", words.example, lines.join("\n")));
            }
            // The Chinese text of the command says it.
            _ if texts.is_some() => {}
            _ => parts.push(mark_up(text)),
        }
    }
    parts.join("\n\n") + "\n"
}

/// Options that every command has are described once, with `gongpai` itself.
fn is_common(argument: &Arg, depth: usize) -> bool {
    argument.is_hide_set()
        || matches!(argument.get_id().as_str(), "help" | "version")
        || (depth > 0 && argument.is_global_set())
}

/// One option as an item of a list, with `text` instead of the one of `--help`.
fn option(argument: &Arg, words: &Words, text: Option<String>) -> String {
    let help =
        argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let text = text.unwrap_or_else(|| mark_up(&help.replace("\n\n", ". ")));
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if defaults.is_empty() || !argument.get_action().takes_values() {
        String::new()
    } else {
        format!("{}`{}`{}", words.default[0], defaults.join(","), words.default[1])
    };
    format!("- `{argument}`{}{text}{default}", words.colon)
}
