//! Reads tags and their holders. If this fails, the fetch goes on and the tags stay as they are.

use std::collections::HashMap;

use super::FetchRun;
use super::convert::{is_valid_userid, keep_valid_userids, own_department_id};
use super::notes::describe_error;
use crate::base::id::UserId;
use crate::base::text::clean_text;
use crate::sync::progress::SyncStep;
use crate::sync::remote::RemoteTag;
use crate::sync::state::SyncKind;
use crate::wecom::{SecretKind, WecomError, wire};

/// An update reads tags only if they are at most this many.
const MAX_TAGS_OF_UPDATE: usize = 200;

impl FetchRun<'_> {
    /// Reads every tag that the application may see; `None` if they were not read.
    pub(super) async fn read_tags(&mut self) -> Option<Vec<RemoteTag>> {
        self.progress.begin(SyncStep::Tags, 1);
        if !self.caller.client().has_secret(SecretKind::App) {
            self.note_tags_unread("they are read with wecom.app_secret, which is not configured.");
            return None;
        }
        let list =
            self.caller.call("tag/list", |client, deadline| async move { client.tags(deadline).await }).await;
        let list = match list {
            Ok(list) => list,
            Err(error) => {
                self.note_tags_unread(&describe_error(&error));
                return None;
            }
        };
        if !list.broken.is_empty() {
            self.note_tags_unread("a record of tag/list cannot be understood.");
            return None;
        }
        let mut names: HashMap<u32, String> = HashMap::new();
        let mut ids = Vec::new();
        for tag in list.items {
            if names.insert(tag.tagid, clean_text(tag.tagname)).is_none() {
                ids.push(tag.tagid);
            }
        }
        if self.kind == SyncKind::Update && ids.len() > MAX_TAGS_OF_UPDATE {
            return None;
        }
        self.progress.begin(SyncStep::Tags, ids.len());
        let (mut tags, mut failed): (Vec<RemoteTag>, Option<(u32, TagFailure)>) = (Vec::new(), None);
        let progress = self.progress;
        self.caller
            .call_each(
                "tag/get",
                ids,
                |client, id, deadline| async move { client.tag(id, deadline).await },
                |id, result| {
                    progress.advance();
                    match result.map_err(TagFailure::Call).and_then(|tag| convert_tag(id, &names, tag)) {
                        Ok(tag) => tags.push(tag),
                        // The tag was deleted since it was listed.
                        Err(TagFailure::Call(error)) if error.code() == Some(40068) => {}
                        Err(failure) => {
                            failed.get_or_insert((id, failure));
                        }
                    }
                },
            )
            .await;
        match failed {
            None => {
                tags.sort_unstable_by_key(|tag| tag.id);
                Some(tags)
            }
            Some((id, failure)) => {
                let why = match failure {
                    TagFailure::Call(error) => describe_error(&error),
                    TagFailure::Nameless => {
                        "a record in it cannot be understood and has no userid.".to_owned()
                    }
                };
                self.note_tags_unread(&format!("of tag {id}, {why}"));
                None
            }
        }
    }

    fn note_tags_unread(&mut self, why: &str) {
        self.notes.add("fetch.tags_unread", format!("Tags were not read and stay as they are: {why}"));
    }
}

/// Why a tag is not known completely.
enum TagFailure {
    Call(WecomError),
    Nameless,
}

fn convert_tag(
    id: u32,
    names: &HashMap<u32, String>,
    tag: wire::TagHolders,
) -> Result<RemoteTag, TagFailure> {
    let listed = names.get(&id).cloned().unwrap_or_default();
    let name = [listed, clean_text(tag.tagname.unwrap_or_default()), id.to_string()];
    let mut users: Vec<UserId> =
        tag.userlist.items.into_iter().map(|user| UserId::new(user.userid)).collect();
    // A tag only needs the userid of a broken record.
    for broken in tag.userlist.broken {
        users.push(UserId::new(broken.filter(|id| is_valid_userid(id)).ok_or(TagFailure::Nameless)?));
    }
    Ok(RemoteTag {
        id,
        name: name.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
        users: keep_valid_userids(users),
        units: tag.partylist.iter().filter_map(own_department_id).collect(),
    })
}
