//! Sign-in: the links that lead to WeCom, and the exchange of a code for its owner.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use url::Url;

use super::call_class::CallClass;
use super::exchange::{CallParameter, WecomRequest};
use super::{Deadline, SecretKind, WecomClient, WecomError};
use crate::base::id::{UserId, UserIdError};

/// The owner of a sign-in code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeOwner {
    /// A member of the corporation. Status and visible range remain open: WeCom also names members
    /// whom the application must not see (document 96442).
    Member(UserId),
    /// A member of a linked or downstream corporation (`CorpId/userid`).
    LinkedCorp,
    /// Everybody else: an external contact, somebody from 微信, or an answer that is ambiguous.
    Outsider,
}

impl WecomClient {
    /// Exchanges a sign-in code for its owner (`auth/getuserinfo`, document 96442) with the
    /// application's token.
    ///
    /// A code is good for one exchange. [`WecomError::Timeout`], [`WecomError::Unreachable`] and
    /// [`WecomError::Unreadable`] leave open whether it is used up; nothing here sends it again,
    /// and the caller must not either.
    pub async fn identity(&self, code: &str, deadline: Deadline) -> Result<CodeOwner, WecomError> {
        let query = [CallParameter::hidden("code", code)];
        let request =
            WecomRequest { api: "auth/getuserinfo", query: &query, body: None, class: CallClass::Person };
        let answer: IdentityAnswer = self.call(SecretKind::App, request, deadline).await?;
        Ok(answer.identity())
    }

    /// Returns the link that signs in silently inside WeCom (document 96441), with the scope
    /// `snsapi_base`.
    ///
    /// `redirect_uri` is given unencoded and encoded here, once; `state` may hold `[A-Za-z0-9]`, at
    /// most 128 characters.
    pub fn authorize_url(&self, redirect_uri: &str, state: &str) -> String {
        let settings = self.settings();
        format!(
            "{}/connect/oauth2/authorize?appid={}&redirect_uri={}&response_type=code&scope=snsapi_base\
             &state={}&agentid={}#wechat_redirect",
            trim_address(&settings.oauth2_address),
            urlencoding::encode(settings.corp_id.as_str()),
            urlencoding::encode(redirect_uri),
            urlencoding::encode(state),
            settings.agent_id,
        )
    }

    /// Returns the link to WeCom's scan page for ordinary browsers (document 98152), as a page of
    /// its own.
    ///
    /// `lang` is `zh` or `en`.
    pub fn scan_url(&self, redirect_uri: &str, state: &str, lang: &str) -> String {
        let settings = self.settings();
        format!(
            "{}/wwlogin/sso/login?login_type=CorpApp&appid={}&agentid={}&redirect_uri={}&state={}&lang={}",
            trim_address(&settings.qr_connect_address),
            urlencoding::encode(settings.corp_id.as_str()),
            settings.agent_id,
            urlencoding::encode(redirect_uri),
            urlencoding::encode(state),
            urlencoding::encode(lang),
        )
    }

    /// Returns the link to the same page as the official panel shows it in a frame of 480 × 416.
    /// With `top`, the next page opens in the window around the frame and not inside it.
    pub fn scan_frame_url(&self, redirect_uri: &str, state: &str, lang: &str) -> String {
        let settings = self.settings();
        format!(
            "{}/wwlogin/sso/login?login_type=CorpApp&appid={}&agentid={}&redirect_uri={}&state={}\
             &redirect_type=top&panel_size=middle&lang={}",
            trim_address(&settings.qr_connect_address),
            urlencoding::encode(settings.corp_id.as_str()),
            settings.agent_id,
            urlencoding::encode(redirect_uri),
            urlencoding::encode(state),
            urlencoding::encode(lang),
        )
    }
}

/// Removes query, fragment and closing slash, so that a path can be appended.
fn trim_address(address: &Url) -> String {
    let mut address = address.clone();
    address.set_query(None);
    address.set_fragment(None);
    address.as_str().trim_end_matches('/').to_owned()
}

/// The answer: `{"userid","user_ticket"}` or `{"openid","external_userid"}`. The legacy call and
/// private editions write `UserId`, `OpenId` (document 91023). Keys are read without regard to case
/// and underscores, so that every spelling of an outsider is noticed.
#[derive(Debug, Default)]
pub(super) struct IdentityAnswer {
    userid: Option<String>,
    outsider: Option<String>,
}

impl IdentityAnswer {
    /// Returns the owner. Anything but exactly one plausible userid is an outsider.
    pub(super) fn identity(self) -> CodeOwner {
        let (Some(userid), None) = (self.userid, self.outsider) else {
            return CodeOwner::Outsider;
        };
        match UserId::parse_existing(&userid) {
            Ok(userid) => CodeOwner::Member(userid),
            Err(UserIdError::LinkedCorp) => CodeOwner::LinkedCorp,
            Err(UserIdError::Unusable | UserIdError::NotAllowed) => CodeOwner::Outsider,
        }
    }
}

impl<'de> Deserialize<'de> for IdentityAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdentityVisitor;
        impl<'de> Visitor<'de> for IdentityVisitor {
            type Value = IdentityAnswer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an answer of auth/getuserinfo")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<IdentityAnswer, A::Error> {
                let mut answer = IdentityAnswer::default();
                let mut named = false;
                while let Some(key) = entries.next_key::<String>()? {
                    // Every spelling counts: `UserId`, `user_id`, `OPENID`.
                    match key.replace('_', "").to_ascii_lowercase().as_str() {
                        // Two userids are a contradiction, and neither may be believed.
                        "userid" if named => return Err(A::Error::custom("two userids")),
                        "userid" => {
                            named = true;
                            answer.userid = non_blank(entries.next_value()?);
                        }
                        "openid" | "externaluserid" => {
                            answer.outsider = non_blank(entries.next_value()?).or(answer.outsider);
                        }
                        _ => {
                            entries.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(answer)
            }
        }
        deserializer.deserialize_map(IdentityVisitor)
    }
}

