//! The query that an ordinary browser adds to the links of a message when it plays WeCom's own
//! browser ([`SimulatedApp::link_query`]).

use serde_json::Value;

use super::world::SimulatedApp;

/// The characters that end a link.
const LINK_END_CHARS: [char; 8] = ['"', '\'', ')', '>', '<', ' ', '\n', '#'];

/// Returns the content of a message with [`SimulatedApp::link_query`] appended to every link to a
/// trusted domain.
pub(super) fn append_link_query(content: &Value, app: &SimulatedApp) -> Value {
    match content {
        Value::String(text) => Value::String(append_in_text(text, app)),
        Value::Array(list) => list.iter().map(|value| append_link_query(value, app)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), append_link_query(value, app))).collect()
        }
        other => other.clone(),
    }
}

fn append_in_text(text: &str, app: &SimulatedApp) -> String {
    let mut opened = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("http") {
        let (before, from) = rest.split_at(at);
        opened.push_str(before);
        let (link, after) = from.split_at(from.find(LINK_END_CHARS).unwrap_or(from.len()));
        opened.push_str(link);
        if is_trusted_link(link, app) {
            opened.push(if link.contains('?') { '&' } else { '?' });
            opened.push_str(&app.link_query);
        }
        rest = after;
    }
    opened + rest
}

fn is_trusted_link(link: &str, app: &SimulatedApp) -> bool {
    let authority = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
    let authority = authority.and_then(|rest| rest.split(['/', '?']).next());
    authority.is_some_and(|host| app.trusted_domains.iter().any(|domain| domain == host))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::World;

    #[test]
    fn only_links_to_trusted_domains_say_that_the_phone_opens_them() {
        let mut app = World::default().app;
        app.trusted_domains = vec!["127.0.0.1:2".to_owned()];
        app.link_query = "entrance=app".to_owned();
        let content = json!({"url": "http://127.0.0.1:2/m/1", "list": ["[x](http://127.0.0.1:2/?a=1#b) https://example.com/"],
                             "content": "见 <a href=\"http://127.0.0.1:2/m/2\">这里</a>", "n": 1});
        assert_eq!(
            append_link_query(&content, &app),
            json!({"url": "http://127.0.0.1:2/m/1?entrance=app",
                   "list": ["[x](http://127.0.0.1:2/?a=1&entrance=app#b) https://example.com/"],
                   "content": "见 <a href=\"http://127.0.0.1:2/m/2?entrance=app\">这里</a>", "n": 1})
        );
    }
}
