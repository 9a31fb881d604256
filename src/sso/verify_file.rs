//! `/WW_verify_*.txt`: proves to WeCom that the trusted domain is the company's (wecom-api §2.6).
//!
//! Only names that the administrator configured or put into data_dir are answered: whoever could make us answer
//! any name could claim the domain for a corporation of their own.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::config::VerifyFile;

/// The names that are answered.
#[derive(Debug, Clone)]
pub struct VerifyFiles {
    configured: Arc<[VerifyFile]>,
    data_dir: Arc<PathBuf>,
}

impl VerifyFiles {
    /// `wecom.verify_files`, and what lies in `data_dir` when it is asked for.
    pub fn new(configured: Vec<VerifyFile>, data_dir: PathBuf) -> Self {
        Self { configured: configured.into(), data_dir: Arc::new(data_dir) }
    }

    fn has(&self, file: &VerifyFile) -> bool {
        self.configured.contains(file) || self.data_dir.join(file.file_name()).is_file()
    }
}

/// The fallback of the public router: a verification file, or 404.
pub async fn serve_verify_file(State(files): State<VerifyFiles>, method: Method, uri: Uri) -> Response {
    let file = uri.path().strip_prefix('/').and_then(VerifyFile::parse);
    match file.filter(|f| matches!(method, Method::GET | Method::HEAD) && files.has(f)) {
        Some(file) => ([(CONTENT_TYPE, "text/plain")], file.token().to_owned()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
