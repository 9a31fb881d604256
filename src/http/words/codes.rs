//! The table of everything that can go wrong: code, status, page, button, words.

use axum::http::StatusCode;

use super::{CodeRow, FailureButton, FailureKind};
use crate::http::language::BilingualText;

macro_rules! codes {
    ($(
        $variant:ident $name:literal $status:ident $kind:ident $button:ident
        $happened_zh:literal $happened_en:literal
        $advice_zh:literal $advice_en:literal
        $admin_zh:literal $admin_en:literal;
    )*) => {
        /// What can go wrong, one variant a row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`: ", $happened_en)] $variant,)*
        }

        impl Code {
            /// Every code, in the table's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the row of this code.
            pub fn row(self) -> &'static CodeRow {
                match self {
                    $(Self::$variant => {
                        static ROW: CodeRow = CodeRow {
                            name: $name,
                            status: StatusCode::$status,
                            kind: FailureKind::$kind,
                            button: FailureButton::$button,
                            happened: BilingualText::fixed($happened_zh, $happened_en),
                            advice: BilingualText::fixed($advice_zh, $advice_en),
                            admin: BilingualText::fixed($admin_zh, $admin_en),
                        };
                        &ROW
                    })*
                }
            }
        }
    };
}

codes! {
    NotMember "signin.not_member" FORBIDDEN Refused SwitchAccount
        "您不是本企业的成员，无法登录。" "You are not a member of this company."
        "请用本企业的企业微信账号登录。" "Please sign in with an account of this company."
        "getuserinfo 没有返回 userid：外部联系人，或其他企业的成员。"
        "getuserinfo returned no userid: an external contact, or a member of another company.";
    LinkedCorp "signin.linked_corp" FORBIDDEN Refused SwitchAccount
        "暂不支持互联企业成员登录。" "Members of linked companies cannot sign in here."
        "请用本企业的企业微信账号登录。" "Please sign in with an account of this company."
        "userid 中含有 “/”，表示互联企业的成员。"
        "The userid contains a “/”: a member of a linked company.";
    Disabled "signin.disabled" FORBIDDEN Refused SwitchAccount
        "您的企业微信账号已被禁用。" "Your WeCom account is disabled."
        "请联系管理员启用账号。" "Please ask the administrator to enable it."
        "企业微信中该成员的 status 为 2（已禁用）。"
        "The member's status in WeCom is 2 (disabled).";
    Left "signin.left" FORBIDDEN Refused SwitchAccount
        "您已不在本企业的通讯录中。" "You are no longer in the company directory."
        "如有疑问，请联系管理员。" "If you think this is wrong, please ask the administrator."
        "企业微信中该成员的 status 为 5（已退出），或已被移除。"
        "The member's status in WeCom is 5 (left), or the member was removed.";
    NotActivated "signin.not_activated" FORBIDDEN Refused SwitchAccount
        "您的企业微信账号尚未激活。" "Your WeCom account is not activated yet."
        "请先登录一次企业微信，再打开应用。" "Please sign in to WeCom once, then open the application."
        "企业微信中该成员的 status 为 4（未激活）。"
        "The member's status in WeCom is 4 (not activated).";
    NotVisible "signin.not_visible" FORBIDDEN Refused SwitchAccount
        "您不在该应用的可见范围内。" "This application is not visible to you."
        "请联系管理员开通权限。" "Please ask the administrator to make it visible to you."
        "60011/60111：请检查「应用管理 → 应用 → 可见范围」。企业微信不会说明此人是否已离职。"
        "60011/60111: check 「应用管理 → 应用 → 可见范围」; WeCom does not say whether the person left.";
    CodeUsed "signin.code_used" BAD_REQUEST Attempt Retry
        "登录链接已失效，请重新打开应用。" "This sign-in link has expired; open the application again."
        "请从企业微信重新打开应用，或点击下方按钮。" "Open it from WeCom again, or use the button below."
        "自动重新登录一次后，企业微信仍返回 40029/42003/42022。"
        "40029/42003/42022 again, after one restart of the sign-in.";
    CookiesBlocked "signin.cookies_blocked" BAD_REQUEST Attempt Retry
        "浏览器没有保存登录状态。" "Your browser did not keep the sign-in."
        "请允许本站使用 Cookie，然后重试。" "Please allow cookies for this site, then try again."
        "登录开始时设置的 Cookie 没有带回：第三方框架、浏览器禁用 Cookie，或 public_url 的协议写错。"
        "The attempt's cookie did not come back: a third-party frame, blocked cookies, or the wrong scheme in public_url.";
    CookiesRefused "signin.cookies_refused" BAD_REQUEST Attempt Retry
        "登录成功，但浏览器没有保留会话。" "Signed in, but the session was not kept."
        "请允许本站使用 Cookie，然后重试。" "Please allow cookies for this site, then try again."
        "会话 Cookie 一直没有带回：请检查 cookie_domain、http/https 与服务器时钟。"
        "The session cookie never came back: check cookie_domain, http or https, and the server's clock.";
    TooManyRounds "signin.too_many_rounds" BAD_REQUEST Attempt Retry
        "登录没有保持住，请关闭本页后重新打开应用。" "The sign-in did not hold; close this page and open the application again."
        "如果再次出现本页，请将本页转给管理员。" "If this page comes again, please send it to the administrator."
        "浏览器带着其他主机或路径设置的同名 Cookie，名称和可能的路径见下方：请检查 session.cookie_domain 之下的其他主机；改用 login.redirect_hosts 可以避免。"
        "The browser has a cookie of our name from another host or path; names and possible paths are below. Look at the other hosts below session.cookie_domain; login.redirect_hosts avoids this.";
    Cancelled "signin.cancelled" BAD_REQUEST Attempt Retry
        "您已取消登录。" "You cancelled the sign-in."
        "如需登录，请点击下方按钮。" "To sign in, use the button below."
        "企业微信带回了 state，但没有 code。"
        "WeCom returned the state without a code.";
    BadTarget "signin.bad_target" BAD_REQUEST Attempt Back
        "跳转地址无效。" "The address to return to is not valid."
        "请从企业微信工作台重新打开应用。" "Please open the application again from the WeCom workbench."
        "跳转地址（rd 或 redirect）不能使用，原因见下方。"
        "The address to return to (rd or redirect) cannot be used, for the reason below.";
    OtherCode "signin.other_code" BAD_REQUEST Attempt Retry
        "登录请求不一致，请重新打开应用。" "This sign-in does not match; open the application again."
        "请从企业微信重新打开应用，或点击下方按钮。" "Open it from WeCom again, or use the button below."
        "同一次登录收到了另一个 code。"
        "Another code arrived for the same attempt.";
    TooMany "signin.too_many" TOO_MANY_REQUESTS Attempt Retry
        "操作过于频繁，请稍后再试。" "Too many tries; please wait a moment."
        "请稍候片刻，再点击下方按钮。" "Wait a little, then use the button below."
        "按地址限速：server.start_rate、server.bad_code_rate。"
        "Limited per address: server.start_rate, server.bad_code_rate.";
    Denied "signin.denied" FORBIDDEN Refused SwitchAccount
        "您没有访问该页面的权限。" "You may not open this page."
        "如需访问，请联系管理员。" "If you need it, please ask the administrator."
        "由下方的规则决定；可用 gongpai explain 查看。"
        "Decided by the rule below; gongpai explain shows how.";

    WrongAgent "setup.wrong_agent" SERVICE_UNAVAILABLE Setup Retry
        "应用配置不一致。" "The application's settings do not match."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "用 code 换取身份时返回 50001：Secret 属于另一个应用或是「通讯录同步」的，或链接中的 agentid 不是 agent_id。"
        "50001 at the exchange of a code: the secret belongs to another application or is the 「通讯录同步」 one, or the link's agentid is not agent_id.";
    RedirectDomain "setup.redirect_domain" SERVICE_UNAVAILABLE Setup Retry
        "应用的可信域名配置有误。" "The application's trusted domain is wrong."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "「应用 → 网页授权及JS-SDK → 可信域名」必须与 public_url 的主机[:端口]完全一致；扫码登录：「企业微信授权登录 → Web网页 → 授权回调域」。"
        "「应用 → 网页授权及JS-SDK → 可信域名」 must be exactly HOST[:PORT] of public_url; for QR sign-in: 「企业微信授权登录 → Web网页 → 授权回调域」.";
    TrustedIp "setup.trusted_ip" SERVICE_UNAVAILABLE Setup Retry
        "服务器地址未加入企业可信IP。" "The server's address is not trusted yet."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "60020：将下方地址加入「应用 → 企业可信IP」，约一分钟后生效；须先设置可信域名或接收消息服务器URL。"
        "60020: add the address below to 「应用 → 企业可信IP」; it works about a minute later, and needs a trusted domain or a callback URL first.";
    Secret "setup.secret" SERVICE_UNAVAILABLE Setup Retry
        "应用 Secret 不正确。" "The application's secret is wrong."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "40001/40091：请与「应用 → Secret」核对；「通讯录同步」的 Secret 不能用于登录（48002）。"
        "40001/40091: compare with 「应用 → Secret」; the 「通讯录同步」 secret cannot sign anyone in (48002).";
    CorpId "setup.corp_id" SERVICE_UNAVAILABLE Setup Retry
        "企业ID不正确。" "The company id is wrong."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "40013：请与「我的企业 → 企业信息 → 企业ID」核对。"
        "40013: compare with 「我的企业 → 企业信息 → 企业ID」.";
    ContactsOnly "setup.contacts_only" SERVICE_UNAVAILABLE Setup Retry
        "通讯录权限不足。" "Not enough directory rights."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "48009：该 Secret 只能读取 ID；请配置 app_secret。"
        "48009: this secret may read ids only; add app_secret.";
    AppDisabled "setup.app_disabled" SERVICE_UNAVAILABLE Setup Retry
        "应用已停用。" "The application is disabled."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "50003：应用已在「应用管理」中停用。"
        "50003: the application is switched off in 「应用管理」.";

    WecomDisabled "wecom.disabled" SERVICE_UNAVAILABLE Setup Retry
        "企业微信接入未启用。" "WeCom sign-in is switched off."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "wecom.enable = false（未启用）。"
        "wecom.enable = false.";
    WecomUnreachable "wecom.unreachable" SERVICE_UNAVAILABLE Trouble Retry
        "企业微信暂时没有响应，请稍后再试。" "WeCom is not answering; please try again."
        "请点击下方按钮重试；已登录的人员不受影响。" "Use the button below; people already signed in are not affected."
        "企业微信接口超时、返回 5xx 或 HTML，或 errcode −1。"
        "WeCom's API timed out, answered 5xx or HTML, or errcode −1.";
    WecomBusy "wecom.busy" SERVICE_UNAVAILABLE Trouble Retry
        "登录的人较多，请稍后再试。" "Many people are signing in; please try again."
        "请稍候片刻，再点击下方按钮。" "Wait a little, then use the button below."
        "45009/45033：接口调用达到上限；何时恢复见下方。"
        "45009/45033: WeCom's limit for this call is reached; see below when it passes.";
    StoreUnavailable "store.unavailable" SERVICE_UNAVAILABLE Trouble Retry
        "系统正在维护，请稍后再试。" "Under maintenance; please try again."
        "请稍候片刻，再点击下方按钮。" "Wait a little, then use the button below."
        "数据库无法访问；起始时间见下方。"
        "The database cannot be reached; see below since when.";

    MessageNotForYou "message.not_for_you" FORBIDDEN Message Back
        "这条消息不是发给您的。" "This message is for somebody else."
        "请打开发给您本人的消息。" "Please open a message that was sent to you."
        "登录者不在该消息的接收人之列。" "Whoever is signed in is not one of the message's recipients.";
    MessageExpired "message.expired" GONE Message Back
        "这条消息的链接已过期。" "This message's link has expired."
        "请从企业微信工作台打开应用。" "Please open the application from the WeCom workbench."
        "消息的有效期已过。" "The message's time of validity is over.";

    MessageDisabled "message.disabled" CONFLICT Request None
        "消息功能未启用。" "Messages are switched off here."
        "请联系管理员。" "Please ask the administrator."
        "消息既未接收也未保存；见 wecom.enable、wecom.message_enable 及应用的设置。"
        "The message was neither accepted nor kept; see wecom.enable, wecom.message_enable and the application's settings.";
    MessageInvalid "message.invalid" UNPROCESSABLE_ENTITY Request None
        "消息内容有误。" "The message is not one that can be sent."
        "请按所列各项修改后再发送。" "Please mend what is listed and send it again."
        "detail 列出每一处：字段、现有长度与企业微信的上限。"
        "detail names each place: the field, what it has and WeCom's limit.";
    MessageKeyReused "message.key_reused" CONFLICT Request None
        "该 Idempotency-Key 已用于另一条消息。" "Another message was sent with this Idempotency-Key."
        "请为每条消息使用新的值。" "Please use a new key for each message."
        "同一客户端的同一个值只对应一个请求；内容不同即被拒绝。"
        "One key of a client stands for one request; a different one is refused.";
    MessageRecallShared "message.recall_shared" CONFLICT Request None
        "该消息与其他消息一同发出，不能单独撤回。" "The message went out together with others and cannot be recalled alone."
        "请让管理员用命令把内容相同的几条消息一起撤回。" "Please ask the administrator to recall the messages of the same content together, by command."
        "内容相同的消息合并为一次调用，企业微信只能整体撤回：gongpai messages recall ID ID。"
        "Messages of equal content share a call, and WeCom recalls all of a call: gongpai messages recall ID ID.";
    MessageRecallTooLate "message.recall_too_late" CONFLICT Request None
        "该消息已超过可撤回的时间。" "It is too late to recall the message."
        "如有必要，请再发一条更正消息。" "If need be, send another message that corrects it."
        "企业微信只能撤回 24 小时内发出的消息。" "WeCom recalls only what was sent within 24 hours.";
    MessageNotSent "message.not_sent" CONFLICT Request None
        "该消息没有可撤回的内容。" "There is nothing of this message to recall."
        "无需撤回。" "There is nothing left to do."
        "消息没有发给任何人，或已在撤回；见 detail。"
        "Nobody has it or will get it, or it is being recalled already; detail says which.";

    UnknownHost "gate.unknown_host" FORBIDDEN Request None
        "该网址不在登录服务的范围内。" "This address is not one that sign-in is set up for."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "主机不是 public_url 的，不在 login.redirect_hosts 中，也不在 session.cookie_domain 之下。"
        "The host is neither public_url's, nor in login.redirect_hosts, nor under session.cookie_domain.";
    UntrustedProxy "gate.untrusted_proxy" FORBIDDEN Request None
        "请求没有经过可信的代理服务器。" "The request did not come through a trusted proxy."
        "请将本页转给管理员。" "Please send this page to the administrator."
        "代理服务器的地址不在 server.trusted_proxies 中。"
        "The proxy's address is not in server.trusted_proxies.";

    Unauthorized "api.unauthorized" UNAUTHORIZED Request None
        "需要有效的应用凭证。" "Valid credentials of an API client are required."
        "请检查客户端的 ID 与密钥。" "Please check the client's id and secret."
        "以 HTTP Basic 发送 id:secret；可用 gongpai api-client add 新建。"
        "Send id:secret as HTTP Basic; gongpai api-client add makes a new one.";
    ForbiddenScope "api.forbidden_scope" FORBIDDEN Request None
        "该客户端没有所需的权限范围。" "This API client does not have the scope for it."
        "请联系管理员添加权限范围。" "Please ask the administrator to add the scope."
        "api_clients 中该客户端的 scopes 不含所需的一项。"
        "The client's scopes in api_clients lack the one needed.";
    BadRequest "api.bad_request" BAD_REQUEST Request None
        "请求内容有误。" "The request is not as the API expects it."
        "请对照接口文档检查请求。" "Please compare the request with the API's documentation."
        "请求的参数或正文不符合接口文档。" "A parameter or the body does not match the API's documentation.";
    NotFound "api.not_found" NOT_FOUND Request None
        "没有找到所请求的对象。" "There is no such object."
        "请检查路径与 ID。" "Please check the path and the id."
        "路径或 ID 不存在，或该客户端看不到它。" "The path or id does not exist, or this client may not see it.";
    PreconditionFailed "api.precondition_failed" PRECONDITION_FAILED Request None
        "该对象在此期间已被修改。" "The object was changed in the meantime."
        "请重新读取后再修改。" "Please read it again, then change it."
        "If-Match 中的 ETag 不是当前的。" "The ETag in If-Match is not the current one.";

    OwnedByWecom "directory.owned_by_wecom" CONFLICT Request None
        "该条目来自企业微信，不能在这里修改。" "This entry is WeCom's and cannot be changed here."
        "请在企业微信管理后台修改，然后同步。" "Please change it in the WeCom console, then synchronise."
        "只有 source 为 local 的条目可以修改；企业微信成员只能用 local_memberships 加入本地部门。"
        "Only entries whose source is local can be changed; a member of WeCom's can join local units by local_memberships.";
    NotEmpty "directory.not_empty" CONFLICT Request None
        "该部门下还有子部门或人员。" "There are units or persons in this unit."
        "请先移走它们。" "Please move them elsewhere first."
        "删除不会级联；已离职人员的归属也算在内。" "Nothing is removed along with it; those who left count, too.";
    UseridTaken "directory.userid_taken" CONFLICT Request None
        "该账号已被使用。" "This userid is in use."
        "请换一个账号。" "Please choose another userid."
        "账号不区分大小写；已离职人员仍占用其账号。" "Userids are unique without regard to case; those who left keep theirs.";
    PathTaken "directory.path_taken" CONFLICT Request None
        "同级已有同名的部门。" "There is a unit of this name beside it."
        "请换一个名称。" "Please choose another name."
        "两个部门不能有相同的路径，无论来源。" "No two units may have the same path, whosever they are.";
    DirectoryBusy "directory.busy" CONFLICT Request None
        "同步正在修改该条目。" "A synchronisation is about to change this entry."
        "请稍后再试。" "Please try again in a moment."
        "同步发布后即可修改；若同步中断，下一次同步会清理。"
        "It can be changed once the run has published; what a broken run left behind, the next one clears.";
    ConflictClosed "directory.conflict_closed" CONFLICT Request None
        "该冲突已处理。" "This conflict is closed already."
        "无需再处理。" "There is nothing left to decide."
        "已由他人处理，或其中的人员已不存在。" "Somebody else resolved it, or one of the persons is gone.";

    FeedGone "directory.feed_gone" GONE Request None
        "该变更游标已过期。" "The changes after this cursor are no longer kept."
        "请重新读取整个通讯录，再从头跟踪变更。" "Please read the whole directory again and follow the changes anew."
        "变更记录保留 90 天；恢复备份后，更新的游标也会失效。"
        "Changes are kept for 90 days; after a backup was restored, newer cursors are gone, too.";

    PageNotFound "request.not_found" NOT_FOUND Request Back
        "没有找到该页面。" "There is no such page."
        "请从企业微信工作台打开应用。" "Please open the application from the WeCom workbench."
        "登录服务没有这个路径。" "The gateway has no such path.";
    Invalid "request.invalid" BAD_REQUEST Request Back
        "请求无效。" "The request is not valid."
        "请从企业微信工作台重新打开应用。" "Please open the application again from the WeCom workbench."
        "请求的参数、标头或正文无法读取。" "A parameter, a header or the body could not be read.";
    MethodNotAllowed "request.method_not_allowed" METHOD_NOT_ALLOWED Request Back
        "该页面不能这样使用。" "This page cannot be used that way."
        "请从企业微信工作台重新打开应用。" "Please open the application again from the WeCom workbench."
        "该路径不接受这个 HTTP 方法；见 Allow 标头。" "This path does not take that HTTP method; see the Allow header.";
    TooLarge "request.too_large" PAYLOAD_TOO_LARGE Request None
        "提交的内容过大。" "What was sent is too large."
        "请减少内容后再试。" "Please send less."
        "正文超过上限：页面 64 KiB，接口 1 MiB，上传 21 MiB。"
        "The body is longer than 64 KiB, of a call of the API 1 MiB, of an upload 21 MiB.";
    CrossSite "request.cross_site" FORBIDDEN Request Back
        "该操作来自其他网站，已被拒绝。" "This action came from another website and was refused."
        "请在本站重新操作。" "Please repeat it on this site."
        "Sec-Fetch-Site 或 Origin 表明请求来自其他站点；代理服务器须原样转发 Host 与 Origin。"
        "Sec-Fetch-Site or Origin names another site; proxies must forward Host and Origin unchanged.";
    Internal "internal" INTERNAL_SERVER_ERROR Trouble Retry
        "系统出现内部错误。" "Something went wrong on our side."
        "请稍后重试；如仍出现，请将本页转给管理员。" "Please try again; if it stays, send this page to the administrator."
        "请按请求编号查看日志。" "Search the log for the request id.";
}
