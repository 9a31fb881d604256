//! The shapes of the API ([design: API shapes](crate::design#api-shapes)), one type each.
//!
//! A type here is what a handler reads or answers, and what the OpenAPI document is derived from:
//! so the document and the handler cannot differ. Keys are written in the order of the
//! fields. Words (statuses, kinds, sources) are those of the rooms' own enums, by [`words`].
//!
//! Three shapes are only described here, because other code reads them field by field: a message
//! to be sent ([`message::content`](crate::message::content) names every finding at once), an
//! uploaded file, and the parameters of a query. The contract test sends each of their fields.

pub(crate) mod changes;
pub(crate) mod conflicts;
pub(crate) mod directory;
pub(crate) mod directory_input;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod sessions;
pub(crate) mod sync;
pub(crate) mod words;
