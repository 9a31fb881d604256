//! `gongpai snippet`: prints configuration that is ready for this installation.
//!
//! The output is complete and literal: nothing in it depends on a header that a client can choose.
//!
//! | file | what it has |
//! |---|---|
//! | `nginx` | `snippet nginx`; its texts are the `.conf` files |
//! | `cookie_filter` | the `map` that keeps our cookies from applications |
//! | `error_page` | the pages that nginx shows when the gateway or the application is down |
//! | `template` | fills values into those texts |
//!
//! This file has `snippet workbench` and `snippet systemd` (`gongpai.service`).

mod cookie_filter;
mod error_page;
mod nginx;
mod template;

use crate::base::host::Origin;
use crate::base::url::{ReturnTo, percent_encode};
use crate::config::{Config, RequiredKey};

pub(crate) use nginx::DEFAULT_ACCESS_LOG;
pub use nginx::{NginxArgs, render_nginx};

/// A hardened systemd unit. It is the same for every installation.
pub(crate) const SYSTEMD_UNIT: &str = include_str!("gongpai.service");

/// Why there is no output. Each text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnippetError {
    #[error("--host {0} is not a host: write app.example.com or app.example.com:8443")]
    BadHost(String),
    /// The gate would refuse every check for this host.
    #[error(
        "{0} is not a host of this installation: it is neither public_url's, nor in login.redirect_hosts, nor below \
         session.cookie_domain"
    )]
    ForeignHost(String),
    /// Without an application the host must be public_url's.
    #[error(
        "--upstream is missing: {0} is not public_url's host, the only one on which the gateway may answer alone"
    )]
    MissingUpstream(String),
    #[error("--upstream {0} is not http(s)://host[:port] without a path")]
    BadUpstream(String),
    /// The text would break nginx's `listen` line.
    #[error("--listen {0} is not an address for nginx's listen: write 443, 127.0.0.1:8443 or [::]:443")]
    BadListen(String),
    #[error("--rd {0} does not lead to a page of this installation")]
    BadTarget(String),
    /// The output needs a key that is not set.
    #[error("{0} is not set")]
    Missing(RequiredKey),
}

/// Arguments of `gongpai snippet workbench`.
#[derive(Debug, Clone, Default)]
pub struct WorkbenchArgs {
    /// The page that the icon opens; `None` stands for `login.landing`.
    pub rd: Option<String>,
    /// Print WeCom's authorize link, as O2OA's documentation has it, instead of ours.
    pub seed_style: bool,
}

/// Returns the home-page URL to paste into the WeCom console.
///
/// # Errors
/// [`SnippetError::BadTarget`], [`SnippetError::Missing`].
pub fn render_workbench_url(config: &Config, args: &WorkbenchArgs) -> Result<String, SnippetError> {
    let public = config.hosts.public();
    let rd = args.rd.as_deref().unwrap_or(&config.landing);
    let target =
        ReturnTo::parse(rd, public, &config.hosts).map_err(|_| SnippetError::BadTarget(rd.to_owned()))?;
    // On our own host a path is shorter and easier to read.
    let own = public.to_string();
    let target = target.as_str().strip_prefix(&own).unwrap_or(target.as_str());
    if !args.seed_style {
        return Ok(format!("{public}/sso/login?rd={}", percent_encode(target)));
    }
    if let Some(key) =
        [RequiredKey::CorpId, RequiredKey::AgentId].into_iter().find(|key| !config.wecom.has(*key))
    {
        return Err(SnippetError::Missing(key));
    }
    let mut page = format!("{public}/x_desktop/qiyeweixinsso.html");
    if args.rd.is_some() {
        page = format!("{page}?redirect={}", percent_encode(target));
    }
    Ok(format!(
        "{}/connect/oauth2/authorize?appid={}&redirect_uri={}&response_type=code&scope=snsapi_base&agentid={}&#wechat_redirect",
        config.wecom.oauth2_address.as_str().trim_end_matches('/'),
        percent_encode(config.wecom.corp_id.as_str()),
        percent_encode(&page),
        config.wecom.agent_id,
    ))
}

/// Parses `--host` and checks that the gate would accept the host.
fn parse_application_host(config: &Config, host: &str) -> Result<Origin, SnippetError> {
    let scheme = config.hosts.public().scheme();
    let origin = config
        .hosts
        .request_origin(host, Some(scheme))
        .ok_or_else(|| SnippetError::BadHost(host.to_owned()))?;
    // By the WHATWG rules a host may contain characters that have a meaning in nginx.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if !origin.host().chars().all(plain) {
        return Err(SnippetError::BadHost(host.to_owned()));
    }
    if config.hosts.permits(&origin) {
        Ok(origin)
    } else {
        Err(SnippetError::ForeignHost(origin.to_string()))
    }
}

#[cfg(test)]
mod tests;
