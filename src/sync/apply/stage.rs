//! One short transaction: rows of the next version, which nobody sees yet.

use std::collections::{HashMap, HashSet};

use sqlx::AnyConnection;

use super::report::{self, Lines, Tally};
use super::store::{self, Now};
use super::work::{HandOver, Outcome, Renamed, Work};
use super::{ApplyError, How, Target, count};
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, TagId, UnitId, UserId};
use crate::db::feed::{self, Entity, What};
use crate::directory::{Person, Source, Status, Tag, Unit};
use crate::sync::plan::{self, Merged, PersonChange, TagChange, UnitChange};

/// What all transactions of a run share.
pub(super) struct Stage<'a> {
    target: &'a Target<'a>,
    how: &'a How<'a>,
    /// The version that is published, and that the rows follow.
    pub(super) published: i64,
    /// The batch of the change feed; `None`: nothing is written.
    pub(super) batch: Option<i64>,
    units: HashMap<UnitId, Unit>,
    tags: HashMap<TagId, Tag>,
    /// Who is to have which userid, by id.
    moving: Vec<(PersonId, UserId)>,
}

/// What becomes of a change of a person.
enum Act<'a> {
    /// A row for an id that has none.
    Insert(&'a Person),
    /// What WeCom says of an id.
    Merge(PersonId, &'a Person),
    /// The id has left.
    Leave(&'a PersonId),
}

impl<'a> Stage<'a> {
    /// Reads what the transactions share. `empty`: there is nothing to write.
    pub(super) async fn begin(
        target: &'a Target<'a>,
        how: &'a How<'a>,
        moving: Vec<(PersonId, UserId)>,
        empty: bool,
    ) -> Result<Self, ApplyError> {
        let chart = crate::directory::store::chart(target.db, target.corp).await?;
        let batch = if how.dry_run || empty { None } else { Some(feed::new_batch(target.db).await?) };
        let units: HashMap<UnitId, Unit> =
            chart.units().map(|placed| (placed.unit.id.clone(), placed.unit.clone())).collect();
        Ok(Self {
            target,
            how,
            published: chart.version(),
            batch,
            tags: chart.tags().map(|tag| (tag.id.clone(), tag.clone())).collect(),
            units,
            moving,
        })
    }

    /// The version that the rows are of.
    pub(super) const fn next(&self) -> i64 {
        self.published + 1
    }

    /// Writes one chunk, or none of it. `staged`: how many entries of the change feed were written before.
    pub(super) async fn write(&self, work: &Work, staged: i64, room: usize) -> Result<Outcome, ApplyError> {
        let mut outcome = Outcome { lines: Lines::with_room(room), ..Outcome::default() };
        let Some(batch) = self.batch else {
            let mut connection = self.target.db.pool().acquire().await?;
            self.stage(&mut connection, work, &mut outcome).await?;
            return Ok(outcome);
        };
        let mut tx = super::begin(self.target).await?;
        self.stage(&mut tx, work, &mut outcome).await?;
        store::insert_changes(&mut tx, self.target.corp, batch, staged, &outcome.noted).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn stage(&self, tx: &mut AnyConnection, work: &Work, out: &mut Outcome) -> Result<(), ApplyError> {
        match work {
            Work::Units(list) => self.units(tx, list, out).await,
            Work::Tags(list) => self.tags(tx, list, out).await,
            Work::Persons(list) => self.persons(tx, list, out).await,
        }
    }

    const fn writes(&self) -> bool {
        self.batch.is_some()
    }

    async fn units(
        &self,
        tx: &mut AnyConnection,
        changes: &[UnitChange],
        out: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let (mut close, mut rows) = (Vec::new(), Vec::new());
        for change in changes {
            let (id, what) = match change {
                UnitChange::Create(unit) => {
                    out.counts.units.created += 1;
                    out.lines.add(|| format!("created unit {}", report::unit(unit)));
                    rows.push(unit);
                    (&unit.id, What::Created)
                }
                UnitChange::Update(unit) => {
                    out.counts.units.updated += 1;
                    out.lines.add(|| {
                        let fields = self.units.get(&unit.id).map(|old| report::unit_fields(old, unit));
                        format!("changed unit {}: {}", report::unit(unit), fields.unwrap_or_default())
                    });
                    rows.push(unit);
                    (&unit.id, What::Updated)
                }
                UnitChange::Remove(id) => {
                    out.counts.units.removed += 1;
                    out.lines.add(|| {
                        let name = self.units.get(id).map_or_else(|| id.to_string(), report::unit);
                        format!("removed unit {name}")
                    });
                    (id, What::Removed)
                }
            };
            close.push(id.as_str());
            out.noted.push((Entity::Unit, id.to_string(), what));
        }
        if self.writes() {
            store::close(tx, Entity::Unit, self.next(), &close).await?;
            store::insert_units(tx, self.target.corp, self.next(), &rows, self.now()).await?;
        }
        Ok(())
    }

    async fn tags(
        &self,
        tx: &mut AnyConnection,
        changes: &[TagChange],
        out: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let (mut close, mut rows) = (Vec::new(), Vec::new());
        for change in changes {
            let (id, what) = match change {
                TagChange::Create(tag) => {
                    out.tags.created += 1;
                    out.lines.add(|| format!("created tag {}", report::tag(tag)));
                    rows.push(tag);
                    (&tag.id, What::Created)
                }
                TagChange::Update(tag) => {
                    out.tags.updated += 1;
                    out.lines.add(|| {
                        let fields = self.tags.get(&tag.id).map(|old| report::tag_fields(old, tag));
                        format!("changed tag {}: {}", report::tag(tag), fields.unwrap_or_default())
                    });
                    rows.push(tag);
                    (&tag.id, What::Updated)
                }
                TagChange::Remove(id) => {
                    out.tags.removed += 1;
                    out.lines.add(|| {
                        let name = self.tags.get(id).map_or_else(|| id.to_string(), report::tag);
                        format!("removed tag {name}")
                    });
                    (id, What::Removed)
                }
            };
            close.push(id.as_str());
            out.noted.push((Entity::Tag, id.to_string(), what));
        }
        if self.writes() {
            store::close(tx, Entity::Tag, self.next(), &close).await?;
            store::insert_tags(tx, self.target.corp, self.next(), &rows, self.now()).await?;
        }
        Ok(())
    }

    async fn persons(
        &self,
        tx: &mut AnyConnection,
        changes: &[PersonChange],
        out: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let acts = self.identify(tx, changes, out).await?;
        let mut ids: Vec<&PersonId> = acts
            .iter()
            .filter_map(|act| match act {
                Act::Insert(_) => None,
                Act::Merge(id, _) => Some(id),
                Act::Leave(id) => Some(*id),
            })
            .collect();
        ids.sort();
        if self.writes() && self.target.db.engine() == "postgresql" {
            // A sign-in of one of them waits, or is waited for. SQLite has one writer at a time anyhow.
            store::lock(tx, &ids).await?;
        }
        let now = store::rows_now(tx, &ids).await?;
        let mut rows = Rows::default();
        for act in &acts {
            match act {
                Act::Insert(person) => insert(person, person.id.clone(), &mut rows, out),
                Act::Merge(id, said) => match now.get(id) {
                    Some(now) => self.merge(id, said, now, &mut rows, out),
                    // Its identity is there, but nothing is known of it: a crash left it.
                    None if out.known_as.iter().any(|(_, known)| known == id) => {
                        insert(said, id.clone(), &mut rows, out);
                    }
                    None => out.skip_person(id, said.userid.as_str(), "is gone since the plan was made"),
                },
                Act::Leave(id) => match now.get(id) {
                    Some(now) => self.leave(id, now, &mut rows, out),
                    None => out.skip_person(id, "", "is gone since the plan was made"),
                },
            }
        }
        out.kept_out += count(rows.insert.iter().filter(|person| person.status != Status::Active).count());
        if self.writes() {
            store::close(tx, Entity::Person, self.next(), &rows.close).await?;
            store::insert_persons(tx, self.target.corp, self.next(), &rows.insert, self.now()).await?;
            store::set_said(tx, &rows.said).await?;
        }
        Ok(())
    }

    /// Finds or makes the identity of everybody new. Where the userid has a holder already — somebody signed in since
    /// the plan was made, or a crash left it — the change goes on as one of that person.
    async fn identify<'c>(
        &self,
        tx: &mut AnyConnection,
        changes: &'c [PersonChange],
        out: &mut Outcome,
    ) -> Result<Vec<Act<'c>>, ApplyError> {
        let creates: Vec<(&Person, Option<&PersonId>)> = changes
            .iter()
            .filter_map(|change| match change {
                PersonChange::Create { person, takes_over } => Some((person, takes_over.as_ref())),
                PersonChange::Update { .. } | PersonChange::Leave { .. } => None,
            })
            .collect();
        let made = self.make(tx, &creates).await?;
        let held: Vec<&UserId> = creates
            .iter()
            .filter(|(person, _)| !made.contains(person.id.as_str()))
            .map(|(person, _)| &person.userid)
            .collect();
        let holders = store::holders(tx, self.target.corp, &held).await?;
        let mut waiting = Vec::new();
        let mut acts = Vec::with_capacity(changes.len());
        for change in changes {
            let (person, left) = match change {
                PersonChange::Create { person, takes_over } => (person, takes_over.as_ref()),
                PersonChange::Update { id, said } => {
                    acts.push(Act::Merge(id.clone(), said));
                    continue;
                }
                PersonChange::Leave { id } => {
                    acts.push(Act::Leave(id));
                    continue;
                }
            };
            if made.contains(person.id.as_str()) {
                acts.push(Act::Insert(person));
                continue;
            }
            match holders.get(&person.userid.folded()) {
                Some(holder) if left == Some(holder) || self.gives_up(holder, &person.userid) => {
                    waiting.push(person);
                    out.handed_over.push(HandOver {
                        from: holder.clone(),
                        to: person.id.clone(),
                        userid: person.userid.clone(),
                        left: left == Some(holder),
                    });
                    acts.push(Act::Insert(person));
                }
                Some(holder) => {
                    out.known_as.push((person.id.clone(), holder.clone()));
                    acts.push(Act::Merge(holder.clone(), person));
                }
                None if !self.writes() => acts.push(Act::Insert(person)),
                None => out.skip_person(&person.id, person.userid.as_str(), "its id exists already"),
            }
        }
        if self.writes() {
            let (corp, checked_at, now) = (self.target.corp, self.checked_at(), self.now());
            store::insert_identities(tx, corp, &waiting, checked_at, now, Some(now)).await?;
        }
        Ok(acts)
    }

    /// Makes identities for those of `creates` whose userid nobody has; answers their ids.
    async fn make(
        &self,
        tx: &mut AnyConnection,
        creates: &[(&Person, Option<&PersonId>)],
    ) -> Result<HashSet<String>, ApplyError> {
        if !self.writes() {
            return Ok(HashSet::new());
        }
        let corp = self.target.corp;
        let free: Vec<&Person> = creates.iter().map(|(person, _)| *person).collect();
        Ok(store::insert_identities(tx, corp, &free, self.checked_at(), self.now(), None).await?)
    }

    /// Whether the plan gives `holder` another userid than this.
    fn gives_up(&self, holder: &PersonId, userid: &UserId) -> bool {
        let found = self.moving.binary_search_by(|(id, _)| id.cmp(holder));
        let to = found.ok().and_then(|at| self.moving.get(at));
        to.is_some_and(|(_, to)| to.folded() != userid.folded())
    }

    fn merge<'c>(&self, id: &PersonId, said: &Person, now: &'c Now, rows: &mut Rows<'c>, out: &mut Outcome) {
        let userid = said.userid.as_str();
        let old = match &now.person {
            Ok(_) if now.released => {
                return out.skip_person(id, userid, "was merged into another person since the plan was made");
            }
            Ok(old) => old,
            Err(error) => return out.skip_person(id, userid, format!("its row cannot be read: {error}")),
        };
        let said = Person { id: id.clone(), ..said.clone() };
        let mut merged = plan::merge(said, old);
        if self.was_seen_later(now, old) && merged.person.status != old.status {
            out.seen_later += 1;
            merged.person.status = old.status;
            merged.person.left_at = old.left_at;
            merged.person.said.clone_from(&old.said);
            merged.changed = merged.person != *old;
            // The row is not what the fingerprint says.
            merged.person.said = String::new();
        }
        put(merged, old, now, rows, out);
    }

    fn leave<'c>(&self, id: &PersonId, now: &'c Now, rows: &mut Rows<'c>, out: &mut Outcome) {
        let old = match &now.person {
            Ok(_) if now.released => return,
            Ok(old) => old,
            Err(error) => return out.skip_person(id, "", format!("its row cannot be read: {error}")),
        };
        if self.was_seen_later(now, old) && old.status == Status::Active {
            out.seen_later += 1;
            return;
        }
        put(plan::leave(old, self.now()), old, now, rows, out);
    }

    /// Whether WeCom was asked for the person itself after this run began to read lists.
    fn was_seen_later(&self, now: &Now, old: &Person) -> bool {
        old.source == Source::Wecom && now.checked_at > self.how.began
    }

    /// Until when what WeCom says of somebody new holds: only a run that read everything confirms a status.
    fn checked_at(&self) -> Timestamp {
        self.how.complete_details_at.unwrap_or(Timestamp::from_millis(0))
    }

    fn now(&self) -> Timestamp {
        self.target.clock.now()
    }
}

