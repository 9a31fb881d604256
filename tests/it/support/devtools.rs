//! What Chromium tells nobody but a listener at its `DevTools` WebSocket: chromedriver passes commands on, not events.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::eventually;

/// The addresses whose servers asked one window for a password, answered with nothing.
#[derive(Debug)]
pub(crate) struct PasswordRequests(Arc<Mutex<HeardRequests>>);

#[derive(Debug, Default)]
struct HeardRequests {
    listening: bool,
    asked_by: Vec<String>,
}

impl PasswordRequests {
    /// Listens at the window that `debugger` (`127.0.0.1:PORT`) calls `handle`, until that window closes.
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

    /// Who asked so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("a lock").asked_by.clone()
    }
}

/// What was paused goes on as if nobody listened; whoever asks for a password gets none.
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
    // Fails only where the window has gone, which ends the reading too.
    let _sent = socket.send(Message::text(text));
}
