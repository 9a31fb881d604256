//! `gongpai key rotate`: creates a new signing key.

use std::io::Write;

use anyhow::{Context as _, bail};

use super::{database, table};
use crate::audit::{Actor, AuditEntry, AuditEvent};
use crate::base::clock::Clock;
use crate::base::seal::{SealPurpose, Sealer};
use crate::config::{Config, load_root_secret};
use crate::doctor;
use crate::keys::{SigningKeys, load_keys};

/// Creates a key and prints from when it signs. The old key stays until its last token has expired.
///
/// # Errors
/// If there is no database, the root secret is not the gateway's, or the database fails. No key is
/// created then.
pub(crate) async fn rotate_key(
    config: &Config,
    clock: Clock,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    if let Some(path) = doctor::root_secret::root_secret_path(config).filter(|path| !path.exists()) {
        bail!(
            "there is no root secret at {}, which the gateway seals its keys with; call this where it runs, or set \
             server.secret",
            path.display()
        );
    }
    let root = load_root_secret(config)?.0;
    let loaded = load_keys(&db, &Sealer::new(&root, SealPurpose::SigningKey)).await?;
    // With another root secret the new key would be useless to the gateway.
    if loaded.jwks.is_empty() && loaded.foreign > 0 {
        bail!(
            "no signing key of this database opens with this root secret: it is not the one that the gateway uses"
        );
    }
    let zone = config.time_zone;
    let keys = SigningKeys::open(db.clone(), config.wecom.corp_id.clone(), &root, clock).await?;
    let entry = AuditEntry::of_deed(Actor::Cli, AuditEvent::KeyRotate, String::new());
    let rotated = keys.rotate(&entry).await.context("no key was made");
    db.close().await;
    let (kid, signs_from) = rotated?;
    writeln!(out, "new signing key {kid}")?;
    writeln!(out, "published now, signs from {} ({zone})", table::format_local_time(signs_from, zone))?;
    writeln!(out, "the old one stays until its last session has ended")?;
    Ok(())
}
