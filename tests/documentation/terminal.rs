//! `gongpai docs`, as somebody calls it.

use std::process::{Command, Output};

use gongpai::testing::http::language::Language;
use gongpai::testing::manual::list_topics;

use crate::read;

/// Runs the command in an environment that has these locale variables only.
fn docs(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gongpai"));
    command.arg("docs").args(args).current_dir(std::env::temp_dir());
    for name in ["LC_ALL", "LC_MESSAGES", "LANG", "GONGPAI_CONFIG"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).output().expect("the program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn a_pipe_gets_the_markdown_in_the_language_of_the_terminal() {
    let (zh, en) = (read("static/docs/zh/rules.md"), read("static/docs/en/rules.md"));
    for (environment, page) in [
        (&[("LANG", "zh_CN.UTF-8")][..], &zh),
        (&[("LANG", "de_DE.UTF-8")], &en),
        (&[], &en),
        (&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")], &en),
        (&[("LC_ALL", ""), ("LC_MESSAGES", "zh_TW"), ("LANG", "en_US.UTF-8")], &zh),
    ] {
        let output = docs(&["rules"], environment);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(&stdout(&output), page, "{environment:?}");
    }
    assert_eq!(stdout(&docs(&["rules", "--lang", "zh"], &[("LANG", "C")])), zh);
}

#[test]
fn without_a_topic_it_lists_them_all_and_says_where_the_html_is() {
    let output = docs(&[], &[]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    for topic in list_topics(Language::En) {
        assert!(text.contains(&topic.name) && text.contains(&topic.title), "{text}");
    }
    assert!(text.contains("http://127.0.0.1:9090/docs/"), "{text}");
}

#[test]
fn an_unknown_topic_ends_with_2_and_names_the_nearest() {
    let output = docs(&["rule"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("the nearest: rules (Access rules)"), "{complaint}");
    assert_eq!(docs(&["rules", "--lang", "fr"], &[]).status.code(), Some(2));
}
