//! Checks that the root secret exists, is readable for its owner only, and opens the signing keys.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::finding::{DoctorFinding, untranslated};
use super::words::FindingKind;
use crate::base::seal::{SealPurpose, Sealer};
use crate::config::{Config, load_root_secret};
use crate::db::Db;
use crate::keys::{KeyError, load_keys};

/// Returns the file that must hold the root secret, or `None` where `server.secret` does. Does not
/// create it.
pub(crate) fn root_secret_path(config: &Config) -> Option<PathBuf> {
    config.server.secret.is_none().then(|| config.data_dir.join("secret"))
}

pub(super) async fn check_root_secret(config: &Config, db: Option<&Db>) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    if let Some(path) = root_secret_path(config) {
        let name = path.display().to_string();
        match std::fs::metadata(&path) {
            Ok(meta) if meta.mode() & 0o077 != 0 => {
                findings
                    .push(DoctorFinding::new(FindingKind::RootSecretOpen, &[untranslated("path", &name)]));
            }
            Ok(_) => {}
            // Reading it would create one, which only `serve` may do. Before the first start
            // nothing is sealed.
            Err(_) if has_keys(db).await => {
                return vec![DoctorFinding::new(
                    FindingKind::RootSecretMissing,
                    &[untranslated("path", &name)],
                )];
            }
            Err(_) => return Vec::new(),
        }
    }
    let root = match load_root_secret(config) {
        Ok(root) => root.0,
        Err(error) => {
            let why = error.to_string();
            findings.push(DoctorFinding::new(FindingKind::RootSecretUnusable, &[untranslated("why", &why)]));
            return findings;
        }
    };
    let Some(db) = db else { return findings };
    match load_keys(db, &Sealer::new(&root, SealPurpose::SigningKey)).await {
        Ok(loaded) if loaded.foreign > 0 => {
            let count = loaded.foreign.to_string();
            findings
                .push(DoctorFinding::new(FindingKind::RootSecretForeign, &[untranslated("count", &count)]));
        }
        Ok(loaded) if !loaded.mismatched.is_empty() => {
            let kids = loaded.mismatched.join(", ");
            findings.push(DoctorFinding::new(FindingKind::KeysMismatched, &[untranslated("kids", &kids)]));
        }
        Ok(_) => findings.push(DoctorFinding::new(FindingKind::RootSecretOk, &[])),
        Err(error) => {
            let why = KeyError::from(error).to_string();
            findings.push(DoctorFinding::new(FindingKind::RootSecretUnusable, &[untranslated("why", &why)]));
        }
    }
    findings
}

/// Returns whether the database has a signing key, whatever opens it. If that cannot be found out,
/// it may have one.
async fn has_keys(db: Option<&Db>) -> bool {
    let Some(db) = db else { return false };
    let nobodys = Sealer::new(&[0; 32], SealPurpose::SigningKey);
    load_keys(db, &nobodys).await.map_or(true, |loaded| loaded.foreign > 0 || !loaded.jwks.is_empty())
}