/// What a chunk of persons writes.
#[derive(Default)]
struct Rows<'a> {
    close: Vec<&'a str>,
    insert: Vec<Person>,
    said: Vec<(&'a str, String)>,
}

fn insert(person: &Person, id: PersonId, rows: &mut Rows<'_>, out: &mut Outcome) {
    out.counts.persons.created += 1;
    out.counts.memberships.created += count(person.memberships.len());
    out.lines.add(|| format!("created person {}", report::person(person)));
    out.noted.push((Entity::Person, id.to_string(), What::Created));
    rows.insert.push(Person { id, ..person.clone() });
}

fn put<'c>(merged: Merged, old: &'c Person, now: &Now, rows: &mut Rows<'c>, out: &mut Outcome) {
    let Merged { person, changed, memberships } = merged;
    if !changed {
        if person.said != old.said {
            rows.said.push((old.id.as_str(), person.said));
        }
        return;
    }
    let (created, updated, removed) = memberships;
    out.counts.memberships.add(Tally {
        created: count(created),
        updated: count(updated),
        removed: count(removed),
    });
    if report::leaves(old, &person) {
        out.counts.persons.removed += 1;
        out.lines.add(|| format!("left: person {}", report::person(old)));
    } else {
        out.counts.persons.updated += 1;
        out.lines.add(|| {
            format!("changed person {}: {}", report::person(old), report::person_fields(old, &person))
        });
    }
    if now.userid != person.userid {
        out.renamed.push(Renamed {
            id: person.id.clone(),
            from: now.userid.clone(),
            to: person.userid.clone(),
        });
    }
    out.noted.push((Entity::Person, person.id.to_string(), What::Updated));
    rows.close.push(old.id.as_str());
    rows.insert.push(person);
}
