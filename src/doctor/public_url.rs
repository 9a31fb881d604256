//! That public_url leads here.
//!
//! Asked for are the published keys and not `/healthz`: the proxy's printed snippet passes the one to us and gives the
//! other to the application.

use super::finding::{Finding, same};
use super::web::{Page, Web};
use super::words::Row;
use crate::config::Config;

const PATH: &str = "/.well-known/jwks.json";

pub(super) async fn check(config: &Config, web: &Web) -> Vec<Finding> {
    let url = format!("{}{PATH}", config.hosts.public());
    vec![match web.get(&url).await {
        Ok(page) if is_ours(&page) => Finding::new(Row::PublicUrlOk, &[same("url", &url)]),
        Ok(page) => {
            let status = page.status.to_string();
            Finding::new(Row::PublicUrlElsewhere, &[same("url", &url), same("status", &status)])
        }
        Err(why) => unreachable(config, &why),
    }]
}

pub(super) fn unreachable(config: &Config, why: &str) -> Finding {
    let url = config.hosts.public().to_string();
    Finding::new(Row::PublicUrlUnreachable, &[same("url", &url), same("why", why)])
}

fn is_ours(page: &Page) -> bool {
    let keys = serde_json::from_slice::<serde_json::Value>(&page.body);
    page.status == 200 && keys.is_ok_and(|json| json.get("keys").is_some_and(serde_json::Value::is_array))
}
