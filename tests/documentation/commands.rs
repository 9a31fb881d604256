//! `commands.md`: every command and its options, from what `--help` prints.

use clap::{Arg, Command, CommandFactory as _};
use gongpai::testing::cli::CommandLine;
use gongpai::testing::http::language::Language;

use crate::LANGUAGES;
use crate::generated::{compare_or_write, mark_up, note, read_texts};

/// Where the Chinese sentences are.
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
    default: &'static str,
    example: &'static str,
}

const ZH: Words = Words {
    title: "命令",
    introduction: "每个命令都有 `--help`，命令行的说明是英文的；这一页按命令列出，每个命令先用一句中文说明它做什么。\
                   `gongpai` 本身的选项对每个命令都有效。",
    default: "默认",
    example: "例如：",
};

const EN: Words = Words {
    title: "Commands",
    introduction: "Every command has `--help`, which says the same as this page. The options of `gongpai` itself belong to \
                   every command.",
    default: "default",
    example: "For example:",
};

#[test]
fn the_pages_of_the_commands_are_what_help_says() {
    let commands = list_commands();
    let names: Vec<String> = commands.iter().map(|called| called.name.clone()).collect();
    let chinese = read_texts(CHINESE_TEXTS, "commands", &names);
    for lang in LANGUAGES {
        let words = if lang == Language::Zh { &ZH } else { &EN };
        let mut page = note("the commands' --help");
        page.push_str(&format!("# {}\n\n{}\n", words.title, words.introduction));
        for called in &commands {
            let level = "#".repeat(called.depth.max(1) + 1);
            page.push_str(&format!("\n{level} `{}`\n\n", called.name));
            if lang == Language::Zh {
                page.push_str(&format!("{}\n\n", chinese[&called.name]));
            }
            page.push_str(&describe(called, words));
        }
        compare_or_write(lang, "commands", &page);
    }
}

/// What `--help` says about a command, as Markdown.
fn describe(called: &Called, words: &Words) -> String {
    let command = &called.command;
    let about =
        command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    let mut parts: Vec<String> =
        about.split("\n\n").map(|text| format!("{}.", mark_up(text.trim_end_matches('.')))).collect();
    let usage = command.clone().render_usage().to_string();
    parts.push(format!("```text\n{}\n```", usage.trim_start_matches("Usage: ").trim()));
    let arguments: Vec<String> = command
        .get_arguments()
        .filter(|argument| !is_common(argument, called.depth))
        .map(|argument| option(argument, words))
        .collect();
    if !arguments.is_empty() {
        parts.push(arguments.join("\n"));
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for text in after.split("\n\n").filter(|text| !text.is_empty()) {
        parts.push(match text.split_once(":\n") {
            Some(("Example" | "Examples", lines)) => {
                let lines: Vec<&str> =
                    lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
                format!("{}\n\n```sh\n{}\n```", words.example, lines.join("\n"))
            }
            _ => mark_up(text),
        });
    }
    parts.join("\n\n") + "\n"
}

/// Options that every command has are described once, with `gongpai` itself.
fn is_common(argument: &Arg, depth: usize) -> bool {
    argument.is_hide_set()
        || matches!(argument.get_id().as_str(), "help" | "version")
        || (depth > 0 && argument.is_global_set())
}

fn option(argument: &Arg, words: &Words) -> String {
    let help =
        argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let text = mark_up(&help.replace("\n\n", ". "));
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if defaults.is_empty() || !argument.get_action().takes_values() {
        String::new()
    } else {
        format!(" ({}: `{}`)", words.default, defaults.join(","))
    };
    format!("- `{argument}`: {text}{default}")
}
