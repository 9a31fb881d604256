//! Finds domain verification files, in the configuration and in `data_dir`.

use std::io;

use super::model::{Config, VerifyFile};

/// Returns `wecom.verify_files` and every file with such a name in `data_dir`, each once.
///
/// A directory that does not exist yet has none. If it cannot be read, that is logged, and the
/// configured files are served all the same.
pub(crate) fn find_verify_files(config: &Config) -> Vec<VerifyFile> {
    let mut files = Vec::new();
    let found = match list_verify_files(config) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            let dir = config.data_dir.display();
            tracing::warn!(error = %e, "Cannot look for domain verification files in {dir}: {e}");
            Vec::new()
        }
    };
    for file in config.wecom.verify_files.iter().cloned().chain(found) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

fn list_verify_files(config: &Config) -> io::Result<Vec<VerifyFile>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&config.data_dir)? {
        found.extend(entry?.file_name().to_str().and_then(VerifyFile::parse));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSources;

    #[test]
    fn configured_files_and_files_in_data_dir_are_each_served_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["WW_verify_AbCdEf0123456789.txt", "WW_verify_aaaaaaaaaaaaaaaa.txt", "WW_verify_short.txt"]
        {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let text = format!(
            "data_dir = {:?}\n[wecom]\nverify_files = [\"WW_verify_AbCdEf0123456789.txt\", \"WW_verify_bbbbbbbbbbbbbbbb.txt\"]",
            dir.path().display().to_string()
        );
        let (config, _) =
            Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() }).unwrap();
        let mut tokens: Vec<String> =
            find_verify_files(&config).iter().map(|file| file.token().to_owned()).collect();
        tokens.sort();
        assert_eq!(tokens, ["AbCdEf0123456789", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"]);
    }

    #[test]
    fn a_data_dir_that_is_not_there_yet_holds_none() {
        let text = "data_dir = \"/nonexistent/data\"".to_owned();
        let (config, _) =
            Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() }).unwrap();
        assert!(find_verify_files(&config).is_empty());
    }
}
