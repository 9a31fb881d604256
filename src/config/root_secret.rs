//! Reads the root secret, or makes it once and keeps it in `data_dir`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::model::{Config, DatabaseConfig, RootSecret};
use crate::base::secret::{random_bytes, random_token};

/// The file's name in `data_dir`.
const SECRET_FILE_NAME: &str = "secret";

/// The reasons why there is no root secret.
#[derive(Debug, thiserror::Error)]
pub enum RootSecretError {
    /// It is not set. [`Config::load`] refuses this already.
    #[error("server.secret is required with PostgreSQL; make one with: openssl rand -base64 32")]
    Required,
    /// `data_dir` or the file cannot be read or made.
    #[error("{}: {action}: {cause}", .path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        cause: io::Error,
    },
    /// The file contains something else.
    #[error(
        "{}: this is not a root secret (32 bytes in base64); put the right file back, or delete it to have a new one \
         made, which ends every session",
        .path.display()
    )]
    Malformed { path: PathBuf },
}

/// Returns `server.secret`, or the content of the file `secret` in `data_dir`. The file is made if
/// it does not exist (directory 0700, file 0600, on disk before this returns). Processes that start
/// together get the same secret.
///
/// # Errors
/// [`RootSecretError`]. A file that others can read causes only a warning.
pub fn load_root_secret(config: &Config) -> Result<RootSecret, RootSecretError> {
    if let Some(secret) = &config.server.secret {
        return Ok(secret.clone());
    }
    if matches!(config.database, DatabaseConfig::Postgres(_)) {
        return Err(RootSecretError::Required);
    }
    let path = config.data_dir.join(SECRET_FILE_NAME);
    if let Some(secret) = read_secret(&path)? {
        return Ok(secret);
    }
    create_secret(&config.data_dir, &path)?;
    read_secret(&path)?.ok_or_else(|| io_error(&path, "read it", io::ErrorKind::NotFound.into()))
}

/// Decodes 32 bytes of base64 in either alphabet, padded or not.
pub(super) fn decode_root_secret(text: &str) -> Option<RootSecret> {
    let alphabet = if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&alphabet, lenient).decode(text).ok()?;
    Some(RootSecret(bytes.try_into().ok()?))
}

fn read_secret(path: &Path) -> Result<Option<RootSecret>, RootSecretError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error(path, "open it", e)),
    };
    let mode = file.metadata().map_err(|e| io_error(path, "look at it", e))?.mode();
    // This is only a warning, because the administrator may mean it.
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            "The root secret {} can be read by others; run: chmod 600 {}",
            path.display(),
            path.display()
        );
    }
    let text = match io::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(e) => return Err(io_error(path, "read it", e)),
    };
    decode_root_secret(text.trim())
        .map(Some)
        .ok_or_else(|| RootSecretError::Malformed { path: path.to_owned() })
}

/// Writes a new secret to a temporary file and links it to `path`. The link either appears with the
/// whole content, or another process's file is there already and counts.
fn create_secret(data_dir: &Path, path: &Path) -> Result<(), RootSecretError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|e| io_error(data_dir, "make the directory", e))?;
    let draft = data_dir.join(format!(".{SECRET_FILE_NAME}-{}", random_token::<9>()));
    let written = write_draft(&draft).map_err(|e| io_error(&draft, "write it", e));
    // Creating a hard link is atomic, so exactly one of several processes succeeds.
    let linked = written.and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(io_error(path, "make it", e)),
        _ => Ok(()),
    });
    let removed = std::fs::remove_file(&draft);
    linked?;
    removed.map_err(|e| io_error(&draft, "remove it", e))?;
    let directory = File::open(data_dir).and_then(|dir| dir.sync_all());
    directory.map_err(|e| io_error(data_dir, "write the directory to disk", e))
}

fn write_draft(draft: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    writeln!(file, "{}", STANDARD.encode(random_bytes::<32>()))?;
    file.sync_all()
}

fn io_error(path: &Path, action: &'static str, cause: io::Error) -> RootSecretError {
    RootSecretError::Io { path: path.to_owned(), action, cause }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::ConfigSources;

    fn config(data_dir: &Path, rest: &str) -> Config {
        let text = format!("data_dir = {:?}\nwecom.enable = false\n{rest}", data_dir.display().to_string());
        Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() }).unwrap().0
    }

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_reads_it() {
        let temp = tempfile::tempdir().unwrap();
        let config = config(&temp.path().join("deep/data"), "");
        let first = load_root_secret(&config).unwrap();
        assert_eq!(load_root_secret(&config).unwrap().0, first.0);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&config.data_dir.join("secret")), 0o600);
        assert_eq!(mode(&config.data_dir), 0o700);
        assert_eq!(std::fs::read_dir(&config.data_dir).unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn processes_that_start_at_once_get_the_same_secret() {
        let temp = tempfile::tempdir().unwrap();
        let config = config(temp.path(), "");
        let secrets: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| load_root_secret(&config).unwrap().0)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(secrets.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_set_secret_wins_over_the_file_and_makes_none() {
        let temp = tempfile::tempdir().unwrap();
        let set = STANDARD.encode([7; 32]);
        let config = config(temp.path(), &format!("server.secret = \"{set}\""));
        assert_eq!(load_root_secret(&config).unwrap().0, [7; 32]);
        assert!(!temp.path().join("secret").exists());
    }

    #[test]
    fn a_malformed_file_is_named_and_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let config = config(temp.path(), "");
        for text in [&b""[..], b"S3CRET", &[0xff, 0xfe]] {
            std::fs::write(temp.path().join("secret"), text).unwrap();
            let error = load_root_secret(&config).unwrap_err().to_string();
            assert!(error.contains(&temp.path().join("secret").display().to_string()), "{error}");
            assert!(!error.contains("S3CRET"));
            assert_eq!(std::fs::read(temp.path().join("secret")).unwrap(), text);
        }
    }

    #[test]
    fn base64_is_read_in_either_alphabet_padded_or_not() {
        let standard = STANDARD.encode([0xfb; 32]);
        let url_safe = standard.replace('+', "-").replace('/', "_");
        for text in [
            standard.as_str(),
            url_safe.as_str(),
            standard.trim_end_matches('='),
            url_safe.trim_end_matches('='),
        ] {
            assert_eq!(decode_root_secret(text).unwrap().0, [0xfb; 32], "{text}");
        }
        assert!(decode_root_secret(&STANDARD.encode([1; 31])).is_none());
        assert!(decode_root_secret(&STANDARD.encode([1; 33])).is_none());
    }
}
