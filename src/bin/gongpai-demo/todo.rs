//! The messages of the sample application: it stores a todo and tells its recipient.
//!
//! That takes one call of the gateway's API. The gateway makes the link open signed in, and for the
//! recipient only.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// A todo is sent with an idempotency key, so a call that timed out can be repeated safely.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The client id in `[[api_clients]]`.
const API_CLIENT_ID: &str = "expenses";

/// The todos of all members, in memory. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Todos {
    /// Userid and name of every member who can receive a todo.
    members: Arc<[(String, String)]>,
    kept: Arc<Mutex<Vec<Todo>>>,
    api: Arc<MessagesApiClient>,
}

/// A task that one member assigns to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Todo {
    /// Counts from 1.
    pub(crate) id: usize,
    /// The userid of the recipient.
    pub(crate) to: String,
    /// The name of the member who assigned it.
    pub(crate) from: String,
    pub(crate) title: String,
    pub(crate) done: bool,
}

#[derive(Debug, Clone)]
struct MessagesApiClient {
    client: reqwest::Client,
    gateway: String,
    public_url: String,
    secret: String,
}

impl Todos {
    /// Creates an empty list. `secret` is the secret of the API client.
    pub(crate) fn new(
        public_url: &str,
        members: Vec<(String, String)>,
        secret: String,
    ) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build()?;
        let public_url = public_url.to_owned();
        let api = MessagesApiClient { client, gateway: String::new(), public_url, secret };
        Ok(Self { members: members.into(), kept: Arc::default(), api: Arc::new(api) })
    }

    /// Sets the address of the gateway, `ADDRESS:PORT`, which is known only after it has started.
    pub(crate) fn with_gateway(mut self, gateway: &str) -> Self {
        self.api = Arc::new(MessagesApiClient {
            gateway: gateway.to_owned(),
            ..MessagesApiClient::clone(&self.api)
        });
        self
    }

    pub(crate) fn members(&self) -> &[(String, String)] {
        &self.members
    }

    /// Returns the todos of `userid`, newest first.
    pub(crate) fn addressed_to(&self, userid: &str) -> Vec<Todo> {
        self.kept.lock().iter().rev().filter(|todo| todo.to == userid).cloned().collect()
    }

    /// Returns a todo if it belongs to `userid`.
    pub(crate) fn find(&self, id: usize, userid: &str) -> Option<Todo> {
        self.kept.lock().iter().find(|todo| todo.id == id && todo.to == userid).cloned()
    }

    /// Marks a todo as done if it belongs to `userid`.
    pub(crate) fn complete(&self, id: usize, userid: &str) {
        if let Some(todo) = self.kept.lock().iter_mut().find(|todo| todo.id == id && todo.to == userid) {
            todo.done = true;
        }
    }

    /// Stores a todo and sends a message about it.
    ///
    /// # Errors
    /// If nobody has that userid, or the gateway does not accept the message.
    pub(crate) async fn add(&self, from: &str, to: &str, title: &str) -> anyhow::Result<Todo> {
        if !self.members.iter().any(|(userid, _)| userid == to) {
            bail!("没有这个成员 · there is no such member");
        }
        let todo = {
            let mut kept = self.kept.lock();
            let (to, from, title) = (to.to_owned(), from.to_owned(), title.to_owned());
            let todo = Todo { id: kept.len() + 1, to, from, title, done: false };
            kept.push(todo.clone());
            todo
        };
        self.api.send(&todo).await?;
        Ok(todo)
    }
}

impl MessagesApiClient {
    /// Sends a card with a link to the todo (`POST /api/v1/messages`).
    async fn send(&self, todo: &Todo) -> anyhow::Result<()> {
        let message = json!({
            "to": {"users": [todo.to]},
            "kind": "textcard",
            "content": {
                "title": format!("待办：{}", todo.title),
                "description": format!("{} 请您处理。", todo.from),
                "url": format!("{}/todo/{}", self.public_url, todo.id),
                "btntxt": "去处理",
            },
            "truncate": true,
        });
        let call = self
            .client
            .post(format!("http://{}/api/v1/messages", self.gateway))
            .basic_auth(API_CLIENT_ID, Some(&self.secret))
            // The gateway sends a repeated key once.
            .header("Idempotency-Key", format!("todo-{}", todo.id))
            .json(&message);
        let answer = call.send().await.context("网关没有应答 · the gateway does not answer")?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let problem: Value = answer.json().await.context("网关的应答无法读取 · its answer cannot be read")?;
        bail!("{status}: {}", problem.get("detail").and_then(Value::as_str).unwrap_or("no details"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn todos() -> Todos {
        let members = vec![("lisi".to_owned(), "李四".to_owned())];
        // Nothing listens at that address.
        Todos::new("http://127.0.0.1:2", members, "secret".to_owned()).unwrap().with_gateway("127.0.0.1:1")
    }

    #[tokio::test]
    async fn a_todo_is_its_addressees_only_and_stays_although_it_could_not_be_told() {
        let todos = todos();
        assert!(todos.add("张三", "nobody", "x").await.is_err());
        assert!(todos.add("张三", "lisi", "请审批").await.is_err());
        assert_eq!(todos.addressed_to("lisi").len(), 1);
        assert_eq!(todos.find(1, "zhangsan"), None);
        todos.complete(1, "zhangsan");
        assert!(!todos.find(1, "lisi").unwrap().done);
        todos.complete(1, "lisi");
        assert!(todos.find(1, "lisi").unwrap().done);
    }
}
