//! Answers of WeCom that were lost, came late, or came to somebody else.
