//! Errcodes: what each means to the program, and to people what it means and what mends it, for
//! failure pages, messages and `doctor` (document 90313).
//!
//! Names of console pages are written as the console writes them, in 「」, in both languages, because
//! the console exists in Chinese only. For an errcode without a text there is no advice that could
//! be trusted; show its `errmsg`.

mod message;
mod table;

pub(crate) use self::message::explain_message_errcode;
pub(crate) use self::table::{ErrorFamily, SendRefusal};
pub(super) use self::table::{misses_recipient, needs_back_off, refuses_token};

/// The texts of an errcode, for an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrcodeText {
    pub zh: &'static str,
    pub en: &'static str,
    pub remedy_zh: &'static str,
    pub remedy_en: &'static str,
    /// The page of WeCom's console where the remedy is done; `None` if the console cannot mend it.
    pub console: Option<&'static str>,
}

const SECRET_PAGE: &str = "「应用管理 → 应用 → Secret」";
const APPLICATION_PAGE: &str = "「应用管理 → 应用」";
const APPLICATIONS_PAGE: &str = "「应用管理」";
const VISIBLE_RANGE_PAGE: &str = "「应用管理 → 应用 → 可见范围」";
const TRUSTED_IP_PAGE: &str = "「应用管理 → 应用 → 企业可信IP」";
const TRUSTED_DOMAIN_PAGE: &str = "「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」";
const CORP_ID_PAGE: &str = "「我的企业 → 企业信息 → 企业ID」";
const COMPANY_PAGE: &str = "「我的企业 → 企业信息」";
const CONTACTS_PAGE: &str = "「安全与管理 → 管理工具 → 通讯录同步」";
const CALLBACK_PAGE: &str = "「应用管理 → 应用 → 接收消息」";

