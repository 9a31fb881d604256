//! `[[api_clients]]`.

use crate::base::id::ClientId;

/// One `[[api_clients]]` entry.
#[derive(Debug, Clone)]
pub struct ApiClient {
    /// The name with which it authenticates.
    pub id: ClientId,
    /// The SHA-256 of its secret.
    pub secret_sha256: [u8; 32],
    pub scopes: Vec<Scope>,
}

/// A permission of an API client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `messages`: send messages, and see those it sent.
    Messages,
    /// `messages:all`: send to everybody at once (`@all`).
    MessagesAll,
    /// `directory:read`.
    DirectoryRead,
    /// `directory:write`.
    DirectoryWrite,
    /// `sessions`.
    Sessions,
    /// `hook`: the client's secret is a `hook_token`.
    Hook,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 6] = [
        Self::Messages,
        Self::MessagesAll,
        Self::DirectoryRead,
        Self::DirectoryWrite,
        Self::Sessions,
        Self::Hook,
    ];

    /// Returns the name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::MessagesAll => "messages:all",
            Self::DirectoryRead => "directory:read",
            Self::DirectoryWrite => "directory:write",
            Self::Sessions => "sessions",
            Self::Hook => "hook",
        }
    }

    /// Parses a name; `None` if it is unknown.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}
