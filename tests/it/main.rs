//! The integration tests: one binary, so that there is one link step and one place that starts things.
//!
//! A test brings up what it needs (a database of its own, the gateway, nginx, a browser) from [`support`] and
//! leaves nothing behind. Which database engine it runs on is decided outside, by `tests/run`.

#[cfg(test)]
mod api;
#[cfg(test)]
mod attempts;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod chromium_pages;
#[cfg(test)]
mod chromium_signing_in;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod redirect_targets;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod running;
#[cfg(test)]
mod signing_in;
#[cfg(test)]
mod snippets;
#[cfg(test)]
mod support;
