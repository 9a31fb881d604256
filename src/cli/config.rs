//! `gongpai config check` and `gongpai config show`.

use std::io::Write;

use crate::config::{Config, ConfigReading, ConfigSources, DatabaseConfig, DefaultRule, RequiredKey};
use crate::gate::AccessRules;

/// Prints the sources, the meaning, every warning, and every error with its key and place.
///
/// Returns `false` if the configuration is not accepted (exit code 1).
///
/// # Errors
/// Only if `out` cannot be written.
pub(crate) fn check_config(sources: &ConfigSources, out: &mut dyn Write) -> anyhow::Result<bool> {
    let reading = ConfigReading::from_sources(sources);
    match &reading.outcome {
        Ok(_) if reading.read.is_empty() => writeln!(out, "read        nothing; the defaults hold")?,
        _ if !reading.read.is_empty() => writeln!(out, "read        {}", reading.read.join(", "))?,
        // A file could not be read at all. Its error is printed below; there is nothing else to
        // say.
        _ => {}
    }
    if let Ok(config) = &reading.outcome {
        write_meaning(config, out)?;
    }
    if !reading.read.is_empty() || reading.outcome.is_ok() {
        writeln!(out)?;
    }
    // Compiles the rules as the gateway does when it starts, because that finds more errors.
    let compiled = reading
        .outcome
        .as_ref()
        .ok()
        .map(|config| AccessRules::compile(&config.rules, &config.gate, &config.hosts));
    let (rule_warnings, rule_errors) = match compiled {
        Some(Ok((_, warnings))) => (warnings, Vec::new()),
        Some(Err(errors)) => (Vec::new(), errors),
        None => (Vec::new(), Vec::new()),
    };
    let warnings = reading.warnings.iter().map(|warning| format!("{}: {}", warning.key, warning.message));
    let warnings: Vec<String> = warnings.chain(rule_warnings).collect();
    for warning in &warnings {
        writeln!(out, "warning     {warning}")?;
    }
    let errors: Vec<String> = match &reading.outcome {
        Ok(_) => rule_errors,
        Err(error) => error.findings.iter().map(ToString::to_string).collect(),
    };
    for error in &errors {
        writeln!(out, "error       {error}")?;
    }
    if errors.is_empty() {
        writeln!(out, "accepted{}", format_count(warnings.len(), "warning", " with "))?;
    } else {
        writeln!(out, "not accepted{}", format_count(errors.len(), "error", ": "))?;
    }
    Ok(errors.is_empty())
}

/// Prints the effective configuration as TOML. A comment says where each value was set; secrets are
/// `"[set]"` or `""`.
///
/// Returns `false` if the configuration is not accepted (exit code 1). Nothing is in effect then,
/// and the errors are printed as comments.
///
/// # Errors
/// Only if `out` cannot be written.
pub(crate) fn show_config(sources: &ConfigSources, out: &mut dyn Write) -> anyhow::Result<bool> {
    let reading = ConfigReading::from_sources(sources);
    if let Some(toml) = reading.to_toml() {
        out.write_all(toml.as_bytes())?;
    }
    if let Err(error) = &reading.outcome {
        for finding in &error.findings {
            writeln!(out, "# error: {finding}")?;
        }
    }
    Ok(reading.outcome.is_ok())
}

