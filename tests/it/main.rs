//! The integration tests: one binary, so that there is one link step and one place that starts things.
//!
//! A test brings up what it needs (a database of its own, the gateway, nginx, a browser) from [`support`] and
//! leaves nothing behind. Which database engine it runs on is decided outside, by `tests/run`.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod signing_in;
#[cfg(test)]
mod support;
