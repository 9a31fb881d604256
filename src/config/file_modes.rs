//! Finds files that other users of this machine can read: names, sign-ins, the audit trail, secrets
//! ([design: secrets](crate::design#secrets)).
//!
//! What the gateway creates is private (directories 0700, files 0600). What existed before may be
//! meant as it is, so it stays unchanged and is reported with the command that closes it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::model::{Config, DatabaseConfig};

/// The setgid bit: the directory's group was set on purpose, as Kubernetes does with `fsGroup`.
const SETGID_BIT: u32 = 0o2000;

/// Where containers get their secrets, which everybody in the container can read.
const CONTAINER_SECRET_FOLDERS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

/// A file or directory of the gateway that others can read or enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExposedPath {
    pub path: PathBuf,
    is_directory: bool,
}

impl ExposedPath {
    /// Returns the command that closes it: `chmod 600 data/gongpai.db`.
    pub(crate) fn command(&self) -> String {
        let path = self.path.display().to_string();
        let plain =
            !path.is_empty() && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+:@".contains(&b));
        let quoted = if plain { path } else { format!("'{}'", path.replace('\'', "'\\''")) };
        format!("chmod {} {quoted}", if self.is_directory { "700" } else { "600" })
    }

    /// Returns whether it is data_dir itself.
    pub(crate) const fn is_directory(&self) -> bool {
        self.is_directory
    }
}

/// Finds data_dir and files of the embedded database that others can read. The root secret is
/// checked when it is read.
pub(crate) fn find_exposed_paths(config: &Config) -> Vec<ExposedPath> {
    let DatabaseConfig::Sqlite(file) = &config.database else { return Vec::new() };
    // SQLite keeps two more files beside the database.
    let beside = ["", "-wal", "-shm"].map(|suffix| {
        let mut path = file.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    });
    let files = beside.into_iter().filter(|path| read_mode(path).is_some_and(|mode| mode & 0o077 != 0));
    let directory = read_mode(&config.data_dir)
        .is_some_and(|mode| mode & if mode & SETGID_BIT == 0 { 0o077 } else { 0o007 } != 0)
        .then(|| ExposedPath { path: config.data_dir.clone(), is_directory: true });
    directory.into_iter().chain(files.map(|path| ExposedPath { path, is_directory: false })).collect()
}

/// Checks whether everybody on this machine can read a secret's file. Access by the group is often
/// meant (root:gongpai 0640).
pub(super) fn check_secret_file(path: &Path) -> Option<ExposedPath> {
    let in_container = CONTAINER_SECRET_FOLDERS.iter().any(|folder| path.starts_with(folder));
    let open = !in_container && read_mode(path).is_some_and(|mode| mode & 0o007 != 0);
    open.then(|| ExposedPath { path: path.to_owned(), is_directory: false })
}

fn read_mode(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|meta| meta.mode())
}

/// Logs each file that others can read, and the command that closes it.
pub(crate) fn warn_of_exposed_paths(config: &Config) {
    for open in find_exposed_paths(config) {
        let (path, command) = (open.path.display(), open.command());
        tracing::warn!(
            %path,
            "Others on this machine may read {path}: names, sign-ins and the audit trail are in there; run: {command}"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::ConfigSources;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn config(data_dir: &Path) -> Config {
        let text = format!("data_dir = {:?}\nwecom.enable = false", data_dir.display().to_string());
        Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() }).unwrap().0
    }

    #[test]
    fn case_55_whatever_others_may_read_is_named_with_the_command_that_closes_it() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("our data");
        std::fs::create_dir(&data).unwrap();
        let config = config(&data);
        for name in ["gongpai.db", "gongpai.db-wal", "gongpai.db-shm"] {
            std::fs::write(data.join(name), "").unwrap();
            set(&data.join(name), 0o644);
        }
        set(&data, 0o755);
        let commands: Vec<_> = find_exposed_paths(&config).iter().map(ExposedPath::command).collect();
        let quoted = |mode: &str, name: &str| format!("chmod {mode} '{}{name}'", data.display());
        let wanted = [
            quoted("700", ""),
            quoted("600", "/gongpai.db"),
            quoted("600", "/gongpai.db-wal"),
            quoted("600", "/gongpai.db-shm"),
        ];
        assert_eq!(commands, wanted);
        for name in ["gongpai.db", "gongpai.db-wal", "gongpai.db-shm"] {
            set(&data.join(name), 0o600);
        }
        set(&data, 0o2770);
        assert_eq!(find_exposed_paths(&config), vec![], "a group that was set on purpose");
        set(&data, 0o700);
        assert_eq!(find_exposed_paths(&config), vec![]);
    }

    #[test]
    fn what_is_not_there_is_open_to_nobody() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(find_exposed_paths(&config(&temp.path().join("none"))), vec![]);
    }

    #[test]
    fn a_secret_file_is_open_where_everybody_may_read_it_and_not_for_its_group() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        set(temp.path(), 0o640);
        assert_eq!(check_secret_file(temp.path()), None);
        set(temp.path(), 0o644);
        assert_eq!(
            check_secret_file(temp.path()).unwrap().command(),
            format!("chmod 600 {}", temp.path().display())
        );
    }
}
