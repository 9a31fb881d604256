//! axe-core, which finds barriers for people with a screen reader, a keyboard or poor sight.
//!
//! It is not in this repository: `tests/run` downloads it and sets `GONGPAI_TEST_AXE` to its path.
//! Without it nothing is checked, and the test says so.

use serde_json::{Value, json};

use super::webdriver::Chromium;

/// The script that `tests/run` has downloaded.
#[derive(Debug, Clone)]
pub(crate) struct Axe(String);

impl Axe {
    /// Reads the script; returns `None` and prints a line if it was not downloaded.
    pub(crate) fn load() -> Option<Self> {
        let Some(path) = std::env::var_os("GONGPAI_TEST_AXE") else {
            eprintln!("axe was not run: GONGPAI_TEST_AXE is not set; ./tests/run fetches it");
            return None;
        };
        let script = std::fs::read_to_string(&path);
        Some(Self(script.unwrap_or_else(|error| panic!("GONGPAI_TEST_AXE={}: {error}", path.display()))))
    }

    /// Returns everything that is wrong with the page, including advice: one line for each rule,
    /// with the elements that break it. Frames of other sites are not checked.
    pub(crate) async fn violations(&self, chromium: &Chromium) -> Vec<String> {
        chromium.script(&self.0, json!([])).await;
        let run = "return axe.run(document, { iframes: false }).then(found => ({ \
                     passed: found.passes.length, \
                     wrong: found.violations.map(v => v.id + ': ' + v.help + ' | ' \
                       + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | ')) }))";
        let found = chromium.script(run, json!([])).await;
        assert!(found["passed"].as_u64().is_some_and(|n| n > 10), "axe did not look: {found}");
        let wrong = found["wrong"].as_array().cloned().unwrap_or_default();
        wrong.iter().map(|line| Value::as_str(line).unwrap_or_default().to_owned()).collect()
    }
}
