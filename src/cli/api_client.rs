//! `gongpai api-client add`: credentials for an application that calls `/api`.
//!
//! The secret is generated here and printed once; the configuration holds only its hash. Nobody can
//! choose a secret: a single SHA-256 is strong enough only for 32 random bytes.

use std::io::Write;

use anyhow::bail;

use super::outcome::UsageError;
use crate::base::secret::{random_token, sha256_hex};
use crate::config::{Config, Scope};

/// Prints a new secret and the TOML block to paste.
///
/// # Errors
/// If the id is configured already, the scopes exclude each other, or `out` cannot be written.
pub(crate) fn add_client(
    config: &Config,
    id: &str,
    scopes: &[Scope],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if config.api_clients.iter().any(|client| client.id.as_str() == id) {
        bail!("[[api_clients]] has a client {id} already; take that block out to make it a new secret");
    }
    if scopes.contains(&Scope::Hook) && scopes.iter().any(|scope| *scope != Scope::Hook) {
        let why = "the scope hook stands alone: its secret is part of a URL; add another client for the rest";
        return Err(UsageError(why.to_owned()).into());
    }
    let secret = random_token::<32>();
    let mut names: Vec<String> = Vec::new();
    for scope in scopes {
        let name = format!("{:?}", scope.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    writeln!(out, "secret of {id}, shown this once:\n\n{secret}\n")?;
    writeln!(out, "paste into gongpai.toml and reload the gateway:\n")?;
    writeln!(out, "[[api_clients]]")?;
    writeln!(out, "id = {id:?}")?;
    writeln!(out, "secret_hash = \"sha256:{}\"", sha256_hex(&secret))?;
    writeln!(out, "scopes = [{}]", names.join(", "))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::sha256;
    use crate::config::ConfigSources;

    fn load(text: &str) -> Config {
        let sources =
            ConfigSources { text: Some(format!("wecom.enable = false\n{text}")), ..ConfigSources::default() };
        Config::load(&sources).unwrap().0
    }

    fn run_add(config: &Config, scopes: &[Scope]) -> anyhow::Result<String> {
        let mut out = Vec::new();
        add_client(config, "oa", scopes, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn what_is_printed_loads_and_its_hash_is_that_of_the_secret() {
        let out = run_add(&load(""), &[Scope::Sessions, Scope::Messages, Scope::Sessions]).unwrap();
        let secret = out.lines().nth(2).unwrap();
        let (_, block) = out.split_once("gateway:\n\n").unwrap();
        let config = load(block);
        let [client] = config.api_clients.as_slice() else { panic!("one client") };
        assert_eq!(client.secret_sha256, sha256(secret.as_bytes()));
        assert_eq!(client.scopes, [Scope::Sessions, Scope::Messages]);
        assert!(!block.contains(secret));
        assert!(run_add(&config, &[Scope::Sessions]).unwrap_err().to_string().contains("already"));
    }

    #[test]
    fn a_hook_stands_alone() {
        let error = run_add(&load(""), &[Scope::Hook, Scope::Sessions]).unwrap_err();
        assert!(error.is::<UsageError>());
        assert!(run_add(&load(""), &[Scope::Hook]).is_ok());
    }
}