/// Returns the texts of `code`; `None` for errcodes that nobody meets at sign-in, in `doctor` or
/// with a message.
pub(crate) fn explain_errcode(code: i64) -> Option<ErrcodeText> {
    let (zh, en, remedy_zh, remedy_en, console) = match code {
        -1 | 6000 => (
            "企业微信系统繁忙。",
            "WeCom is busy.",
            "稍后会自动恢复，请稍后再试。",
            "It passes by itself; try again later.",
            None,
        ),
        40001 => (
            "Secret 与企业ID不匹配，可能已被重置。",
            "The secret does not match the company id; perhaps it was reset.",
            "在「应用管理 → 应用 → Secret」重新复制 Secret 到 wecom.app_secret。通讯录同步的 Secret 不能用于登录。",
            "Copy the secret again from 「应用管理 → 应用 → Secret」 to wecom.app_secret. The 通讯录同步 secret cannot sign anyone in.",
            Some(SECRET_PAGE),
        ),
        40003 | 301_021 => (
            "成员帐号（userid）无效，或该成员已离职。",
            "The userid is not valid, or the member has left.",
            "在通讯录中核对该成员；已离职的成员无法登录。",
            "Look the member up in the address book; somebody who left cannot sign in.",
            Some("「通讯录」"),
        ),
        40013 | 2_000_002 => (
            "企业ID不正确。",
            "The company id is wrong.",
            "把「我的企业 → 企业信息 → 企业ID」的值填入 wecom.corp_id。",
            "Enter the value of 「我的企业 → 企业信息 → 企业ID」 as wecom.corp_id.",
            Some(CORP_ID_PAGE),
        ),
        40014 | 42001 => (
            "access_token 无效或已过期，更新后仍被拒绝。",
            "The access token is not valid or has expired, and a fresh one was refused too.",
            "请稍后再试；若持续出现，请核对 Secret 属于 wecom.agent_id 所指的应用。",
            "Try again later; if it stays, check that the secret belongs to the application of wecom.agent_id.",
            Some(SECRET_PAGE),
        ),
        40029 | 40163 | 42022 => (
            "登录 code 无效或已被使用。",
            "The sign-in code is not valid or was used before.",
            "code 只能使用一次，五分钟内有效。请从工作台重新打开应用；若总是出现，请检查是否有代理重复请求回调地址。",
            "A code is good for one use within five minutes. Open the application from the workbench again; if it always happens, look for a proxy that repeats the callback.",
            None,
        ),
        42003 => (
            "登录 code 已过期。",
            "The sign-in code has expired.",
            "code 五分钟内有效。请从工作台重新打开应用。",
            "A code is good for five minutes. Open the application from the workbench again.",
            None,
        ),
        40056 => (
            "应用的 AgentId 不正确。",
            "The application's AgentId is wrong.",
            "把「应用管理 → 应用」中的 AgentId 填入 wecom.agent_id。",
            "Enter the AgentId of 「应用管理 → 应用」 as wecom.agent_id.",
            Some(APPLICATION_PAGE),
        ),
        40057 => (
            "回调地址校验失败。",
            "The callback address could not be verified.",
            "在「应用管理 → 应用 → 接收消息」核对 URL、Token 和 EncodingAESKey 与配置一致，并确认该地址可从外网访问。",
            "Check that URL, Token and EncodingAESKey in 「应用管理 → 应用 → 接收消息」 match the configuration and that the address can be reached from outside.",
            Some(CALLBACK_PAGE),
        ),
        40091 => (
            "Secret 不合法，可能属于另一家企业。",
            "The secret is not legal; perhaps it is another company's.",
            "核对 wecom.corp_id 与 wecom.app_secret 来自同一企业，并在「应用管理 → 应用 → Secret」重新复制。",
            "Check that wecom.corp_id and wecom.app_secret are of one company; copy the secret again from 「应用管理 → 应用 → Secret」.",
            Some(SECRET_PAGE),
        ),
        41001 => (
            "请求缺少 access_token。",
            "The request had no access token.",
            "中间的代理可能删去了查询参数，请检查 wecom.api_address 和 wecom.proxy。",
            "A proxy in between may drop the query; check wecom.api_address and wecom.proxy.",
            None,
        ),
        41002 => (
            "请求缺少企业ID。",
            "The request had no company id.",
            "把「我的企业 → 企业信息 → 企业ID」的值填入 wecom.corp_id；若已填写，请检查中间的代理。",
            "Enter the value of 「我的企业 → 企业信息 → 企业ID」 as wecom.corp_id; if it is there, check the proxy in between.",
            Some(CORP_ID_PAGE),
        ),
        41004 => (
            "请求缺少 Secret。",
            "The request had no secret.",
            "把「应用管理 → 应用 → Secret」的值填入 wecom.app_secret；若已填写，请检查中间的代理。",
            "Enter the value of 「应用管理 → 应用 → Secret」 as wecom.app_secret; if it is there, check the proxy in between.",
            Some(SECRET_PAGE),
        ),
        41008 => (
            "请求缺少 code。",
            "The request had no code.",
            "中间的代理可能删去了查询参数，请检查 wecom.api_address 和 wecom.proxy。",
            "A proxy in between may drop the query; check wecom.api_address and wecom.proxy.",
            None,
        ),
        45009 => (
            "接口调用超过频率限制。",
            "The API's frequency limit is reached.",
            "一分钟后自动恢复；小时限制则需一小时。错误的 Secret 反复请求也会使服务器地址被封禁一小时，请核对 Secret。",
            "It passes after a minute, or after an hour for the hourly limit. Asking repeatedly with a wrong secret also bans the server's address for an hour: check the secret.",
            None,
        ),
        45033 => (
            "接口并发调用超过限制。",
            "Too many concurrent calls of this API.",
            "稍后会自动恢复；请检查是否有其他程序同时大量调用同一企业的接口。",
            "It passes by itself; look for other programs that call the same company's API heavily.",
            None,
        ),
        45031 => (
            "Secret 不够安全，企业微信要求重置。",
            "WeCom holds the secret for not safe enough and wants it reset.",
            "在「应用管理 → 应用 → Secret」重置，并更新 wecom.app_secret。",
            "Reset it in 「应用管理 → 应用 → Secret」 and update wecom.app_secret.",
            Some(SECRET_PAGE),
        ),
        48001 | 48004..=48006 => (
            "应用没有该接口的权限。",
            "The application has no right to this API.",
            "在「应用管理 → 应用」核对应用的权限和状态；长期未使用的权限会被收回，需重新授权。",
            "Check the application's rights and state in 「应用管理 → 应用」; rights unused for long are withdrawn and must be granted again.",
            Some(APPLICATION_PAGE),
        ),
        48002 => (
            "该 Secret 无权调用此接口。",
            "This secret may not call this API.",
            "通讯录同步的 Secret 不能用于登录。请把「应用管理 → 应用 → Secret」填入 wecom.app_secret。",
            "The 通讯录同步 secret cannot sign anyone in. Enter 「应用管理 → 应用 → Secret」 as wecom.app_secret.",
            Some(SECRET_PAGE),
        ),
        48009 => (
            "通讯录同步的 Secret 只能读取 ID，不能读取详情。",
            "The 通讯录同步 secret may read ids only, no details.",
            "另外把「应用管理 → 应用 → Secret」填入 wecom.app_secret。",
            "Enter 「应用管理 → 应用 → Secret」 as wecom.app_secret besides.",
            Some(SECRET_PAGE),
        ),
        50001 => (
            "跳转域名未登记，或 code 来自另一个应用，或 Secret 属于通讯录同步。",
            "The redirect domain is not registered, or the code is another application's, or the secret is the 通讯录同步 one.",
            "核对 wecom.agent_id 与 wecom.app_secret 属于同一应用；「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」须与 public_url 的主机和端口完全一致；扫码登录还需「应用管理 → 应用 → 企业微信授权登录 → Web网页 → 授权回调域」。",
            "Check that wecom.agent_id and wecom.app_secret are of one application; 「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」 must be exactly host and port of public_url; QR sign-in also needs 「应用管理 → 应用 → 企业微信授权登录 → Web网页 → 授权回调域」.",
            Some(TRUSTED_DOMAIN_PAGE),
        ),
        50002 => (
            "成员不在应用的权限范围内。",
            "The member is outside the application's range.",
            "在「应用管理 → 应用 → 可见范围」加入该成员或其部门。",
            "Add the member or the department in 「应用管理 → 应用 → 可见范围」.",
            Some(VISIBLE_RANGE_PAGE),
        ),
        50003 => (
            "应用已停用。",
            "The application is disabled.",
            "在「应用管理」启用该应用。",
            "Enable it in 「应用管理」.",
            Some(APPLICATIONS_PAGE),
        ),
        60011 => (
            "应用无权访问该成员、部门或标签。",
            "The application may not see this member, department or tag.",
            "在「应用管理 → 应用 → 可见范围」加入该成员或其部门。",
            "Add the member or the department in 「应用管理 → 应用 → 可见范围」.",
            Some(VISIBLE_RANGE_PAGE),
        ),
        60020 => (
            "服务器地址不在企业可信IP中。",
            "The server's address is not among the trusted ones.",
            "把下面的地址加入「应用管理 → 应用 → 企业可信IP」，约一分钟后生效。需先设置可信域名或接收消息服务器URL。",
            "Add the address shown to 「应用管理 → 应用 → 企业可信IP」; it works about a minute later. A trusted domain or a callback URL must be set first.",
            Some(TRUSTED_IP_PAGE),
        ),
        60021 | 60030 | 92000 => (
            "成员不在应用的可见范围内。",
            "The member is not in the application's visible range.",
            "在「应用管理 → 应用 → 可见范围」加入该成员或其部门。",
            "Add the member or the department in 「应用管理 → 应用 → 可见范围」.",
            Some(VISIBLE_RANGE_PAGE),
        ),
        60111 => (
            "成员不存在、已离职，或不在应用的可见范围内；企业微信不作区分。",
            "The member does not exist, has left, or is not in the visible range; WeCom does not say which.",
            "若该成员在职，请在「应用管理 → 应用 → 可见范围」加入该成员或其部门。",
            "If the person works here, add the member or the department in 「应用管理 → 应用 → 可见范围」.",
            Some(VISIBLE_RANGE_PAGE),
        ),
        40066 | 60003 | 60123 => (
            "部门不存在，或不在应用的可见范围内。",
            "The department does not exist or is not in the visible range.",
            "在「应用管理 → 应用 → 可见范围」加入该部门。",
            "Add the department in 「应用管理 → 应用 → 可见范围」.",
            Some(VISIBLE_RANGE_PAGE),
        ),
        80001 => (
            "可信域名不正确或未备案。",
            "The trusted domain is wrong or has no ICP filing.",
            "在「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」使用已备案的域名，不能是 IP 地址，备案主体须与企业相同或有关联。",
            "In 「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」 use a domain with an ICP filing of this company or a related one; an IP address is not accepted.",
            Some(TRUSTED_DOMAIN_PAGE),
        ),
        85004 => (
            "本月设置可信域名的次数已用完。",
            "The trusted domain was changed too often this month.",
            "下个月再到「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」设置。",
            "Set it next month in 「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」.",
            Some(TRUSTED_DOMAIN_PAGE),
        ),
        85005 => (
            "可信域名的归属未校验；可以登录，但 JS-SDK 受限。",
            "The trusted domain's ownership is not verified; sign-in works, JS-SDK is restricted.",
            "在「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」申请校验，并把文件名填入 wecom.verify_files。",
            "Apply for verification in 「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」 and enter the file's name in wecom.verify_files.",
            Some(TRUSTED_DOMAIN_PAGE),
        ),
        43009 => (
            "企业尚未认证。",
            "The company is not verified.",
            "在「我的企业 → 企业信息」完成企业认证。",
            "Complete the verification in 「我的企业 → 企业信息」.",
            Some(COMPANY_PAGE),
        ),
        43012 => (
            "应用未设置接收消息的地址。",
            "The application has no callback address.",
            "在「应用管理 → 应用 → 接收消息」设置。",
            "Set it in 「应用管理 → 应用 → 接收消息」.",
            Some(CALLBACK_PAGE),
        ),
        81011 => (
            "应用无权管理该标签。",
            "The application has no right to this tag.",
            "在「安全与管理 → 管理工具 → 通讯录同步」核对权限，或改用应用自己创建的标签。",
            "Check the rights in 「安全与管理 → 管理工具 → 通讯录同步」, or use a tag that the application made.",
            Some(CONTACTS_PAGE),
        ),
        301_002 => (
            "wecom.agent_id 与 Secret 不属于同一应用。",
            "wecom.agent_id and the secret are not of one application.",
            "在「应用管理 → 应用」同时核对 AgentId 和 Secret。",
            "Check AgentId and Secret together in 「应用管理 → 应用」.",
            Some(APPLICATION_PAGE),
        ),
        301_007 => (
            "企业已解散或被封禁。",
            "The company is dissolved or banned.",
            "请在「我的企业 → 企业信息」查看状态，并联系企业微信客服。",
            "Look at its state in 「我的企业 → 企业信息」 and contact WeCom's support.",
            Some(COMPANY_PAGE),
        ),
        701_008 => (
            "接口许可不足。",
            "There is no valid licence for this API.",
            "在「应用管理 → 应用」查看并购买接口许可。",
            "See and buy licences in 「应用管理 → 应用」.",
            Some(APPLICATION_PAGE),
        ),
        _ => return message::explain_message_only_errcode(code),
    };
    Some(ErrcodeText { zh, en, remedy_zh, remedy_en, console })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_errcodes() -> impl Iterator<Item = (i64, ErrcodeText)> {
        (-10..100_000)
            .chain(300_000..310_000)
            .chain(700_000..710_000)
            .chain(2_000_000..2_000_010)
            .filter_map(|code| Some((code, explain_errcode(code)?)))
    }

    #[test]
    fn every_text_is_there_in_both_languages_and_ends_as_a_sentence() {
        for (code, text) in known_errcodes() {
            for (zh, en) in [(text.zh, text.en), (text.remedy_zh, text.remedy_en)] {
                assert!(zh.ends_with('。') && !zh.contains(['！', '!']), "{code}: {zh}");
                assert!(en.ends_with('.') && !en.contains(['!', '。']), "{code}: {en}");
            }
        }
        assert!(known_errcodes().count() > 40);
    }

    #[test]
    fn a_remedy_in_the_console_names_the_page_in_both_languages_alike() {
        let pages = |text: &str| -> Vec<String> {
            let mut pages: Vec<String> =
                text.split('「').skip(1).filter_map(|t| t.split('」').next()).map(str::to_owned).collect();
            pages.sort();
            pages
        };
        for (code, text) in known_errcodes() {
            assert_eq!(pages(text.remedy_zh), pages(text.remedy_en), "{code}");
            if let Some(console) = text.console {
                assert!(console.starts_with('「') && console.ends_with('」'), "{code}: {console}");
            }
        }
    }

    #[test]
    fn every_errcode_of_the_sign_in_has_words() {
        let sign_in = [
            -1, 6000, 40001, 40003, 40013, 40014, 40029, 40056, 40091, 40163, 41001, 41002, 41004, 41008,
            42001, 42003, 42022, 45009, 45031, 45033, 48001, 48002, 48009, 50001, 50002, 50003, 60011, 60020,
            60021, 60111, 60123, 80001, 85005, 301_002, 301_007, 2_000_002,
        ];
        for code in sign_in {
            assert!(explain_errcode(code).is_some(), "{code}");
        }
        assert_eq!(explain_errcode(0), None);
        assert_eq!(explain_errcode(987_654), None);
    }

    #[test]
    fn what_has_words_has_a_family() {
        for (code, _) in known_errcodes() {
            assert_ne!(ErrorFamily::from_errcode(code), ErrorFamily::Unknown, "{code}");
        }
    }
}
