//! What the simulator has issued: access tokens, codes and user tickets; and the addresses that it
//! has blocked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::random;
use super::world::CodeBearer;

/// The lifetime of an access token, as in `expires_in` (doc 91039).
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(7200);
/// The lifetime of a code (doc 91023).
pub(super) const CODE_LIFETIME: Duration = Duration::from_mins(5);
/// The longest code that WeCom issues.
pub(super) const MAX_CODE_BYTES: usize = 512;
/// How long wrong secrets are counted, and how long an address stays blocked (help of 45009).
const BLOCK_DURATION: Duration = Duration::from_hours(1);

/// The owner of the secret that a token was issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TokenHolder {
    /// An application, by its agent id.
    App(i64),
    /// The 通讯录同步 assistant.
    Contacts,
}

/// A code with what it stands for.
#[derive(Debug, Clone)]
pub(super) struct IssuedCode {
    pub(super) who: CodeBearer,
    /// The application that the code was issued for.
    pub(super) agent_id: i64,
    /// Whether the person agreed to `snsapi_privateinfo`.
    pub(super) private: bool,
    issued: Duration,
    used: bool,
}

/// Why a token is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadToken {
    Expired,
    /// Never issued, or revoked.
    Unknown,
}

/// Why a code is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadCode {
    /// Never issued.
    Unknown,
    Used,
    /// Older than [`CODE_LIFETIME`].
    Expired,
    /// Issued for another application.
    OtherAgent,
}

/// Everything issued so far.
#[derive(Debug, Default)]
pub(super) struct Grants {
    tokens: HashMap<String, (TokenHolder, Duration)>,
    /// The secret is part of the key, so a changed secret gets a new token.
    current: HashMap<(TokenHolder, String), String>,
    codes: HashMap<String, IssuedCode>,
    wrong_secrets: HashMap<IpAddr, Vec<Duration>>,
    blocked: HashMap<IpAddr, Duration>,
}

impl Grants {
    /// Returns the token of a secret: the same one while it is valid, then a new one.
    pub(super) fn token(&mut self, holder: TokenHolder, secret: &str, now: Duration) -> String {
        let key = (holder, secret.to_owned());
        if let Some(token) = self.current.get(&key)
            && self.check_token(token, now).is_ok()
        {
            return token.clone();
        }
        let token = random::random_text(214);
        self.tokens.insert(token.clone(), (holder, now));
        self.current.insert(key, token.clone());
        token
    }

    /// Returns the owner of a token.
    pub(super) fn check_token(&self, token: &str, now: Duration) -> Result<TokenHolder, BadToken> {
        match self.tokens.get(token) {
            Some((_, issued)) if now.saturating_sub(*issued) >= TOKEN_LIFETIME => Err(BadToken::Expired),
            Some((holder, _)) => Ok(*holder),
            None => Err(BadToken::Unknown),
        }
    }

    /// Revokes every token, as WeCom may do at any time.
    pub(super) fn revoke_tokens(&mut self) {
        self.tokens.clear();
        self.current.clear();
    }

    pub(super) fn issue_code(
        &mut self,
        who: CodeBearer,
        agent_id: i64,
        private: bool,
        now: Duration,
    ) -> String {
        let code = random::random_text(43);
        self.codes.insert(code.clone(), IssuedCode { who, agent_id, private, issued: now, used: false });
        code
    }

    /// Redeems a code, which can be done once. A code of another application stays valid.
    pub(super) fn redeem(&mut self, code: &str, agent_id: i64, now: Duration) -> Result<IssuedCode, BadCode> {
        let code = self.codes.get_mut(code).ok_or(BadCode::Unknown)?;
        if code.agent_id != agent_id {
            return Err(BadCode::OtherAgent);
        }
        if code.used {
            return Err(BadCode::Used);
        }
        if now.saturating_sub(code.issued) >= CODE_LIFETIME {
            return Err(BadCode::Expired);
        }
        code.used = true;
        Ok(code.clone())
    }

    /// Counts a wrong secret. One more than `allowed` blocks the address.
    pub(super) fn count_wrong_secret(&mut self, from: IpAddr, allowed: u32, now: Duration) {
        let times = self.wrong_secrets.entry(from).or_default();
        times.retain(|t| now.saturating_sub(*t) < BLOCK_DURATION);
        times.push(now);
        if u32::try_from(times.len()).unwrap_or(u32::MAX) > allowed {
            times.clear();
            self.blocked.insert(from, now);
        }
    }

    pub(super) fn is_blocked(&self, from: IpAddr, now: Duration) -> bool {
        self.blocked.get(&from).is_some_and(|since| now.saturating_sub(*since) < BLOCK_DURATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: TokenHolder = TokenHolder::App(1);

    #[test]
    fn a_secret_has_one_token_until_it_expires() {
        let mut g = Grants::default();
        let first = g.token(APP, "s", Duration::ZERO);
        assert_eq!(g.token(APP, "s", TOKEN_LIFETIME / 2), first);
        assert_ne!(g.token(TokenHolder::Contacts, "c", Duration::ZERO), first);
        assert_eq!(g.check_token(&first, TOKEN_LIFETIME), Err(BadToken::Expired));
        let second = g.token(APP, "s", TOKEN_LIFETIME);
        assert_ne!(second, first);
        assert_eq!(g.check_token(&second, TOKEN_LIFETIME), Ok(APP));
    }

    #[test]
    fn a_revoked_token_is_unknown_and_the_next_one_is_new() {
        let mut g = Grants::default();
        let first = g.token(APP, "s", Duration::ZERO);
        g.revoke_tokens();
        assert_eq!(g.check_token(&first, Duration::ZERO), Err(BadToken::Unknown));
        assert_ne!(g.token(APP, "s", Duration::ZERO), first);
    }

    #[test]
    fn a_code_works_once_for_five_minutes_and_for_its_own_application() {
        let mut g = Grants::default();
        let who = CodeBearer::Member("zhangsan".into());
        let code = g.issue_code(who.clone(), 1, false, Duration::ZERO);
        assert!(code.len() <= MAX_CODE_BYTES);
        assert_eq!(g.redeem(&code, 2, Duration::ZERO).unwrap_err(), BadCode::OtherAgent);
        assert_eq!(g.redeem(&code, 1, Duration::ZERO).unwrap().who, who);
        assert_eq!(g.redeem(&code, 1, Duration::ZERO).unwrap_err(), BadCode::Used);
        let late = g.issue_code(who, 1, false, Duration::ZERO);
        assert_eq!(g.redeem(&late, 1, CODE_LIFETIME).unwrap_err(), BadCode::Expired);
        assert_eq!(g.redeem("made-up", 1, Duration::ZERO).unwrap_err(), BadCode::Unknown);
    }

    #[test]
    fn too_many_wrong_secrets_block_the_address_for_an_hour() {
        let mut g = Grants::default();
        let (bad, good) = (IpAddr::from([203, 0, 113, 7]), IpAddr::from([203, 0, 113, 8]));
        for _ in 0..3 {
            g.count_wrong_secret(bad, 3, Duration::ZERO);
        }
        assert!(!g.is_blocked(bad, Duration::ZERO));
        g.count_wrong_secret(bad, 3, Duration::ZERO);
        assert!(g.is_blocked(bad, Duration::from_mins(59)));
        assert!(!g.is_blocked(good, Duration::ZERO));
        assert!(!g.is_blocked(bad, BLOCK_DURATION));
    }
}