fn write_meaning(config: &Config, out: &mut dyn Write) -> std::io::Result<()> {
    let set = |is: bool| if is { "set" } else { "not set" };
    let wecom = &config.wecom;
    writeln!(out, "browsers    {}", config.hosts.public())?;
    if let Some(domain) = config.hosts.cookie_domain() {
        writeln!(out, "cookies     shared by every host below {domain}")?;
    }
    writeln!(out, "listens     {} (admin: {})", config.server.listen, config.server.admin_listen)?;
    match &config.database {
        DatabaseConfig::Sqlite(path) => writeln!(out, "database    SQLite, {}", path.display())?,
        DatabaseConfig::Postgres(_) => writeln!(out, "database    PostgreSQL")?,
    }
    let corp = if wecom.has(RequiredKey::CorpId) { wecom.corp_id.as_str() } else { "not set" };
    let agent =
        if wecom.has(RequiredKey::AgentId) { wecom.agent_id.to_string() } else { "not set".to_owned() };
    writeln!(
        out,
        "WeCom       corp_id {corp}, agent_id {agent}, {}",
        if wecom.enable { "enabled" } else { "disabled" }
    )?;
    writeln!(
        out,
        "secrets     app_secret {}, contacts_secret {}",
        set(wecom.app_secret.is_some()),
        set(wecom.contacts_secret.is_some())
    )?;
    let elsewhere = match config.gate.default {
        DefaultRule::Members => "any active member",
        DefaultRule::Deny => "nobody",
    };
    let rules = match config.rules.len() {
        0 => "none".to_owned(),
        count => count.to_string(),
    };
    writeln!(out, "rules       {rules}; on hosts without rules: {elsewhere}")?;
    for client in &config.api_clients {
        let scopes: Vec<_> = client.scopes.iter().map(|scope| scope.as_str()).collect();
        writeln!(out, "API client  {}: {}", client.id, scopes.join(", "))?;
    }
    Ok(())
}

/// Returns `before` and a count such as `2 warnings`, or nothing for 0.
fn format_count(count: usize, what: &str, before: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!("{before}1 {what}"),
        _ => format!("{before}{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(
        command: fn(&ConfigSources, &mut dyn Write) -> anyhow::Result<bool>,
        text: &str,
    ) -> (bool, String) {
        let mut out = Vec::new();
        let sources = ConfigSources { text: Some(text.to_owned()), ..ConfigSources::default() };
        let accepted = command(&sources, &mut out).unwrap();
        (accepted, String::from_utf8(out).unwrap())
    }

    #[test]
    fn check_explains_what_it_accepts_and_lists_the_warnings() {
        let text = "public_url = \"https://oa.example.com\"\n[wecom]\ncorp_id = \"ww1\"\nagent_id = 1000002\n\
                    app_secret = \"s\"\n[o2oa]\nmessage_redirect_portal = \"p\"\n";
        let (accepted, out) = printed(check_config, text);
        assert!(accepted);
        for line in [
            "read        gongpai.toml\n",
            "browsers    https://oa.example.com\n",
            "listens     127.0.0.1:8080 (admin: 127.0.0.1:9090)\n",
            "database    SQLite, data/gongpai.db\n",
            "WeCom       corp_id ww1, agent_id 1000002, enabled\n",
            "secrets     app_secret set, contacts_secret not set\n",
            "rules       none; on hosts without rules: any active member\n",
            "warning     o2oa.message_redirect_portal: not in this version; it has no effect (gongpai.toml:7)\n",
            "accepted with 1 warning\n",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
    }

    #[test]
    fn check_compiles_the_rules_and_says_what_they_do_not_close() {
        let rules = |path: &str| {
            let text = "public_url = \"https://oa.example.com\"\n[wecom]\ncorp_id = \"ww1\"\nagent_id = 1000002\n\
                        app_secret = \"s\"\n[[rules]]\nhost = \"oa.example.com\"\nallow = [\"user:a\"]\npath = ";
            let rest = "[[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n";
            printed(check_config, &format!("{text}{path:?}\n{rest}"))
        };
        let (accepted, out) = rules("/boss/**");
        assert!(accepted && out.contains("warning     rules: rule 2 "), "{out}");
        assert!(out.contains("/index.php/boss") && out.ends_with("accepted with 1 warning\n"), "{out}");
        let (accepted, out) = rules("/boss/../x");
        assert!(
            !accepted && out.contains("error       rules: rule 1 (oa.example.com): the path may not"),
            "{out}"
        );
        assert!(out.ends_with("not accepted: 1 error\n"), "{out}");
    }

    #[test]
    fn check_and_show_list_every_error_and_say_no() {
        let text = "data_dir = 1\nsession.tll = \"1h\"\n";
        let (accepted, out) = printed(check_config, text);
        assert!(!accepted && out.contains("error       data_dir (gongpai.toml:1)"), "{out}");
        assert!(out.ends_with("not accepted: 2 errors\n"), "{out}");
        let (accepted, out) = printed(show_config, text);
        assert!(!accepted && out.starts_with("# error: data_dir (gongpai.toml:1)"), "{out}");
    }
}
