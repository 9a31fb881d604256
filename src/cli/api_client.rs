//! `gongpai api-client add`: a secret for an application that calls `/api`.

use std::io::Write;

use anyhow::bail;

use super::rows;
use crate::base::secret::{random_token, sha256_hex};
use crate::config::{Scope, Sources};

/// Makes 32 random bytes, shows them once, and prints the block that keeps only their hash. There is no way to
/// choose a secret: a single SHA-256 keeps only a random one.
///
/// # Errors
/// If the id or a scope is not usable, or the id is taken.
pub fn add(sources: &Sources, id: &str, scopes: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !(1..=64).contains(&id.len()) || !id.bytes().all(good) {
        bail!("{id:?} is not a client's name: 1 to 64 letters, digits and . _ -");
    }
    let mut known = Vec::new();
    for scope in scopes.iter().map(|s| s.trim()) {
        let Some(scope) = Scope::parse(scope) else {
            let all: Vec<_> = Scope::ALL.iter().map(|s| s.as_str()).collect();
            bail!("{scope:?} is not a scope: {}", all.join(", "));
        };
        if !known.contains(&scope) {
            known.push(scope);
        }
    }
    if known.contains(&Scope::Hook) && known.len() > 1 {
        bail!("the scope hook stands alone: its secret is part of a URL");
    }
    if rows::load(sources)?.api_clients.iter().any(|c| c.id.as_str() == id) {
        bail!("there is a client {id} already; take its block out of gongpai.toml first");
    }
    let secret = random_token::<32>();
    let scopes: Vec<_> = known.iter().map(|s| format!("{:?}", s.as_str())).collect();
    writeln!(out, "Secret of {id}, shown only now: {secret}\n")?;
    writeln!(out, "Into gongpai.toml, then restart gongpai serve:\n")?;
    writeln!(out, "[[api_clients]]")?;
    writeln!(out, "id = {id:?}")?;
    writeln!(out, "secret_hash = \"sha256:{}\"", sha256_hex(&secret))?;
    writeln!(out, "scopes = [{}]", scopes.join(", "))?;
    Ok(())
}
