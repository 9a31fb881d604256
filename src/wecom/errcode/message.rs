//! The texts of errcodes that sending, recalling and uploading meet, and other words for those that
//! sign-in meets too (documents 90236, 90253, 94867, 90313).

use super::{
    APPLICATION_PAGE, APPLICATIONS_PAGE, ErrcodeText, SECRET_PAGE, VISIBLE_RANGE_PAGE, explain_errcode,
};

/// Returns the texts of `code` for a refused message: as [`explain_errcode`], in words about
/// messages instead of sign-in.
pub(crate) fn explain_message_errcode(code: i64) -> Option<ErrcodeText> {
    let (zh, en, remedy_zh, remedy_en, console) = match code {
        40003 | 46004 | 60111 | 301_021 => (
            "收件人的 userid 不存在、已离职，或不在应用的可见范围内；企业微信不作区分。",
            "A recipient's userid does not exist, has left, or is not in the visible range; WeCom does not say which.",
            "若该成员在职，请在「应用管理 → 应用 → 可见范围」加入该成员或其部门；已离职的成员收不到消息。",
            "If the person works here, add the member or the department in 「应用管理 → 应用 → 可见范围」; somebody who left gets no messages.",
            Some(VISIBLE_RANGE_PAGE),
        ),
        45009 => (
            "发送消息超过企业微信的频率限制。",
            "WeCom's limit for sending messages is reached.",
            "消息会保留，限制解除后自动继续发送；请检查是否有其他程序用同一应用大量发送。",
            "Messages are kept and go on by themselves when the limit ends; look for other programs that send heavily with the same application.",
            None,
        ),
        48002 => (
            "该 Secret 无权发送消息，可能属于通讯录同步。",
            "This secret may not send messages; perhaps it is the 通讯录同步 one.",
            "把「应用管理 → 应用 → Secret」填入 wecom.app_secret。",
            "Enter 「应用管理 → 应用 → Secret」 as wecom.app_secret.",
            Some(SECRET_PAGE),
        ),
        50003 => (
            "应用已停用，无法发送消息。",
            "The application is disabled and cannot send.",
            "在「应用管理」启用该应用；保留的消息随后会自动发送。",
            "Enable it in 「应用管理」; messages that were kept then go out by themselves.",
            Some(APPLICATIONS_PAGE),
        ),
        _ => return explain_errcode(code),
    };
    Some(ErrcodeText { zh, en, remedy_zh, remedy_en, console })
}

