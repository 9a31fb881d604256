//! The kind of a browser, by its User-Agent. WeCom does not promise its User-Agents, so this is a
//! hint only: see [design: entrance](crate::design#entrance).

/// The kind of a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrowserKind {
    /// WeCom's own browser, or WeChat's (members bound to WeChat); OAuth works there.
    WeCom,
    /// Another browser on a phone; only the app itself can sign in.
    Phone,
    /// Any other browser; a QR code can be scanned from it.
    Desktop,
}

impl BrowserKind {
    /// Reads a User-Agent. `wxwork` is looked for first, because WeCom's also contains
    /// `MicroMessenger`.
    pub(crate) fn from_user_agent(user_agent: &str) -> Self {
        let ua = user_agent.to_ascii_lowercase();
        let has = |needles: &[&str]| needles.iter().any(|n| ua.contains(n));
        if has(&["wxwork", "wwlocal", "micromessenger"]) {
            Self::WeCom
        } else if has(&["android", "iphone", "ipad", "harmonyos", "mobile"]) {
            Self::Phone
        } else {
            Self::Desktop
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_apart_by_their_user_agent() {
        let cases = [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0) Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh",
                BrowserKind::WeCom,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0) Chrome/107 Safari/537.36 Language/zh wxwork/4.1.10 (MicroMessenger/6.2) WindowsWechat",
                BrowserKind::WeCom,
            ),
            (
                "Mozilla/5.0 (Linux; Android 13) wxworklocal/3.2.200 wwlocal/3.2.200 wxwork/4.0.0",
                BrowserKind::WeCom,
            ),
            ("Mozilla/5.0 (Linux; Android 13) MicroMessenger/8.0", BrowserKind::WeCom),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1", BrowserKind::Phone),
            ("Mozilla/5.0 (Linux; Android 13; Pixel 7) Chrome/120 Mobile Safari/537.36", BrowserKind::Phone),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/120 Safari/537.36", BrowserKind::Desktop),
            ("curl/8", BrowserKind::Desktop),
            ("", BrowserKind::Desktop),
        ];
        for (ua, want) in cases {
            assert_eq!(BrowserKind::from_user_agent(ua), want, "{ua}");
        }
    }
}
