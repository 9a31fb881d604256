//! The words of the pages themselves: headings, buttons, labels.

use crate::http::language::BilingualText;

macro_rules! labels {
    ($($name:ident $zh:literal $en:literal;)*) => {
        $(#[doc = $en] pub(crate) const $name: BilingualText = BilingualText::fixed($zh, $en);)*

        /// Every label with its name, for the test of completeness.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, BilingualText)] = &[$((stringify!($name), $name)),*];
    };
}

labels! {
    RETRY "重试" "Try again";
    SWITCH_ACCOUNT "换个账号" "Use another account";
    BACK "返回" "Back";
    SIGN_IN_AGAIN "重新登录" "Sign in again";
    SIGN_OUT "退出登录" "Sign out";
    CONTINUE "继续" "Continue";
    OPEN_IN_WECOM "在企业微信中打开" "Open in WeCom";

    RETRIES_ITSELF "本页将在 5 秒后自动重试一次。" "This page tries again by itself once, in 5 seconds.";

    FOR_ADMINISTRATOR "给管理员" "For the administrator";
    CODE "代码" "Code";
    ERRCODE "企业微信错误码" "WeCom errcode";
    MEANING "含义" "Meaning";
    NOTE "说明" "Note";
    REMEDY "处理办法" "Remedy";
    CONSOLE "管理后台页面" "Console page";
    DETAIL "详情" "Detail";
    SERVER_ADDRESS "服务器地址" "The server's address";
    SINCE "起始时间" "Since";

    TARGET_NO_URL "rd（或 redirect）既不是以 / 开头的路径，也不是完整的 http(s) 网址。" "rd, or redirect, is neither a path that begins with / nor a whole http(s) URL.";
    TARGET_OTHER_HOST "网址中的主机不属于本系统：如果应当允许，请加入 login.redirect_hosts。" "The URL's host is none of this installation's: if it should be, add it to login.redirect_hosts.";
    TARGET_TOO_LONG "网址过长：路径不能超过 1024 字节。" "The URL is too long: its path may have 1024 bytes.";
    TARGET_OWN_SCHEME "网址的协议既不是 http 也不是 https。" "The URL has a scheme of its own, neither http nor https.";
    TARGET_NOT_OURS "链接已被改动或已过期，或者同一个参数出现了两次。" "The link was changed or is too old, or a parameter is there twice.";

    REQUEST_ID "请求编号" "Request";
    CONTACT "如需帮助，请联系" "For help, ask";

    SCAN "使用企业微信扫码登录" "Scan with WeCom to sign in";
    SCAN_FRAME "企业微信登录二维码" "WeCom sign-in QR code";
    SCAN_NOTE "登录后，本页会自动继续。" "This page goes on by itself once you are signed in.";
    SCAN_FOR "将登录到" "You are signing in to";

    OPEN_WECOM "请在企业微信中打开" "Please open this in WeCom";
    OPEN_WECOM_PATH "在手机上打开企业微信，依次进入：" "On your phone open WeCom and go to:";

    SIGNED_OUT "您已退出登录。" "You are signed out.";
    SIGNED_OUT_NOTE "如需继续使用，请重新登录。" "To go on, sign in again.";

    SIGNED_IN "您已登录。" "You are signed in.";
    SIGNED_IN_AS "当前账号" "Signed in as";

    TOP_WINDOW "请在完整窗口中登录。" "Please use the whole window to sign in.";
    TOP_WINDOW_NOTE "点击下方按钮，将在整个窗口中打开登录页面。" "The button opens the sign-in in the whole window.";

    BREAK_OUT "正在继续登录。" "Your sign-in goes on.";
    BREAK_OUT_NOTE "如果页面没有自动跳转，请点击下方按钮。" "If nothing happens, use the button below.";
}
