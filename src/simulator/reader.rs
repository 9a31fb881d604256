//! A caller that reads the address book, with the part of it that its secret may see.

use super::call::SimulatedRefusal;
use super::index::{VisibleRange, WorldView};
use super::people::{SimulatedDepartment, SimulatedMember};
use super::world::SimulatedApp;

/// The answer to 通讯录同步 that asks for details, since 2022-08-15.
const IDS_ONLY: SimulatedRefusal = SimulatedRefusal(48009, "api forbidden for contact assistant");
pub(super) const OUT_OF_RANGE: SimulatedRefusal =
    SimulatedRefusal(60011, "no privilege to access/modify contact/party/agent");
/// The answer of an API to the wrong kind of secret.
pub(super) const FORBIDDEN: SimulatedRefusal = SimulatedRefusal(48002, "api forbidden");

/// A caller with a valid access token.
#[derive(Debug, Clone, Copy)]
pub(super) enum SimulatedCaller<'w> {
    App(&'w SimulatedApp),
    /// The 通讯录同步 assistant.
    Contacts {
        reads_details: bool,
    },
}

/// A caller with its visible range.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContactReader<'w> {
    pub(super) view: WorldView<'w>,
    pub(super) caller: SimulatedCaller<'w>,
    /// `None` stands for everything.
    range: Option<&'w VisibleRange>,
}

impl<'w> ContactReader<'w> {
    /// Creates a reader.
    ///
    /// # Errors
    /// 40056 for an application that the world does not have.
    pub(super) fn new(view: WorldView<'w>, caller: SimulatedCaller<'w>) -> Result<Self, SimulatedRefusal> {
        let range = match caller {
            SimulatedCaller::App(app) => {
                Some(view.range(app.agent_id).ok_or(SimulatedRefusal(40056, "invalid agentid"))?)
            }
            SimulatedCaller::Contacts { .. } => None,
        };
        Ok(Self { view, caller, range })
    }

    pub(super) fn sees_department(&self, id: i64) -> bool {
        self.range.map_or_else(|| self.view.department(id).is_some(), |r| r.has_department(id))
    }

    pub(super) fn sees_member(&self, member: &SimulatedMember) -> bool {
        self.range.is_none_or(|r| r.has_member(member))
    }

    pub(super) fn sees_userid(&self, userid: &str) -> bool {
        self.view.member(userid).is_some_and(|m| self.sees_member(m))
    }

    /// Checks that the caller may read details.
    ///
    /// # Errors
    /// 48009 for 通讯录同步, unless it kept the right.
    pub(super) fn reads_details(&self) -> Result<(), SimulatedRefusal> {
        match self.caller {
            SimulatedCaller::App(_) | SimulatedCaller::Contacts { reads_details: true } => Ok(()),
            SimulatedCaller::Contacts { reads_details: false } => Err(IDS_ONLY),
        }
    }

    /// Tells whether mobile, mail, avatar and so on are answered: not to applications created since
    /// 2022-06-20.
    pub(super) fn reads_sensitive_fields(&self) -> bool {
        matches!(
            self.caller,
            SimulatedCaller::App(SimulatedApp { legacy_fields: true, .. }) | SimulatedCaller::Contacts { .. }
        )
    }

    /// Returns a department by the text of its id.
    ///
    /// # Errors
    /// 40035 if it is no number, `unknown` if there is none, 60011 if the caller does not see it.
    pub(super) fn department(
        &self,
        id: &str,
        unknown: SimulatedRefusal,
    ) -> Result<&'w SimulatedDepartment, SimulatedRefusal> {
        let id: i64 = id.parse().map_err(|_| SimulatedRefusal(40035, "invalid parameter"))?;
        let department = self.view.department(id).ok_or(unknown)?;
        if self.sees_department(id) { Ok(department) } else { Err(OUT_OF_RANGE) }
    }
}
