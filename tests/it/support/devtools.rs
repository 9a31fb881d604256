//! Events from Chromium's `DevTools` WebSocket: chromedriver forwards commands, but no events.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::eventually;

/// The URLs whose servers asked a window for a password. Every request was answered without one.
#[derive(Debug)]
pub(crate) struct PasswordRequests(Arc<Mutex<HeardRequests>>);

#[derive(Debug, Default)]
struct HeardRequests {
    listening: bool,
    asked_by: Vec<String>,
}

impl PasswordRequests {
    /// Listens to the window `handle` of the debugger at `127.0.0.1:PORT`, until the window closes.
    pub(super) async fn listen(debugger: &str, handle: &str) -> Self {
        let heard = Arc::new(Mutex::new(HeardRequests::default()));
        let (address, handle, inside) = (debugger.to_owned(), handle.to_owned(), Arc::clone(&heard));
        std::thread::spawn(move || {
            let stream = TcpStream::connect(&address).expect("Chromium listens");
            let url = format!("ws://{address}/devtools/page/{handle}");
            let (mut socket, _) = tungstenite::client(url, stream).expect("a WebSocket");
            send_command(&mut socket, "Fetch.enable", &json!({ "handleAuthRequests": true }));
            while let Ok(message) = socket.read() {
                let Message::Text(text) = message else { continue };
                let event: Value = serde_json::from_str(&text).expect("JSON from Chromium");
                handle_event(&mut socket, &event, &mut inside.lock().expect("a lock"));
            }
        });
        eventually("Chromium reports password requests", async || {
            heard.lock().expect("a lock").listening.then_some(())
        })
        .await;
        Self(heard)
    }

    /// Returns the URLs so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("a lock").asked_by.clone()
    }
}

/// Continues what Chromium has paused, and answers password requests without a password.
fn handle_event(socket: &mut WebSocket<TcpStream>, event: &Value, heard: &mut HeardRequests) {
    let request = &event["params"]["requestId"];
    match event["method"].as_str() {
        Some("Fetch.requestPaused") => {
            send_command(socket, "Fetch.continueRequest", &json!({ "requestId": request }));
        }
        Some("Fetch.authRequired") => {
            heard.asked_by.push(event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned());
            let nothing =
                json!({ "requestId": request, "authChallengeResponse": { "response": "CancelAuth" } });
            send_command(socket, "Fetch.continueWithAuth", &nothing);
        }
        Some(_) => {}
        // The first answer is that of `Fetch.enable`.
        None => heard.listening = true,
    }
}

fn send_command(socket: &mut WebSocket<TcpStream>, method: &str, parameters: &Value) {
    let text = json!({ "id": 1, "method": method, "params": parameters }).to_string();
    // This fails only if the window is gone, which also ends the loop.
    let _sent = socket.send(Message::text(text));
}
