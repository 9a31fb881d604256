//! The texts of all findings, in Chinese and English. Ids are stable, texts may improve.
//!
//! Names of console pages stand in 「」 as the console writes them, in both languages. The check
//! fills in `{name}`. A value that exists in English only, such as a cause, is the same in both.

use super::level::FindingLevel;

/// The texts of a kind of finding.
#[derive(Debug)]
pub(super) struct FindingTemplate {
    pub(super) id: &'static str,
    pub(super) level: FindingLevel,
    pub(super) what: (&'static str, &'static str),
    pub(super) why: (&'static str, &'static str),
    pub(super) remedy: (&'static str, &'static str),
    pub(super) console: Option<&'static str>,
}

const NO_PAGE: Option<&str> = None;
const SECRET_PAGE: Option<&str> = Some("「应用管理 → 应用 → Secret」");
const APPLICATION_PAGE: Option<&str> = Some("「应用管理 → 应用」");
const COMPANY_ID_PAGE: Option<&str> = Some("「我的企业 → 企业信息 → 企业ID」");
const VISIBLE_RANGE_PAGE: Option<&str> = Some("「应用管理 → 应用 → 可见范围」");
const TRUSTED_IP_PAGE: Option<&str> = Some("「应用管理 → 应用 → 企业可信IP」");
const TRUSTED_DOMAIN_PAGE: Option<&str> = Some("「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」");

/// The page where the 通讯录同步 Secret is copied.
pub(super) const CONTACTS_SECRET_PAGE: &str = "「安全与管理 → 管理工具 → 通讯录同步 → Secret」";
/// The page where its trusted addresses are entered, a list of its own.
pub(super) const CONTACTS_TRUSTED_IP_PAGE: &str = "「安全与管理 → 管理工具 → 通讯录同步 → 企业可信IP」";

macro_rules! rows {
    ($($row:ident $id:literal $level:ident $console:ident
        $what_zh:literal $what_en:literal
        $why_zh:literal $why_en:literal
        $remedy_zh:literal $remedy_en:literal;)*) => {
        /// The kinds of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum FindingKind { $($row),* }

        impl FindingKind {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$row),*];

            /// Returns the texts of this kind.
            pub(super) const fn texts(self) -> &'static FindingTemplate {
                match self {
                    $(Self::$row => &FindingTemplate {
                        id: $id,
                        level: FindingLevel::$level,
                        what: ($what_zh, $what_en),
                        why: ($why_zh, $why_en),
                        remedy: ($remedy_zh, $remedy_en),
                        console: $console,
                    },)*
                }
            }
        }
    };
}

