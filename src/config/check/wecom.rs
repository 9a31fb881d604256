//! Checks `[wecom]`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use chrono_tz::Tz;
use secrecy::ExposeSecret as _;
use url::Url;

use super::LayerReader;
use crate::base::copy_fault::CopiedAlphabet;
use crate::base::cron::Schedule;
use crate::base::host::Origin;
use crate::base::id::CorpId;
use crate::config::RequiredKey;
use crate::config::model::{CallbackConfig, VerifyFile, WecomConfig};

pub(super) fn check_wecom(r: &mut LayerReader<'_>, time_zone: Option<Tz>) -> Option<WecomConfig> {
    let corp_id = check_corp_id(r);
    let agent_id = check_agent_id(r);
    let api_address = check_address(r, "wecom.api_address");
    let oauth2_address = check_address(r, "wecom.oauth2_address");
    let qr_connect_address = check_address(r, "wecom.qr_connect_address");
    let proxy = check_proxy(r);
    // A wrong zone is a finding already, and a wrong schedule is wrong in every zone.
    let zone = time_zone.unwrap_or(Tz::UTC);
    let sync_cron = check_schedule(r, "wecom.sync_cron", zone);
    let force_sync_cron = check_schedule(r, "wecom.force_sync_cron", zone);
    let verify_files = check_verify_files(r);
    let contacts_callback = check_callback(r, "wecom.contacts_callback");
    let app_callback = check_callback(r, "wecom.app_callback");
    warn_of_copied_secrets(r);
    warn_of_missing_keys(r);
    Some(WecomConfig {
        enable: r.boolean("wecom.enable"),
        corp_id: corp_id?,
        agent_id: agent_id?,
        app_secret: r.secret("wecom.app_secret"),
        contacts_secret: r.secret("wecom.contacts_secret"),
        api_address: api_address?,
        oauth2_address: oauth2_address?,
        qr_connect_address: qr_connect_address?,
        proxy: proxy?,
        message_enable: r.boolean("wecom.message_enable"),
        sync_cron: sync_cron?,
        force_sync_cron: force_sync_cron?,
        verify_files: verify_files?,
        contacts_callback: contacts_callback?,
        app_callback: app_callback?,
    })
}

fn check_corp_id(r: &mut LayerReader<'_>) -> Option<CorpId> {
    const KEY: &str = "wecom.corp_id";
    let text = r.text(KEY);
    if text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Some(CorpId::new(text));
    }
    let along = r.copied_along(KEY, CopiedAlphabet::Console);
    r.error(KEY, format_args!("must be the 企业ID, letters and digits that begin with \"ww\"{along}"));
    None
}

/// Warns of secrets that were copied with another character. WeCom's refusal of such a secret
/// sounds as if it had to be reset.
fn warn_of_copied_secrets(r: &mut LayerReader<'_>) {
    const SINGLE: &str = "wecom.corp_secret";
    r.warn_of_copy_fault(SINGLE, CopiedAlphabet::Console);
    let single = r.layers.settings.get(SINGLE).map(|entry| &entry.value);
    for key in ["wecom.app_secret", "wecom.contacts_secret"] {
        // The warning about the single secret is enough.
        let stands_in = match (r.layers.settings.get(key), single) {
            (Some(entry), Some(single)) => entry.value.is_same(single),
            _ => false,
        };
        if !stands_in {
            r.warn_of_copy_fault(key, CopiedAlphabet::Console);
        }
    }
}

fn check_agent_id(r: &mut LayerReader<'_>) -> Option<u32> {
    r.parsed("wecom.agent_id", |text| match text {
        "" => Ok(0),
        _ => text.parse().ok().filter(|id| *id > 0).ok_or("the AgentId, a number such as 1000002"),
    })
}

/// Warns of keys without which nobody can sign in. The program runs all the same, so that its pages
/// and `doctor` say so.
fn warn_of_missing_keys(r: &mut LayerReader<'_>) {
    let place = |key: RequiredKey| match key {
        RequiredKey::CorpId => "企业ID, at the foot of 我的企业 › 企业信息",
        RequiredKey::AgentId => "AgentId, on the application's page under 应用管理 › 自建",
        RequiredKey::AppSecret => "Secret, on the same page",
    };
    if !r.boolean("wecom.enable") {
        r.warn("wecom.enable", "is false: nobody can sign in (503 wecom.disabled)");
        return;
    }
    let is_missing = |key: &RequiredKey| !r.layers.is_set(key.as_str());
    let missing: Vec<_> = RequiredKey::ALL.into_iter().filter(is_missing).collect();
    let Some(first) = missing.first() else { return };
    let told: Vec<_> = missing.iter().map(|key| format!("{key} ({})", place(*key))).collect();
    r.warn(first.as_str(), format_args!("nobody can sign in before this is filled in: {}", told.join("; ")));
}