/// Returns the texts of errcodes that nobody meets at sign-in.
pub(super) fn explain_message_only_errcode(code: i64) -> Option<ErrcodeText> {
    let (zh, en, remedy_zh, remedy_en, console) = match code {
        40004 | 40005 => (
            "文件的类型不被接受。",
            "The file's type is not accepted.",
            "图片只能是 JPG 或 PNG，其他文件请作为 file 上传。",
            "An image is JPG or PNG; upload anything else as a file.",
            None,
        ),
        40006 | 40009 | 40011 | 45001 => (
            "文件过大或过小。",
            "The file is too large or too small.",
            "图片最大 10 MB，文件最大 20 MB，且都须大于 5 个字节。",
            "An image has at most 10 MB, a file 20 MB, and each more than 5 bytes.",
            None,
        ),
        40007 => (
            "media_id 无效：已超过三天，或类型与消息不符。",
            "The media_id is not valid: older than three days, or of another kind than the message.",
            "重新上传文件，再用新的 media_id 发送。",
            "Upload the file again and send with the new media_id.",
            None,
        ),
        40008 => (
            "消息类型不正确。",
            "The kind of message is not one that WeCom knows.",
            "请发送方改正消息类型；个别类型在私有部署的企业微信中不可用。",
            "The sender has to correct the kind; private editions of WeCom lack some of them.",
            None,
        ),
        40031 | 40032 => (
            "收件人列表不正确或过长。",
            "The list of recipients is wrong or too long.",
            "请核对各收件人的 userid；一次最多 1000 人。",
            "Look at the userids of the recipients; a call takes at most 1000.",
            None,
        ),
        40033 | 40035 | 40058 | 40063 => (
            "请求的参数不正确、为空或过长。",
            "A parameter of the request is wrong, empty or too long.",
            "请发送方对照企业微信的文档改正消息内容；撤回时也可能表示消息由其他应用发出。",
            "The sender has to correct the content as WeCom documents it; on a recall it can also mean that another application sent the message.",
            None,
        ),
        40039 | 40094 | 45034 => (
            "消息中的网址不正确：过长，或缺少 http:// 或 https://。",
            "An address in the message is wrong: too long, or without http:// or https://.",
            "请发送方改正网址。",
            "The sender has to correct the address.",
            None,
        ),
        40073 | 43004 => (
            "收件人没有关注企业的微信插件。",
            "The recipient has not bound WeChat.",
            "请该成员登录企业微信，或在微信中关注企业的微信插件。",
            "The member has to sign in to WeCom, or follow the company's plugin in WeChat.",
            None,
        ),
        40074 => (
            "图文消息不能设为保密。",
            "News cannot be sent as confidential.",
            "请发送方去掉 safe。",
            "The sender has to leave out safe.",
            None,
        ),
        40123 => (
            "图片已损坏。",
            "The image is broken.",
            "请重新生成图片后上传。",
            "Make the image anew and upload it.",
            None,
        ),
        40201 => (
            "消息内容被企业微信的反垃圾规则拦截。",
            "WeCom's rules against spam stopped the content.",
            "请发送方修改内容，删去可能被判为违规或营销的文字和网址；原样重发仍会被拦截。",
            "The sender has to change the content and drop words and addresses that look like spam; as it is, it is stopped again.",
            None,
        ),
        41009 => (
            "请求中缺少 userid。",
            "The request names no userid.",
            "请发送方填写收件人。",
            "The sender has to name a recipient.",
            None,
        ),
        41010 | 41016 | 41033 | 44004 => (
            "消息缺少必填的内容：标题、描述、网址或正文为空。",
            "The message lacks what it must have: title, description, address or text is empty.",
            "请发送方补全消息内容。",
            "The sender has to complete the content.",
            None,
        ),
        41011 => (
            "请求中缺少 agentid。",
            "The request has no agentid.",
            "把「应用管理 → 应用」中的 AgentId 填入 wecom.agent_id；若已填写，请检查中间的代理。",
            "Enter the AgentId of 「应用管理 → 应用」 as wecom.agent_id; if it is there, check the proxy in between.",
            Some(APPLICATION_PAGE),
        ),
        42014..=42020 => (
            "卡片的 task_id 或按钮不正确，或卡片由其他应用发出。",
            "A card's task_id or button is wrong, or another application sent the card.",
            "请发送方改正：task_id 在应用内唯一，每个按钮都要有名称和 key。",
            "The sender has to correct it: a task_id is unique within the application, and every button has a name and a key.",
            None,
        ),
        42027..=42051 => (
            "模板卡片的字段缺失或不正确。",
            "A field of the template card is missing or wrong.",
            "请发送方按企业微信的回答中指出的字段改正卡片。",
            "The sender has to correct the field that WeCom's answer names.",
            None,
        ),
        42052 => (
            "消息发出已超过 24 小时，不能撤回。",
            "The message was sent more than 24 hours ago and cannot be recalled.",
            "无法再撤回；如有必要，请另发一条更正。",
            "Nothing can take it back; send a correction if one is needed.",
            None,
        ),
        44001 => (
            "上传的文件为空，或请求的格式不正确。",
            "The uploaded file is empty, or the request has not the right form.",
            "确认文件不为空；若不为空，请检查中间的代理是否改动了请求。",
            "Make sure that the file is not empty; if it is not, see whether a proxy in between changes requests.",
            None,
        ),
        45002 => (
            "消息内容过长。",
            "The content is too long.",
            "请发送方缩短内容（文本和 Markdown 最多 2048 字节），或发送时允许截断。",
            "The sender has to shorten it (text and Markdown have at most 2048 bytes) or allow that it is cut.",
            None,
        ),
        45007 => (
            "语音超过 60 秒。",
            "The voice message is longer than 60 seconds.",
            "请发送方缩短语音，或作为文件发送。",
            "The sender has to shorten it or send it as a file.",
            None,
        ),
        45008 => (
            "图文消息的文章数量不正确。",
            "The number of articles is wrong.",
            "一条图文消息有 1 到 8 篇文章，请发送方拆分。",
            "News has 1 to 8 articles; the sender has to split it.",
            None,
        ),
        46004 => (
            "成员不存在，或不在应用的可见范围内。",
            "The member does not exist or is not in the visible range.",
            "若该成员在职，请在「应用管理 → 应用 → 可见范围」加入该成员或其部门。",
            "If the person works here, add the member or the department in 「应用管理 → 应用 → 可见范围」.",
            Some(VISIBLE_RANGE_PAGE),
        ),
        60140 => (
            "卡片的 response_code 无效、已使用或已超过 72 小时。",
            "The card's response_code is not valid, was used, or is older than 72 hours.",
            "该卡片不能再更新；如有必要，请另发一条消息。",
            "The card cannot be updated any more; send another message if one is needed.",
            None,
        ),
        81012 | 82001 => (
            "请求中没有收件人。",
            "The request names no recipient.",
            "请发送方填写收件人。",
            "The sender has to name a recipient.",
            None,
        ),
        81013 => (
            "所有收件人都无效，或都不在应用的可见范围内。",
            "Every recipient is invalid or outside the visible range.",
            "在「应用管理 → 应用 → 可见范围」加入这些成员或其部门；已离职的成员收不到消息。",
            "Add these members or their departments in 「应用管理 → 应用 → 可见范围」; somebody who left gets no messages.",
            Some(VISIBLE_RANGE_PAGE),
        ),
        82002 | 82003 => (
            "一次发送的部门或标签超过 100 个。",
            "More than 100 departments or tags in one call.",
            "请发送方拆分。",
            "The sender has to split it.",
            None,
        ),
        85002 => (
            "消息含有企业微信禁止的词语。",
            "The message contains words that WeCom forbids.",
            "请发送方修改内容；原样重发仍会被拒绝。",
            "The sender has to change the content; as it is, it is refused again.",
            None,
        ),
        _ => return None,
    };
    Some(ErrcodeText { zh, en, remedy_zh, remedy_en, console })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_message_send_refuses_has_words() {
        let known = [
            -1, 6000, 40001, 40003, 40004, 40005, 40006, 40007, 40008, 40013, 40014, 40031, 40032, 40033,
            40035, 40039, 40056, 40058, 40063, 40074, 40091, 40094, 40123, 40201, 41001, 41011, 41016, 41033,
            42001, 42014, 42020, 42027, 42051, 42052, 43004, 43009, 43012, 44001, 44004, 45001, 45002, 45007,
            45008, 45009, 45031, 45033, 45034, 46004, 48001, 48002, 48004, 48005, 48006, 50002, 50003, 60011,
            60020, 60021, 60111, 60140, 81012, 81013, 82001, 82002, 82003, 85002, 92000, 301_002, 301_007,
            301_021, 701_008, 2_000_002,
        ];
        for code in known {
            assert!(explain_message_errcode(code).is_some() && explain_errcode(code).is_some(), "{code}");
        }
        assert_eq!(explain_message_errcode(987_654), None);
    }

    #[test]
    fn words_about_a_message_speak_of_nobody_signing_in() {
        let others = (-10..100_000)
            .chain([301_021])
            .filter(|code| explain_message_errcode(*code) != explain_errcode(*code));
        let mut count = 0;
        for code in others {
            let Some(text) = explain_message_errcode(code) else { continue };
            for words in [text.zh, text.remedy_zh, text.en, text.remedy_en] {
                assert!(!words.contains("登录") && !words.contains("sign"), "{code}: {words}");
                assert!(words.ends_with(['。', '.']), "{code}: {words}");
            }
            for page in text.remedy_zh.split('「').skip(1).filter_map(|rest| rest.split('」').next()) {
                assert!(text.remedy_en.contains(page), "{code}: {page}");
            }
            count += 1;
        }
        assert_eq!(count, 7);
    }
}