/// Returns the text if it is not blank. A number fails by its type: no userid is one.
fn non_blank(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::wecom::tests::test_settings;

    fn read_identity(json: &str) -> CodeOwner {
        serde_json::from_str::<IdentityAnswer>(json).unwrap().identity()
    }

    #[test]
    fn only_one_plausible_userid_without_a_slash_is_a_member() {
        for (json, expected) in [
            (r#"{"userid":"ZhangSan"}"#, CodeOwner::Member(UserId::new("ZhangSan"))),
            (r#"{"UserId":"a@b.c_d-e","DeviceId":"x"}"#, CodeOwner::Member(UserId::new("a@b.c_d-e"))),
            (r#"{"userid":"a","openid":"","external_userid":null}"#, CodeOwner::Member(UserId::new("a"))),
            (r#"{"userid":"张三"}"#, CodeOwner::Member(UserId::new("张三"))),
            (r#"{"userid":"a+b"}"#, CodeOwner::Member(UserId::new("a+b"))),
            (r##"{"userid":"w#1"}"##, CodeOwner::Member(UserId::new("w#1"))),
            (r#"{"userid":"_lead"}"#, CodeOwner::Member(UserId::new("_lead"))),
            (r#"{"userid":"ww1/zhangsan"}"#, CodeOwner::LinkedCorp),
            (r#"{"userid":"/"}"#, CodeOwner::LinkedCorp),
        ] {
            assert_eq!(read_identity(json), expected, "{json}");
        }
    }

    #[test]
    fn case_21_an_external_contact_is_refused_in_every_spelling() {
        for json in [
            "{}",
            r#"{"userid":null}"#,
            r#"{"userid":""}"#,
            r#"{"userid":" \t "}"#,
            r#"{"userid":"a b"}"#,
            r#"{"userid":"a|b"}"#,
            r#"{"userid":"@all"}"#,
            r#"{"userid":"a\r\nb"}"#,
            r#"{"userid":"a\u0000"}"#,
            r#"{"userid":"\u212aate"}"#,
            r#"{"openid":"o"}"#,
            r#"{"OpenId":"o","DeviceId":"d"}"#,
            r#"{"openid":"o","external_userid":"e"}"#,
            r#"{"userid":"a","openid":"o"}"#,
            r#"{"openid":"o","userid":"a"}"#,
            r#"{"userid":"a","OPENID":"o"}"#,
            r#"{"userid":"a","open_id":"o"}"#,
            r#"{"userid":"a","external_userid":"e"}"#,
            r#"{"UserId":"a","ExternalUserId":"e","openid":null}"#,
            r#"{"userid":"ww1/a","openid":"o"}"#,
        ] {
            assert_eq!(read_identity(json), CodeOwner::Outsider, "{json}");
        }
        assert_eq!(read_identity(&format!(r#"{{"userid":"{}"}}"#, "a".repeat(65))), CodeOwner::Outsider);
    }

    #[test]
    fn an_answer_with_two_userids_or_none_of_text_is_not_read() {
        for json in [
            r#"{"userid":"a","userid":"b"}"#,
            r#"{"userid":"a","UserId":"b"}"#,
            r#"{"userid":1}"#,
            r#"{"userid":["a"]}"#,
            r#"{"userid":"a","openid":{}}"#,
            r"[]",
        ] {
            assert!(serde_json::from_str::<IdentityAnswer>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn the_link_inside_wecom_is_as_documented_and_encoded_once() {
        let client = WecomClient::new(test_settings("https://qyapi.example.com"), Clock::System).unwrap();
        assert_eq!(
            client.authorize_url("https://oa.example.com/sso/callback?rd=%2Fa b&r=1", "Abc123"),
            "https://open.weixin.qq.com/connect/oauth2/authorize?appid=ww0000000000000001\
             &redirect_uri=https%3A%2F%2Foa.example.com%2Fsso%2Fcallback%3Frd%3D%252Fa%20b%26r%3D1\
             &response_type=code&scope=snsapi_base&state=Abc123&agentid=1000002#wechat_redirect"
        );
    }

    #[test]
    fn the_scan_page_has_a_plain_link_and_one_for_the_frame() {
        let client = WecomClient::new(test_settings("https://qyapi.example.com"), Clock::System).unwrap();
        let start = "https://login.work.weixin.qq.com/wwlogin/sso/login?login_type=CorpApp\
                     &appid=ww0000000000000001&agentid=1000002\
                     &redirect_uri=https%3A%2F%2Foa.example.com%3A8443%2Fsso%2Fcallback&state=Abc123";
        let uri = "https://oa.example.com:8443/sso/callback";
        assert_eq!(client.scan_url(uri, "Abc123", "zh"), format!("{start}&lang=zh"));
        assert_eq!(
            client.scan_frame_url(uri, "Abc123", "en"),
            format!("{start}&redirect_type=top&panel_size=middle&lang=en")
        );
    }

    #[test]
    fn a_private_host_may_have_a_path_prefix() {
        let mut settings = test_settings("https://qyapi.example.com");
        settings.oauth2_address = "https://wecom.example.com/proxy/?x=1#y".parse().unwrap();
        let client = WecomClient::new(settings, Clock::System).unwrap();
        let url = client.authorize_url("https://a.example.com/", "s");
        assert!(url.starts_with("https://wecom.example.com/proxy/connect/oauth2/authorize?appid="), "{url}");
    }
}
