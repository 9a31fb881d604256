//! Starts the background jobs. Each room offers its own.

use super::reload::CurrentApp;
use super::{App, retention};
use crate::base::job::CurrentPart;
use crate::gate::{self, GateReports};
use crate::supervisor::Supervisor;
use crate::{audit, message, session, sso, sync};

/// Starts every job.
pub(super) fn start_jobs(current: &CurrentApp, reports: GateReports, supervisor: &mut Supervisor) {
    let app = current.load();
    let jobs = [
        session::jobs(&current_part(current, |app| app.sessions.clone())),
        sso::jobs(&current_part(current, |app| app.sso.clone())),
        sync::jobs(&app.sync),
        message::jobs(&app.messages, app.replica.clone()),
        gate::jobs(reports, app.trail.clone(), app.sessions.clone()),
        audit::jobs(&app.trail),
        retention::jobs(current_part(current, App::clone)),
    ];
    jobs.into_iter().flatten().for_each(|job| supervisor.start(job));
}

/// Returns a part of the app that answers requests now, whichever that is.
fn current_part<T>(current: &CurrentApp, part: fn(&App) -> T) -> CurrentPart<T>
where
    T: 'static,
{
    let current = current.clone();
    CurrentPart::new(move || part(&current.load()))
}
