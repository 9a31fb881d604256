//! Tags, and who has them. A failure here is never one of the fetch: the tags stay as they are.

use std::collections::HashMap;

use super::Run;
use super::convert::{clean, is_userid, own, userids};
use super::notes::because;
use super::progress::Phase;
use crate::base::id::UserId;
use crate::sync::remote::{Kind, RemoteTag};
use crate::wecom::{Error, SecretKind, wire};

/// An update reads tags only where they are few.
const OF_AN_UPDATE: usize = 200;

impl Run<'_> {
    /// Every tag that the application may see; `None`: not read.
    pub(super) async fn tags(&mut self) -> Option<Vec<RemoteTag>> {
        self.progress.begin(Phase::Tags, 1);
        if !self.caller.client().has(SecretKind::App) {
            self.unread("they are read with wecom.app_secret, which is not configured.");
            return None;
        }
        let list =
            self.caller.one("tag/list", |client, deadline| async move { client.tags(deadline).await }).await;
        let list = match list {
            Ok(list) => list,
            Err(error) => {
                self.unread(&because(&error));
                return None;
            }
        };
        if !list.broken.is_empty() {
            self.unread("a record of tag/list cannot be understood.");
            return None;
        }
        let mut names: HashMap<u32, String> = HashMap::new();
        let mut ids = Vec::new();
        for tag in list.items {
            if names.insert(tag.tagid, clean(&tag.tagname)).is_none() {
                ids.push(tag.tagid);
            }
        }
        if self.kind == Kind::Update && ids.len() > OF_AN_UPDATE {
            return None;
        }
        self.progress.begin(Phase::Tags, ids.len());
        let (mut tags, mut failed): (Vec<RemoteTag>, Option<(u32, Failure)>) = (Vec::new(), None);
        let progress = self.progress;
        self.caller
            .sweep(
                "tag/get",
                ids,
                |client, id, deadline| async move { client.tag(id, deadline).await },
                |id, result| {
                    progress.step();
                    match result.map_err(Failure::Call).and_then(|tag| convert(id, &names, tag)) {
                        Ok(tag) => tags.push(tag),
                        // Deleted since it was listed.
                        Err(Failure::Call(error)) if error.code() == Some(40068) => {}
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
                    Failure::Call(error) => because(&error),
                    Failure::Nameless => "a record in it cannot be understood and has no userid.".to_owned(),
                };
                self.unread(&format!("of tag {id}, {why}"));
                None
            }
        }
    }

    fn unread(&mut self, why: &str) {
        self.notes.add("fetch.tags_unread", format!("Tags were not read and stay as they are: {why}"));
    }
}

/// Why a tag is not known completely.
enum Failure {
    Call(Error),
    Nameless,
}

fn convert(id: u32, names: &HashMap<u32, String>, tag: wire::Tag) -> Result<RemoteTag, Failure> {
    let listed = names.get(&id).cloned().unwrap_or_default();
    let name = [listed, clean(&tag.tagname.unwrap_or_default()), id.to_string()];
    let mut users: Vec<UserId> =
        tag.userlist.items.into_iter().map(|user| UserId::new(user.userid)).collect();
    // Of a broken record the userid is all that a tag needs.
    for broken in tag.userlist.broken {
        users.push(UserId::new(broken.filter(|id| is_userid(id)).ok_or(Failure::Nameless)?));
    }
    Ok(RemoteTag {
        id,
        name: name.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
        users: userids(users),
        units: tag.partylist.iter().filter_map(own).collect(),
    })
}
