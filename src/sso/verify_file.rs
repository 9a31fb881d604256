//! `/WW_verify_*.txt`: proves to WeCom that the trusted domain belongs to the company ([design:
//! domain verification](crate::design#domain-verification)).
//!
//! Only names that the administrator configured or put into data_dir are answered. If any name were
//! answered, anybody could claim the domain for another corporation.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::config::VerifyFile;

/// The file names that are answered.
#[derive(Debug, Clone)]
pub(crate) struct VerifyFiles {
    configured: Arc<[VerifyFile]>,
    data_dir: Arc<PathBuf>,
}

impl VerifyFiles {
    /// Answers `wecom.verify_files`, and the files that lie in `data_dir` at the time of the
    /// request.
    pub(crate) fn new(configured: Vec<VerifyFile>, data_dir: PathBuf) -> Self {
        Self { configured: configured.into(), data_dir: Arc::new(data_dir) }
    }

    fn has(&self, file: &VerifyFile) -> bool {
        self.configured.contains(file) || self.data_dir.join(file.file_name()).is_file()
    }
}

/// Answers a verification file or 404; the fallback of the public router.
pub(crate) async fn serve_verify_file(
    State(files): State<VerifyFiles>,
    method: Method,
    uri: Uri,
) -> Response {
    let file = uri.path().strip_prefix('/').and_then(VerifyFile::parse);
    match file.filter(|f| matches!(method, Method::GET | Method::HEAD) && files.has(f)) {
        Some(file) => ([(CONTENT_TYPE, "text/plain")], file.token().to_owned()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
