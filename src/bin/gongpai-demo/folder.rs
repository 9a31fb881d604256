//! The folder of the demo's database and keys. It is removed when the demo ends.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use gongpai::testing::base::secret::random_token;

/// A temporary folder that is removed on drop, so that an early error leaves nothing behind.
#[derive(Debug)]
pub(crate) struct TemporaryFolder(Option<PathBuf>);

impl TemporaryFolder {
    /// Creates a folder that only this user can read.
    pub(crate) fn create() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("gongpai-demo-{}", random_token::<12>()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(Some(path)))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Removes the folder and everything in it, and reports an error that a drop would only log.
    pub(crate) fn remove(mut self) -> io::Result<()> {
        self.0.take().map_or(Ok(()), fs::remove_dir_all)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::warn!(%error, "{} could not be removed", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_folder_is_ours_alone_and_goes_with_everything_in_it() {
        for drops in [true, false] {
            let folder = TemporaryFolder::create().unwrap();
            let path = folder.path().to_owned();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
            fs::write(path.join("secret"), "s").unwrap();
            if drops {
                drop(folder);
            } else {
                folder.remove().unwrap();
            }
            assert!(!path.exists());
        }
    }
}
