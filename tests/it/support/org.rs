//! The directory's API as an application uses it, with waiting for runs.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::app::{API_SECRET, TestApp};
use super::browser::{Browser, BrowserRequest};

/// How long a run in a test may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

impl TestApp {
    /// Calls the API as client `oa`; returns the status and the JSON, null if there is none.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let credentials = STANDARD.encode(format!("oa:{API_SECRET}"));
        let mut ask = BrowserRequest::bare(method, &format!("http://{}/api/v1{path}", self.address))
            .header("accept", "application/json")
            .header("authorization", &format!("Basic {credentials}"));
        if let Some(body) = body {
            ask = ask.header("content-type", "application/json").body(body.to_string().into_bytes());
        }
        let page = Browser::new("an application").send(ask).await;
        (page.status.as_u16(), serde_json::from_str(&page.text()).unwrap_or(Value::Null))
    }

    /// Returns the JSON of a GET that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.api(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Reads every item of a list.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let page = self.get(&format!("{path}?limit=1000")).await;
        assert!(page["next_cursor"].is_null(), "{path} has more than a page");
        page["items"].as_array().expect("items").clone()
    }

    /// Makes a full run and returns it once it is over, whatever its end.
    pub(crate) async fn sync(&self) -> Value {
        self.sync_with(json!({})).await
    }

    /// Requests a run with this body and returns it once it is over.
    pub(crate) async fn sync_with(&self, body: Value) -> Value {
        let (status, answer) = self.api(Method::POST, "/directory/sync", Some(&body)).await;
        assert_eq!(status, 202, "{answer}");
        let id = answer["run_id"].as_str().expect("a run").to_owned();
        let give_up = std::time::Instant::now() + RUN_TIMEOUT;
        loop {
            let run = self.get(&format!("/directory/sync/{id}")).await;
            if !matches!(run["status"].as_str(), Some("queued" | "running")) {
                self.app.sessions.refresh().await.expect("the database answers");
                return run;
            }
            assert!(std::time::Instant::now() < give_up, "the run does not end: {run}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes a full run that must be done and complete.
    pub(crate) async fn sync_fully(&self) -> Value {
        let run = self.sync().await;
        assert_eq!((&run["status"], &run["complete"]), (&json!("done"), &json!(true)), "{run:#}");
        run
    }

    /// Returns the person who has that userid.
    pub(crate) async fn person(&self, userid: &str) -> Value {
        let mut found = self.get(&format!("/directory/persons?userid={userid}")).await;
        found["items"].as_array_mut().and_then(Vec::pop).unwrap_or(Value::Null)
    }

    /// Returns the unit of that path.
    pub(crate) async fn unit(&self, path: &str) -> Value {
        self.list("/directory/units").await.into_iter().find(|u| u["path"] == path).unwrap_or(Value::Null)
    }
}
