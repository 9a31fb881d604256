//! What the sample application has to do with messages: it writes a todo down and tells whom it is for.
//!
//! One call of the gateway's API is all of it. That the link opens signed in, and for nobody else, is the gateway's doing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// A todo is sent again under the same key, so it may be asked for again after this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The name in `[[api_clients]]`.
const API_CLIENT_ID: &str = "expenses";

/// Todos of everybody, in memory. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Todos {
    /// Userid and name of everybody who may be chosen.
    members: Arc<[(String, String)]>,
    kept: Arc<Mutex<Vec<Todo>>>,
    api: Arc<MessagesApiClient>,
}

/// Something that somebody is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Todo {
    /// Its number, from 1.
    pub(crate) id: usize,
    /// Whom it is for.
    pub(crate) to: String,
    /// Who asks.
    pub(crate) from: String,
    /// What for.
    pub(crate) title: String,
    /// Whether it was done.
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
    /// None yet, to be told with the API client's `secret`.
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

    /// The same, told to the gateway at `ADDRESS:PORT`.
    pub(crate) fn with_gateway(mut self, gateway: &str) -> Self {
        self.api = Arc::new(MessagesApiClient {
            gateway: gateway.to_owned(),
            ..MessagesApiClient::clone(&self.api)
        });
        self
    }

    /// Userid and name of everybody who may be chosen.
    pub(crate) fn members(&self) -> &[(String, String)] {
        &self.members
    }

    /// What `userid` is asked to do, the newest first.
    pub(crate) fn addressed_to(&self, userid: &str) -> Vec<Todo> {
        self.kept.lock().iter().rev().filter(|todo| todo.to == userid).cloned().collect()
    }

    /// One that is `userid`'s.
    pub(crate) fn find(&self, id: usize, userid: &str) -> Option<Todo> {
        self.kept.lock().iter().find(|todo| todo.id == id && todo.to == userid).cloned()
    }

    /// Marks one that is `userid`'s as done.
    pub(crate) fn complete(&self, id: usize, userid: &str) {
        if let Some(todo) = self.kept.lock().iter_mut().find(|todo| todo.id == id && todo.to == userid) {
            todo.done = true;
        }
    }

    /// Writes a todo down and sends it.
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
    /// `POST /api/v1/messages`: a card whose link is a page of ours.
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
        // Nothing listens there.
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
