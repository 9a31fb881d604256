//! `gongpai key rotate`: a new signing key.

use std::io::Write;

use super::rows;
use super::sessions::local;
use crate::audit;
use crate::config::Sources;

/// Makes a key that is published at once and signs after the JWKS max-age.
///
/// # Errors
/// If the configuration is not accepted, or the database or root secret cannot be read.
pub async fn rotate(sources: &Sources, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = rows::load(sources)?;
    let db = rows::database(&config).await?;
    let entry = audit::Entry {
        event: audit::Event::KeyRotate,
        person: None,
        userid: String::new(),
        address: None,
        host: String::new(),
        decision: "done",
        detail: "by command line".to_owned(),
        request_id: String::new(),
    };
    let (kid, signs_from) = rows::sessions(&config, &db).await?.rotate_key(&entry).await?;
    writeln!(out, "New key {kid}")?;
    writeln!(out, "published now, signs from {}", local(signs_from, config.time_zone))?;
    writeln!(out, "The old one stays until the last token it signed has expired.")?;
    Ok(())
}