rows! {
    ConfigAccepted "config.accepted" Ok NO_PAGE
        "配置可用，读取自：{read}。" "The configuration is accepted; read: {read}."
        "" "" "" "";
    ConfigRefused "config.refused" Broken NO_PAGE
        "配置有误。{finding}" "The configuration is not accepted. {finding}"
        "配置有误时网关不会启动，其余检查也无法进行。" "The gateway does not start with it, and nothing else can be checked."
        "改正该项，再运行 gongpai config check。" "Correct it, then run gongpai config check.";
    ConfigWarning "config.warning" Warn NO_PAGE
        "请留意 {key}：{message}" "Mind {key}: {message}"
        "配置可用，但可能不是您的本意。" "It is accepted and may not be what was meant."
        "若本意如此可以忽略；gongpai config show 列出生效的值及其出处。" "Ignore it if it is meant; gongpai config show lists what is in effect and where it was written.";

    HostsOk "hosts.ok" Ok NO_PAGE
        "浏览器通过 {url} 访问，会话 Cookie 属于 {scope}。" "Browsers come to {url}; session cookies belong to {scope}."
        "" "" "" "";
    HostsLoopback "hosts.loopback" Warn NO_PAGE
        "public_url 是 {url}，只有本机能访问。" "public_url is {url}, which only this machine reaches."
        "手机和同事的浏览器打不开它，企业微信也无法校验域名。" "Phones and other people's browsers cannot open it, and WeCom cannot verify the domain."
        "试用之后，把 public_url 设为浏览器访问网关的 https 地址。" "After trying it out, set public_url to the https address by which browsers reach the gateway.";
    HostsHttp "hosts.http" Warn NO_PAGE
        "public_url 是 http 地址：{url}，Cookie 不带 Secure。" "public_url is http: {url}; cookies go without Secure."
        "途经的任何人都能读到会话 Cookie 并冒用身份。" "Whoever is on the way can read a session cookie and be that person."
        "在前置代理上启用 https，把 public_url 改为 https，并设 allow_http = false。" "Turn on https at the proxy, set public_url to https and allow_http = false.";

    RulesOk "rules.ok" Ok NO_PAGE
        "访问规则共 {count} 条，均可识别。" "{count} access rules, all understood."
        "" "" "" "";
    RulesRefused "rules.refused" Broken NO_PAGE
        "有一条访问规则无法识别。{rule}" "An access rule cannot be understood. {rule}"
        "带着它网关不会启动。" "The gateway does not start with it."
        "在 [[rules]] 中改正该条规则。" "Correct it in [[rules]].";
    RulesWarning "rules.warning" Warn NO_PAGE
        "有一条访问规则可能不是您的本意。{rule}" "An access rule may not be what was meant. {rule}"
        "规则按顺序匹配，第一条匹配的生效。" "The first rule that matches decides."
        "用 gongpai explain --user 帐号 --url 网址 查看结果。" "See what it does with gongpai explain --user U --url URL.";

    CallbackNone "callback.none" Ok NO_PAGE
        "未设置接收事件的回调；本版本不需要。" "No callback for events is set up; this version needs none."
        "" "" "" "";
    CallbackOk "callback.ok" Ok NO_PAGE
        "回调的 Token 和 EncodingAESKey 格式正确：{sections}。" "The callbacks' Token and EncodingAESKey are well-formed: {sections}."
        "" "" "" "";

    DatabaseOk "database.ok" Ok NO_PAGE
        "数据库可读写：{place}，结构版本 {version}。" "The database reads and writes: {place}, schema {version}."
        "" "" "" "";
    DatabaseNoFile "database.no_file" Ok NO_PAGE
        "数据库文件还不存在：{place}。" "There is no database file yet: {place}."
        "" ""
        "gongpai serve 首次启动时会创建；若本应已有，请检查 data_dir 和当前目录。" "gongpai serve makes it at its first start; if there should be one, check data_dir and the working directory.";
    DatabaseEmpty "database.empty" Ok NO_PAGE
        "数据库中还没有表：{place}。" "The database has no tables yet: {place}."
        "" ""
        "gongpai serve 首次启动时会创建。" "gongpai serve makes them at its first start.";
    DatabaseOlder "database.older" Warn NO_PAGE
        "数据库结构版本 {has} 早于本程序的 {wants}：{place}。" "The database has schema {has}, older than this program's {wants}: {place}."
        "旧版网关可能仍在使用它，所以这里没有改动。" "An older gateway may still be using it, so nothing was changed here."
        "启动本版本的 gongpai serve，它会更新结构；请先备份。" "Start gongpai serve of this version, which brings it up to date; back it up before.";
    DatabaseNewer "database.newer" Broken NO_PAGE
        "数据库结构版本 {version} 由更新的 gongpai 写成：{place}。" "The database has schema {version}, which a newer gongpai made: {place}."
        "旧程序不会打开较新的数据库，以免损坏数据。" "An older program does not open it, so as to break nothing."
        "运行较新的版本，或恢复升级前的备份。" "Run the newer version, or restore the backup from before the upgrade.";
    DatabaseUnreachable "database.unreachable" Broken NO_PAGE
        "无法使用数据库：{place}。" "The database cannot be used: {place}."
        "原因：{why}" "The cause: {why}"
        "检查 database.url 或 data_dir、权限和网络；没有数据库，60 秒后任何人都无法通过。" "Check database.url or data_dir, permissions and the network; without the database nobody passes after a minute.";
    DatabaseReadOnly "database.read_only" Broken NO_PAGE
        "数据库不可写：{place}。" "The database cannot be written: {place}."
        "登录和登出都要写入。原因：{why}" "Signing in and out write rows. The cause: {why}"
        "让运行 gongpai 的用户可写该文件及其目录；检查磁盘空间；PostgreSQL 检查用户权限。" "Let the user that runs gongpai write the file and its folder; look at disk space; on PostgreSQL at the user's rights.";
    DatabaseOpenToOthers "database.open_to_others" Warn NO_PAGE
        "本机的其他用户可以读取数据库：{path}。" "Other users of this machine can read the database: {path}."
        "其中有姓名、登录记录和审计记录。" "It holds names, sign-ins and the audit trail."
        "运行 {command}" "Run: {command}";
    DataDirOpenToOthers "data_dir.open_to_others" Warn NO_PAGE
        "本机的其他用户可以进入数据目录：{path}。" "Other users of this machine may enter data_dir: {path}."
        "数据库和根密钥都在其中。" "The database and the root secret are in there."
        "运行 {command}" "Run: {command}";

    RootSecretOk "root_secret.ok" Ok NO_PAGE
        "根密钥存在，并能打开所有签名密钥。" "The root secret is there and opens every signing key."
        "" "" "" "";
    RootSecretMissing "root_secret.missing" Warn NO_PAGE
        "有数据库，却没有根密钥：{path}。" "There is a database and no root secret: {path}."
        "下次启动会生成新的根密钥，所有人都要重新登录。" "The next start makes a new one, and everybody has to sign in again."
        "从备份恢复该文件；若没有备份，直接启动即可。" "Restore the file from a backup; without one, just start.";
    RootSecretOpen "root_secret.open_to_others" Warn NO_PAGE
        "其他用户可以读取根密钥：{path}。" "Others can read the root secret: {path}."
        "拿到它的人可以伪造登录。" "Whoever has it can forge sign-ins."
        "对该文件运行 chmod 600；若可能已泄露，删除它并重启，所有会话随之结束。" "Run chmod 600 on it; if it may be known, delete it and restart, which ends every session.";
    RootSecretUnusable "root_secret.unusable" Broken NO_PAGE
        "根密钥无法使用。" "The root secret cannot be used."
        "原因：{why}" "The cause: {why}"
        "放回正确的文件，或改正 server.secret。" "Put the right file back, or correct server.secret.";
    RootSecretForeign "root_secret.foreign" Warn NO_PAGE
        "有 {count} 个签名密钥不能用当前的根密钥打开。" "{count} signing keys do not open with this root secret."
        "用它们签发的会话已经失效；若各副本的根密钥不同，登录会时好时坏。" "Sessions signed with them have ended; replicas with different secrets do not accept each other's sessions."
        "让每个副本使用同一个 server.secret；若是有意更换，可以忽略。" "Give every replica the same server.secret; ignore it if it was changed on purpose.";
    KeysMismatched "keys.mismatched" Broken NO_PAGE
        "数据库中有签名密钥的公钥与其私钥不符：{kids}。" "A signing key's public half in the database does not belong to its private half: {kids}."
        "有人改动过 signing_keys 表；网关不会带着它启动，以免公布他人的公钥。" "Somebody changed the table signing_keys; the gateway does not start with it, lest it publish somebody else's key."
        "查明是谁改的；然后删除该行，用它签发的会话随之结束。" "Find out who; then delete the row, which ends the sessions signed with it.";

    WecomDisabled "wecom.disabled" Warn NO_PAGE
        "企业微信接入已关闭：wecom.enable = false。" "WeCom is switched off: wecom.enable = false."
        "此时无人能登录（503 wecom.disabled），与企业微信有关的检查也未进行。" "Nobody can sign in (503 wecom.disabled), and nothing was asked of WeCom."
        "准备好后设 wecom.enable = true。" "Set wecom.enable = true when ready.";
    CorpIdMissing "wecom.corp_id_missing" Broken COMPANY_ID_PAGE
        "未填写 wecom.corp_id。" "wecom.corp_id is not set."
        "没有企业ID，无人能登录。" "Without the company id nobody can sign in."
        "把「我的企业 → 企业信息 → 企业ID」的值填入 wecom.corp_id。" "Enter the value of 「我的企业 → 企业信息 → 企业ID」 as wecom.corp_id.";
    AgentIdMissing "wecom.agent_id_missing" Broken APPLICATION_PAGE
        "未填写 wecom.agent_id。" "wecom.agent_id is not set."
        "没有 AgentId，登录链接不成立。" "Without the AgentId there is no sign-in link."
        "把「应用管理 → 应用」中的 AgentId 填入 wecom.agent_id。" "Enter the AgentId of 「应用管理 → 应用」 as wecom.agent_id.";
    AppSecretMissing "wecom.app_secret_missing" Broken SECRET_PAGE
        "未填写 wecom.app_secret。" "wecom.app_secret is not set."
        "没有应用的 Secret，无人能登录。" "Without the application's Secret nobody can sign in."
        "把「应用管理 → 应用 → Secret」的值填入 wecom.app_secret。" "Enter the value of 「应用管理 → 应用 → Secret」 as wecom.app_secret.";
    AppSecretOk "wecom.app_secret" Ok NO_PAGE
        "wecom.app_secret 是应用的 Secret，本机地址可以调用。" "wecom.app_secret is an application's Secret, and this machine's address may call."
        "" "" "" "";
    AppSecretIsContacts "wecom.app_secret_is_contacts" Broken SECRET_PAGE
        "wecom.app_secret 填的是「通讯录同步」的 Secret，它不能用于登录。" "wecom.app_secret holds the 「通讯录同步」 Secret, which cannot sign anyone in."
        "企业微信只允许它同步通讯录，不允许用 code 换取成员身份。" "WeCom lets it synchronise the directory only, and exchange no sign-in code."
        "把「应用管理 → 应用 → Secret」填入 wecom.app_secret，把现在的值移到 wecom.contacts_secret。" "Enter 「应用管理 → 应用 → Secret」 as wecom.app_secret and move the present value to wecom.contacts_secret.";
    SingleSecretIsApp "wecom.single_secret" Ok NO_PAGE
        "同一个 Secret 用于两处（wecom.corp_secret），它是应用的 Secret，可以登录，本机地址可以调用。" "One Secret serves for both (wecom.corp_secret); it is an application's, signs people in, and this machine's address may call."
        "" ""
        "以后同步完整通讯录还需要「安全与管理 → 管理工具 → 通讯录同步 → Secret」，填入 wecom.contacts_secret。" "For the complete directory, later, also enter 「安全与管理 → 管理工具 → 通讯录同步 → Secret」 as wecom.contacts_secret.";
    SingleSecretIsContacts "wecom.single_secret_is_contacts" Broken SECRET_PAGE
        "唯一的 Secret（wecom.corp_secret）属于「通讯录同步」，它不能用于登录。" "The only Secret (wecom.corp_secret) is the 「通讯录同步」 one, which cannot sign anyone in."
        "O2OA 的文档从「通讯录同步」取 CorpSecret；企业微信不允许它用 code 换取成员身份。" "The documentation of O2OA takes CorpSecret from 「通讯录同步」; WeCom lets that one exchange no sign-in code."
        "保留它，另外把「应用管理 → 应用 → Secret」填入 wecom.app_secret。" "Keep it, and add 「应用管理 → 应用 → Secret」 as wecom.app_secret.";
    ContactsSecretOk "wecom.contacts_secret" Ok NO_PAGE
        "wecom.contacts_secret 是「通讯录同步」的 Secret，本机地址可以调用。" "wecom.contacts_secret is the 「通讯录同步」 Secret, and this machine's address may call."
        "" "" "" "";
    ContactsSecretIsApp "wecom.contacts_secret_is_app" Warn NO_PAGE
        "wecom.contacts_secret 填的是应用的 Secret，不是「通讯录同步」的。" "wecom.contacts_secret holds an application's Secret, not the 「通讯录同步」 one."
        "登录不受影响；它只能看到应用可见范围内的成员，读不到完整的通讯录。" "Signing in is not affected; it sees the visible range of the application only, never the complete directory."
        "把「安全与管理 → 管理工具 → 通讯录同步 → Secret」填入 wecom.contacts_secret，或将其留空。" "Enter 「安全与管理 → 管理工具 → 通讯录同步 → Secret」 as wecom.contacts_secret, or leave it empty.";
    ContactsSecretRefused "wecom.contacts_secret_refused" Broken NO_PAGE
        "企业微信拒绝了 {key}：{meaning}" "WeCom refused {key}: {meaning}"
        "企业微信的回答：{answer}" "WeCom's answer: {answer}"
        "在「安全与管理 → 管理工具 → 通讯录同步 → Secret」重新复制到 wecom.contacts_secret，并核对 wecom.corp_id 属于同一企业。" "Copy it again from 「安全与管理 → 管理工具 → 通讯录同步 → Secret」 to wecom.contacts_secret, and check that wecom.corp_id is of the same company.";
    TrustedIp "wecom.trusted_ip" Broken TRUSTED_IP_PAGE
        "企业微信看到的本机地址 {address} 不在企业可信IP中（{key}）。" "The address WeCom sees, {address}, is not among the trusted ones ({key})."
        "不在名单中的地址不能调用接口，登录会失败。企业微信的回答：{answer}" "An address that is not listed may call nothing, so every sign-in fails. WeCom's answer: {answer}"
        "把 {address} 加入「应用管理 → 应用 → 企业可信IP」，约一分钟后生效；须先设置可信域名或接收消息服务器URL。出口地址会变时，用 wecom.proxy 固定。" "Add {address} to 「应用管理 → 应用 → 企业可信IP」; it works about a minute later, and needs a trusted domain or a callback URL first. Where the outgoing address changes, fix it with wecom.proxy.";
    ContactsTrustedIp "wecom.contacts_trusted_ip" Broken NO_PAGE
        "企业微信看到的本机地址 {address} 不在「通讯录同步」的企业可信IP中（{key}）。" "The address WeCom sees, {address}, is not among the trusted ones of 「通讯录同步」 ({key})."
        "这份名单与应用的名单是分开的。企业微信的回答：{answer}" "That list is not the application's. WeCom's answer: {answer}"
        "把 {address} 加入「安全与管理 → 管理工具 → 通讯录同步 → 企业可信IP」，约一分钟后生效。" "Add {address} to 「安全与管理 → 管理工具 → 通讯录同步 → 企业可信IP」; it works about a minute later.";
    SecretCopiedAlong "wecom.secret_copied_along" Broken NO_PAGE
        "{key} 可能没有复制对：{fault}。" "{key} was perhaps copied with something else: it holds {fault}."
        "企业微信可能只因此拒绝它；这时重置 Secret 没有用，还会使正在用它的其他系统失效。" "WeCom may refuse it for that alone; to reset the Secret would not help then, and would shut out whatever else uses it."
        "重新复制 Secret 本身，填入 {key}，不带引号、空格和换行，再运行 gongpai doctor；仍被拒绝，再看下一条。" "Copy the Secret alone to {key}, without quotation marks, blanks and line breaks, and run gongpai doctor again; if it is still refused, go on with the next finding.";
    Refused "wecom.refused" Broken NO_PAGE
        "企业微信拒绝了 {key}：{meaning}" "WeCom refused {key}: {meaning}"
        "企业微信的回答：{answer}" "WeCom's answer: {answer}"
        "{remedy}" "{remedy}";
    RefusedUnknown "wecom.refused_unknown" Broken NO_PAGE
        "企业微信拒绝了 {key}，错误码 {code}。" "WeCom refused {key} with errcode {code}."
        "企业微信的回答：{answer}" "WeCom's answer: {answer}"
        "在 https://open.work.weixin.qq.com/devtool/query?e={code} 查询该错误码。" "Look the errcode up at https://open.work.weixin.qq.com/devtool/query?e={code}.";
    WecomUnreachable "wecom.unreachable" Broken NO_PAGE
        "无法访问企业微信（{host}）。" "WeCom ({host}) cannot be reached."
        "无人能登录，已登录的人不受影响。原因：{why}" "Nobody can sign in; who is in stays in. The cause: {why}"
        "检查 DNS、防火墙、wecom.proxy 和 wecom.api_address，允许访问该主机的 443 端口。" "Check DNS, the firewall, wecom.proxy and wecom.api_address; let port 443 of that host through.";

    MessagesOff "messages.off" Ok NO_PAGE
        "消息功能已关闭：wecom.message_enable = false；没有检查应用能否发送。" "Messages are switched off: wecom.message_enable = false; whether the application may send was not asked."
        "" "" "" "";
    MessagesOk "messages.ok" Ok NO_PAGE
        "应用可以发送消息。" "The application may send messages."
        "" ""
        "用 gongpai doctor --message-to 帐号 可以发出一条测试消息。" "gongpai doctor --message-to USERID sends a real one.";
    MessagesRefused "messages.refused" Broken NO_PAGE
        "企业微信不允许应用发送消息：{meaning}" "WeCom does not let the application send: {meaning}"
        "企业微信的回答：{answer}" "WeCom's answer: {answer}"
        "{remedy}" "{remedy}";
    MessagesRefusedUnknown "messages.refused_unknown" Broken NO_PAGE
        "企业微信不允许应用发送消息，错误码 {code}。" "WeCom does not let the application send; errcode {code}."
        "企业微信的回答：{answer}" "WeCom's answer: {answer}"
        "在 https://open.work.weixin.qq.com/devtool/query?e={code} 查询该错误码。" "Look the errcode up at https://open.work.weixin.qq.com/devtool/query?e={code}.";
    MessagesUnseen "messages.unseen" Warn NO_PAGE
        "未能得知应用能否发送消息。" "Whether the application may send messages could not be found out."
        "原因：{why}" "The cause: {why}"
        "检查网络、wecom.proxy 和 wecom.api_address，再运行一次。" "Check the network, wecom.proxy and wecom.api_address, then run this again.";
    MessageTaken "messages.test_sent" Ok NO_PAGE
        "企业微信接受了发给 {userid} 的测试消息（msgid {msgid}）。" "WeCom took the test message to {userid} (msgid {msgid})."
        "企业微信丢弃超出每人限额的消息时也回答成功，请在手机上确认已收到。" "WeCom answers so too where it drops what exceeds a member's limits; see on the phone that it arrived."
        "" "";
    MessageInvalid "messages.test_invalid" Broken VISIBLE_RANGE_PAGE
        "测试消息没有送达 {userid}：企业微信认为该成员无效。" "The test message did not reach {userid}: WeCom holds the member for invalid."
        "应用可以发送消息，但该帐号不存在、已离职，或不在应用的可见范围内；企业微信不作区分。" "The application may send, but there is no such userid, the member left, or is not in the visible range; WeCom does not say which."
        "核对帐号；在「应用管理 → 应用 → 可见范围」加入该成员或其部门。" "Check the userid; add the member or the department in 「应用管理 → 应用 → 可见范围」.";
    MessageUnlicensed "messages.test_unlicensed" Broken APPLICATION_PAGE
        "测试消息没有送达 {userid}：该成员没有接口许可。" "The test message did not reach {userid}: the member has no licence."
        "企业微信只向有基础接口许可的成员发送这个应用的消息。" "WeCom sends messages of this application to members with a basic licence only."
        "在「应用管理 → 应用」查看并分配接口许可。" "See and assign licences in 「应用管理 → 应用」.";
    MessageUnknown "messages.test_unknown" Warn NO_PAGE
        "不知道企业微信是否发出了给 {userid} 的测试消息。" "Whether WeCom sent the test message to {userid} is not known."
        "请求可能已经到达。原因：{why}" "The request may have arrived. The cause: {why}"
        "查看手机是否收到；没有收到时检查网络和代理，再运行一次。" "See on the phone; if it did not arrive, check the network and the proxy and run this again.";
    MessageNotSent "messages.test_not_sent" Broken NO_PAGE
        "给 {userid} 的测试消息没有发出。" "The test message to {userid} was not sent."
        "原因：{why}" "The cause: {why}"
        "检查网络、wecom.proxy 和 wecom.api_address，再运行一次。" "Check the network, wecom.proxy and wecom.api_address, then run this again.";
    MessageWithheld "messages.test_withheld" Broken NO_PAGE
        "没有尝试向 {userid} 发送测试消息。" "No test message to {userid} was tried."
        "企业微信接入或消息功能已关闭，或者应用的 Secret 不可用。" "WeCom or messages are switched off, or the application's Secret does not work."
        "先处理上面与企业微信有关的问题，设 wecom.message_enable = true，再运行一次。" "Mend what is said of WeCom, set wecom.message_enable = true, then run this again.";

    DirectoryContacts "directory.way" Ok NO_PAGE
        "通讯录用「通讯录同步」的 Secret 读取，详情完整。" "The directory is read with the 「通讯录同步」 Secret, in every detail."
        "" "" "" "";
    DirectoryIds "directory.way_ids" Ok NO_PAGE
        "「通讯录同步」的 Secret 在本机地址只能读取 ID（48009），姓名等详情用应用的 Secret 读取。" "From this address the 「通讯录同步」 Secret reads ids only (48009); names and details come with the application's."
        "2022-08-15 之后配置的地址都是如此；应用可见范围之外的成员不会进入通讯录，也不能登录。" "So it is for addresses entered since 2022-08-15; who is outside the visible range does not come into the directory, and cannot sign in."
        "" "";
    DirectoryVisible "directory.way_visible" Ok NO_PAGE
        "通讯录只用应用的 Secret 读取，限于应用的可见范围。" "The directory is read with the application's Secret alone: what is in its visible range."
        "没有可用的「通讯录同步」Secret 时都是如此；单独加入可见范围、不在可见部门中的成员，登录之后才会被同步。" "So it is without a 「通讯录同步」 Secret that works; who is visible singly and not by a department is synchronised after signing in once."
        "" "";
    DirectoryUnread "directory.unread" Warn VISIBLE_RANGE_PAGE
        "用 {key} 读取通讯录失败。" "Reading the directory with {key} failed."
        "这样同步也会失败，组织架构保持原样。原因：{why}" "A synchronisation fails like this, too, and the chart stays as it was. The cause: {why}"
        "核对应用的「可见范围」和该 Secret 的企业可信IP；若是网络问题，稍后再运行一次。" "Check the 「可见范围」 of the application and the trusted addresses of that Secret; if it is the network, run this again later.";
    DirectoryRangeEmpty "directory.range_empty" Broken VISIBLE_RANGE_PAGE
        "应用的可见范围中没有部门。" "There is no department in the visible range of the application."
        "可见范围为空时无人能登录；即使其中有单个成员，也无法同步部门，按部门授权的规则不起作用。" "With an empty range nobody can sign in; even if it names single members, no department is synchronised, and rules by unit match nobody."
        "在「应用管理 → 应用 → 可见范围」中加入使用者所在的部门，通常是整个企业。" "Add the departments of everybody who is to use it in 「应用管理 → 应用 → 可见范围」, mostly the whole company.";
    DirectoryRange "directory.range" Ok VISIBLE_RANGE_PAGE
        "应用的可见范围有 {units} 个部门。" "The visible range of the application has {units} departments."
        "可见范围之外的人不能登录，也不会进入通讯录。" "Who is outside can neither sign in nor come into the directory."
        "" "";
    DirectoryRangeCounted "directory.range_counted" Ok VISIBLE_RANGE_PAGE
        "应用的可见范围有 {units} 个部门，其中 {members} 名成员。" "The visible range of the application has {units} departments with {members} members."
        "可见范围之外的人不能登录，也不会进入通讯录。" "Who is outside can neither sign in nor come into the directory."
        "" "";
    DirectoryRangeWhole "directory.range_whole" Ok VISIBLE_RANGE_PAGE
        "应用的可见范围覆盖整个企业：{units} 个部门可见 {seen} 个，{least}{members} 名成员中有 {some} 名在这些部门。" "The visible range of the application covers the company: {seen} of {units} departments, and in them {some} of {least}{members} members."
        "" "" "" "";
    DirectoryRangePart "directory.range_part" Ok VISIBLE_RANGE_PAGE
        "应用的可见范围是企业的一部分：{units} 个部门可见 {seen} 个，{least}{members} 名成员中有 {some} 名在这些部门。" "The visible range of the application is a part of the company: {seen} of {units} departments, and in them {some} of {least}{members} members."
        "可见范围之外的人不能登录，也不会进入通讯录。" "Who is outside can neither sign in nor come into the directory."
        "若应包括所有人，在「应用管理 → 应用 → 可见范围」中选择整个企业。" "If everybody is meant, choose the whole company in 「应用管理 → 应用 → 可见范围」.";
    DirectoryFields "directory.fields" Ok NO_PAGE
        "应用的 Secret 读到的字段：{fields}；没有读到：{unseen}。" "Fields that the application's Secret shows: {fields}; not seen: {unseen}."
        "只看了部分成员，没有人填写的字段也读不到。2022-06-20 之后创建的应用读不到手机和邮箱。" "Some members were looked at, and what nobody filled in is not seen either. Applications made since 2022-06-20 get no mobile and mail."
        "" "";
    DirectoryFieldsUnknown "directory.fields_unknown" Ok NO_PAGE
        "看过的部门中没有成员，不知道应用的 Secret 能读到哪些字段。" "No member was found in the departments that were looked at, so the fields that the application's Secret shows are not known."
        "" "" "" "";
    DirectoryLinkBy "directory.link_by" Warn NO_PAGE
        "directory.link_by 使用 {fields}，但应用的 Secret 读不到。" "directory.link_by uses {fields}, which the application's Secret does not show."
        "2022-06-20 之后创建的应用读不到手机和邮箱，因此同步时不能用它们认出本地人员。" "Applications made since 2022-06-20 get no mobile and mail, so a run cannot recognise local people by them."
        "用 userid 或工号认人：directory.link_by = [\"userid\", \"employee_number\"]；其余字段仍然有效，没有本地人员时可以忽略。" "Recognise them by userid or staff number: directory.link_by = [\"userid\", \"employee_number\"]; other fields work, and without local people ignore it.";

    RunsUnread "sync.unread" Warn NO_PAGE
        "未能从数据库读取组织架构的同步情况。" "How the organisation chart stands could not be read from the database."
        "原因：{why}" "The cause: {why}"
        "先处理与数据库有关的问题，再运行一次。" "Mend what is said of the database, then run this again.";
    RunsLast "sync.last" Ok NO_PAGE
        "上次同步（{kind}，{cause}）于 {at} 完成。" "The last run ({kind}, {cause}) was done at {at}."
        "" "" "" "";
    RunsLastPartial "sync.last_partial" Ok NO_PAGE
        "上次同步（{kind}，{cause}）于 {at} 完成，没有读取全部详情。" "The last run ({kind}, {cause}) was done at {at}; it did not read every detail."
        "" "" "" "";
    RunsLastRefused "sync.last_refused" Warn NO_PAGE
        "上次同步（{kind}，{cause}）于 {at} 被拒绝。" "The last run ({kind}, {cause}) was refused at {at}."
        "组织架构保持原样。原因：{why}" "The chart stays as it was. The cause: {why}"
        "用 gongpai sync --dry-run 查看会发生什么；若确实如此，运行 gongpai sync --force。" "See what would happen with gongpai sync --dry-run; if it is meant, run gongpai sync --force.";
    RunsLastFailed "sync.last_failed" Warn NO_PAGE
        "上次同步（{kind}，{cause}）于 {at} 失败。" "The last run ({kind}, {cause}) failed at {at}."
        "组织架构保持原样。原因：{why}" "The chart stays as it was. The cause: {why}"
        "处理原因后运行 gongpai sync。" "Mend the cause, then run gongpai sync.";
    RunsNone "sync.none" Warn NO_PAGE
        "还没有一次完整的同步。" "No run has read the whole directory yet."
        "按部门、标签和负责人授权的规则现在不匹配任何人。" "Rules by unit, tag and leader match nobody now."
        "启动 gongpai serve，它会自动开始第一次同步；或运行 gongpai sync。" "Start gongpai serve, which begins the first run by itself, or run gongpai sync.";
    RunsFresh "sync.complete" Ok NO_PAGE
        "上次完整同步始于 {at}，{hours} 小时前。" "The last complete run began at {at}, {hours} hours ago."
        "" "" "" "";
    RunsOld "sync.old" Warn NO_PAGE
        "上次完整同步始于 {at}，已经过去 {hours} 小时（超过 {limit} 小时）。" "The last complete run began at {at}, {hours} hours ago (more than {limit})."
        "此后的调动和离职可能没有生效。" "Moves and departures since then may not be in force."
        "确认 gongpai serve 在运行，wecom.force_sync_cron 已设置；或运行 gongpai sync。" "See that gongpai serve runs and wecom.force_sync_cron is set, or run gongpai sync.";
    RunsConflicts "sync.conflicts" Warn NO_PAGE
        "有 {count} 个关于人员的问题等待处理。" "{count} questions about persons wait for an answer."
        "网关不能判断两个人是否为同一人，在得到回答之前按两个人处理。" "The gateway cannot tell whether two persons are one, and treats them as two until somebody answers."
        "运行 gongpai directory conflicts list 查看，用 gongpai directory conflicts resolve 回答。" "See them with gongpai directory conflicts list and answer with gongpai directory conflicts resolve.";
    RulesTaken "rules.taken" Warn NO_PAGE
        "规则中有 {count} 个 userid 现在属于他人：{userids}。" "{count} userids in rules are somebody else's now: {userids}."
        "在确认之前，这些 userid 的新主人不会因规则而获得权限。" "Until it is accepted, who has such a userid now is allowed nothing by it."
        "运行 gongpai rules accept 查看并确认，或修改规则。" "See and accept them with gongpai rules accept, or change the rules.";
    RulesUnfound "rules.unfound" Warn NO_PAGE
        "有一条访问规则在当前的组织架构中不匹配任何人。{rule}" "A part of an access rule means nobody in the chart of now. {rule}"
        "部门、标签可能改了名称、被删除，或不在应用的可见范围内。" "The unit or tag may have another name now, be deleted, or be outside the visible range."
        "用组织架构中的名称改正 [[rules]] 中的规则。" "Correct the rule in [[rules]] to the name that the chart has.";

    ClockOk "clock.ok" Ok NO_PAGE
        "时钟与企业微信一致（{direction} {seconds} 秒）。" "The clock agrees with that of WeCom ({seconds} s {direction} it)."
        "" "" "" "";
    ClockOff "clock.off" Broken NO_PAGE
        "时钟比企业微信{direction} {seconds} 秒。" "The clock is {seconds} s {direction} that of WeCom."
        "会话、登录状态和密钥的期限都按时钟判断，偏差会使人无法登录或过早登出。" "Sessions, sign-ins and keys are judged by it; people cannot sign in or are signed out early."
        "启用时间同步：timedatectl set-ntp true，或 chrony。" "Turn on time synchronisation: timedatectl set-ntp true, or chrony.";
    ClockBehindRows "clock.behind_rows" Broken NO_PAGE
        "时钟比数据库中最新的记录慢 {seconds} 秒。" "The clock is {seconds} s behind the newest row in the database."
        "落后超过一分钟时，网关不会为任何人建立新会话。" "More than a minute behind, the gateway begins no session for anybody."
        "校准时钟；若有多个副本，也请检查其他机器的时钟。" "Set the clock right; with several replicas look at the other machines' clocks too.";
    ClockUnknown "clock.unknown" Warn NO_PAGE
        "未能取得企业微信的时间，时钟没有核对。" "WeCom did not tell its time, so the clock was not compared."
        "时钟偏差超过一分钟时登录会失败。" "A clock more than a minute off breaks signing in."
        "能访问企业微信后再运行一次。" "Run this again when WeCom can be reached.";

    DomainsCompare "domains.compare" Ok TRUSTED_DOMAIN_PAGE
        "请在管理后台核对：可信域名和授权回调域都应为 {host}，AgentId 为 {agent}。" "Compare in the console: the trusted domain and the callback domain are exactly {host}, the AgentId is {agent}."
        "没有接口可以查询这三项；不一致时企业微信显示 50001。" "No API tells these; where they differ, WeCom shows 50001."
        "「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」填 {host}；扫码登录：「应用管理 → 应用 → 企业微信授权登录 → Web网页 → 授权回调域」填 {host}。" "Enter {host} in 「应用管理 → 应用 → 网页授权及JS-SDK → 可信域名」, and for QR sign-in in 「应用管理 → 应用 → 企业微信授权登录 → Web网页 → 授权回调域」.";
    DomainsAddress "domains.address" Warn TRUSTED_DOMAIN_PAGE
        "public_url 的主机 {host} 是 IP 地址。" "The host of public_url, {host}, is an IP address."
        "企业微信不接受 IP 地址作为可信域名（80001）。" "WeCom takes no IP address as the trusted domain (80001)."
        "使用已备案的域名，备案主体须与企业相同或有关联。" "Use a domain with an ICP filing of this company or a related one.";

    PublicUrlOk "public_url.ok" Ok NO_PAGE
        "从本机经 public_url 能访问网关：{url}。" "public_url leads to the gateway from here: {url}."
        "" "" "" "";
    PublicUrlUnreachable "public_url.unreachable" Warn NO_PAGE
        "从本机无法访问 {url}。" "{url} cannot be reached from here."
        "网关可能还没有启动，或者内网走的是另一条路。原因：{why}" "The gateway may not run yet, or the way from here is another one. The cause: {why}"
        "启动 gongpai serve 和代理；用手机浏览器打开它，看能否访问。" "Start gongpai serve and the proxy; open it in a phone's browser to see whether it answers.";
    PublicUrlElsewhere "public_url.elsewhere" Warn NO_PAGE
        "{url} 有回答，但不是网关的（HTTP {status}）。" "{url} answers, but not as the gateway does (HTTP {status})."
        "代理没有把网关的路径转给它，登录无法完成。" "The proxy does not pass the gateway's paths on, and no sign-in can end."
        "使用 gongpai snippet nginx 打印的配置。" "Use the configuration that gongpai snippet nginx prints.";

    VerifyFileNone "verify_file.none" Ok NO_PAGE
        "没有域名校验文件；只有管理后台要求时才需要。" "There is no domain verification file; it is needed only if the console asks for one."
        "" "" "" "";
    VerifyFileOk "verify_file.ok" Ok NO_PAGE
        "域名校验文件可以取得：{url}。" "The domain verification file is served: {url}."
        "" "" "" "";
    VerifyFileWrong "verify_file.wrong" Broken TRUSTED_DOMAIN_PAGE
        "域名校验文件不能正确取得：{url}。" "The domain verification file is not served as it must be: {url}."
        "企业微信要求内容正好是 16 个字符的纯文本，不能跳转或登录。原因：{why}" "WeCom wants exactly its 16 characters as plain text, without redirect or sign-in. The cause: {why}"
        "让代理把 /WW_verify_* 转给网关（见 gongpai snippet nginx），然后在管理后台重新校验。" "Let the proxy pass /WW_verify_* to the gateway (see gongpai snippet nginx), then verify again in the console.";
    VerifyFileName "verify_file.name" Warn TRUSTED_DOMAIN_PAGE
        "data_dir 中的 {name} 不是企业微信给出的文件名，不会被提供。" "{name} in data_dir has no name that WeCom gives, and is not served."
        "只提供 WW_verify_ 加 16 个字母或数字的文件，其他名称可能被他人用来认领域名。" "Only WW_verify_ and 16 letters or digits is: any other name could be somebody else's claim to the domain."
        "使用从管理后台下载的原文件名。" "Use the name under which the console gave it.";
    OutOfTime "doctor.out_of_time" Warn NO_PAGE
        "检查未在一分钟内完成，其余的没有进行。" "The checks did not end within a minute; what is not listed was not looked at."
        "某处网络或数据库回答得很慢。" "The network or the database answers slowly."
        "先处理上面的问题，再运行一次。" "Mend what is listed, then run this again.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn is_chinese(c: char) -> bool {
        matches!(c, '\u{4e00}'..='\u{9fff}')
    }

    fn places(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    fn pages(text: &str) -> BTreeSet<&str> {
        text.split('「').skip(1).filter_map(|rest| rest.split_once('」')).map(|(page, _)| page).collect()
    }

    #[test]
    fn every_text_exists_in_both_languages_and_says_the_same() {
        for row in FindingKind::ALL {
            let FindingTemplate { id, what, why, remedy, .. } = row.texts();
            assert!(!what.0.is_empty() && !what.1.is_empty(), "{id}");
            for (zh, en) in [what, why, remedy] {
                assert_eq!(zh.is_empty(), en.is_empty(), "{id}: {zh} / {en}");
                assert_eq!(places(zh), places(en), "{id}: {zh} / {en}");
                assert!(!zh.contains(['!', '！', '亲']) && !en.contains('!'), "{id}");
                if zh.is_empty() || *zh == "{remedy}" {
                    continue;
                }
                assert!(zh.chars().any(is_chinese), "{id}: {zh}");
                assert!(zh.ends_with(['。', '}']) && en.ends_with(['.', '}']), "{id}: {zh} / {en}");
                for page in pages(en) {
                    assert!(pages(zh).contains(page), "{id}: {page}");
                }
                // English text may contain Chinese only as the name of a console page, in its
                // brackets.
                let bare: String = en.split('」').filter_map(|part| part.split('「').next()).collect();
                assert!(!bare.chars().any(is_chinese), "{id}: {en}");
            }
        }
    }

    #[test]
    fn whatever_is_not_well_says_why_and_what_mends_it() {
        for row in FindingKind::ALL {
            let texts = row.texts();
            if texts.level != FindingLevel::Ok {
                assert!(!texts.why.0.is_empty() && !texts.remedy.0.is_empty(), "{}", texts.id);
            }
        }
    }

    #[test]
    fn ids_are_unique_and_of_the_form_area_dot_name() {
        let ids: BTreeSet<_> = FindingKind::ALL.iter().map(|row| row.texts().id).collect();
        assert_eq!(ids.len(), FindingKind::ALL.len());
        let part = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        for id in ids {
            assert!(id.split_once('.').is_some_and(|(area, name)| part(area) && part(name)), "{id}");
        }
    }
}