/// Checks an address of WeCom or of a private deployment. It loses its trailing slash and may have
/// a path.
fn check_address(r: &mut LayerReader<'_>, key: &'static str) -> Option<Url> {
    if let Some(address) = explain_added_path(key, r.text(key)) {
        r.error(key, address);
        return None;
    }
    let url = r.parsed(key, |text| {
        const FORM: &str = "an address, \"https://qyapi.weixin.qq.com\", without query";
        let mut url = Url::parse(text).map_err(|_| FORM)?;
        let plain = url.query().is_none() && url.fragment().is_none() && Origin::from_url(&url).is_some();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        if plain { Ok(url) } else { Err(FORM) }
    })?;
    let loopback = Origin::from_url(&url).is_some_and(|origin| origin.is_loopback());
    if url.scheme() == "http" && !loopback {
        r.warn(key, "is http: secrets and codes travel readable; only a private network excuses it");
    }
    Some(url)
}

/// The path that WeCom's documents write after each address, and that the program adds itself.
const ADDED_PATHS: [(&str, &str); 3] = [
    ("wecom.api_address", "cgi-bin"),
    ("wecom.oauth2_address", "connect"),
    ("wecom.qr_connect_address", "wwlogin"),
];

/// Explains what is wrong with an address that was copied together with the added path.
fn explain_added_path(key: &str, text: &str) -> Option<String> {
    let (_, added) = ADDED_PATHS.iter().find(|(known, _)| *known == key)?;
    let url = Url::parse(text).ok()?;
    let origin = Origin::from_url(&url)?;
    let (before, _) = url.path().split_once(&format!("/{added}"))?;
    let rest = url.path().strip_prefix(before)?.strip_prefix('/')?;
    if rest.split('/').next() != Some(added) {
        return None;
    }
    Some(format!("must be without /{added} and what follows it, which is added; write \"{origin}{before}\""))
}

fn check_proxy(r: &mut LayerReader<'_>) -> Option<Option<Url>> {
    r.parsed("wecom.proxy", |text| {
        const FORM: &str = "an HTTP proxy, \"http://proxy.example.com:3128\"";
        if text.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(text).map_err(|_| FORM)?;
        let good =
            matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
        if good { Ok(Some(url)) } else { Err(FORM) }
    })
}

/// Checks a schedule. The inner `None` is for "", which means never.
fn check_schedule(r: &mut LayerReader<'_>, key: &str, zone: Tz) -> Option<Option<Schedule>> {
    let text = r.text(key).trim();
    if text.is_empty() {
        return Some(None);
    }
    match Schedule::parse(text, zone) {
        Ok(schedule) => Some(Some(schedule)),
        Err(why) => {
            r.error(key, why);
            None
        }
    }
}

fn check_verify_files(r: &mut LayerReader<'_>) -> Option<Vec<VerifyFile>> {
    const KEY: &str = "wecom.verify_files";
    let read: Option<Vec<_>> = r.list(KEY).iter().map(|name| VerifyFile::parse(name)).collect();
    if read.is_none() {
        r.error(KEY, "must be file names as the console gives them, \"WW_verify_AbCdEf0123456789.txt\"");
    }
    read
}

/// Checks a callback, which is set up if both its values are.
fn check_callback(r: &mut LayerReader<'_>, section: &str) -> Option<Option<CallbackConfig>> {
    let (token_key, aes_key) = (format!("{section}.token"), format!("{section}.encoding_aes_key"));
    let (token, encoding_aes_key) = match (r.secret(&token_key), r.secret(&aes_key)) {
        (Some(token), Some(key)) => (token, key),
        (None, None) => return Some(None),
        (Some(_), None) => {
            r.warn(&token_key, format_args!("is not used while {aes_key} is empty"));
            return Some(None);
        }
        (None, Some(_)) => {
            r.warn(&aes_key, format_args!("is not used while {token_key} is empty"));
            return Some(None);
        }
    };
    let good_token = {
        let token = token.expose_secret();
        token.len() <= 32 && token.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if !good_token {
        let along = r.copied_along(&token_key, CopiedAlphabet::Console);
        let message = format_args!("must be the Token of the console: letters and digits, 32 at most{along}");
        r.error(&token_key, message);
    }
    let good_key = is_aes_key(encoding_aes_key.expose_secret());
    if !good_key {
        let along = r.copied_along(&aes_key, CopiedAlphabet::Console);
        r.error(
            &aes_key,
            format_args!("must be the EncodingAESKey of the console: 43 letters and digits{along}"),
        );
    }
    (good_token && good_key).then_some(Some(CallbackConfig { token, encoding_aes_key }))
}

/// Returns whether the text is an AES key. 43 characters have 258 bits, of which 256 count. WeCom
/// does not clear the last two (document 91144), so strict decoders refuse three keys of four.
fn is_aes_key(text: &str) -> bool {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let decoded = GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(text);
    text.len() == 43 && decoded.is_ok_and(|key| key.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aes_key_may_end_in_surplus_bits() {
        // The sample key of WeCom's documentation (91144) ends in bits that are not zero.
        assert!(is_aes_key("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"));
        for bad in ["", "1", &"a".repeat(42), &"a".repeat(44), &"!".repeat(43)] {
            assert!(!is_aes_key(bad), "{bad}");
        }
    }
}
