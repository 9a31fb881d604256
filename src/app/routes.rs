//! Every URL of both listeners. Each room lists its own.

use axum::Router;
use axum::routing::{any, get};

use super::App;
use crate::http::{assets, middleware};
use crate::observe::{self, ObserveState};
use crate::sso::verify_file;
use crate::{api, gate, manual, message, oidc, sso};

impl App {
    /// Builds the router with every URL of the public listener.
    pub fn public(&self) -> Router {
        let (sessions, site, refusals) =
            (self.sessions.clone(), self.site.clone(), self.trail.limiter.clone());
        let ordinary = Router::new()
            .merge(sso::routes(self.sso.clone()))
            .merge(gate::denied_page::routes(self.gate.clone(), self.site.clone()))
            .merge(message::links::routes(&self.messages, sessions, site, refusals))
            .merge(oidc::routes(self.keys.clone()))
            .route("/healthz", get(observe::handle_healthz))
            .route("/_gongpai/assets/{*path}", get(assets::serve_asset).with_state(self.pages.clone()))
            .fallback_service(any(verify_file::serve_verify_file).with_state(self.verify_files.clone()));
        let routes = middleware::PublicRoutes {
            ordinary,
            api: api::routes(self.api.clone()),
            uploads: api::upload_routes(self.api.clone()),
            checks: gate::check_routes(self.gate.clone()),
        };
        middleware::build_public_router(routes, self.middleware())
    }

    /// Every URL of the admin listener.
    pub(crate) fn admin(&self, observe: ObserveState) -> Router {
        observe::routes(observe)
            .merge(manual::routes::routes())
            .route("/_gongpai/assets/{*path}", get(assets::serve_asset).with_state(self.pages.clone()))
    }

    fn middleware(&self) -> middleware::MiddlewareParts {
        middleware::MiddlewareParts {
            pages: self.pages.clone(),
            clock: self.clock.clone(),
            time_zone: self.config.time_zone,
            proxies: self.trusted.clone(),
        }
    }
}
