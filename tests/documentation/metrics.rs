//! The metrics that there are, read from the code that registers them.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use crate::rust_files;

/// The methods of the registry and of a collector's encoder whose first argument is the name of a
/// metric.
const REGISTERING_METHODS: [&str; 3] = ["register", "register_with_unit", "encode_descriptor"];

/// What the exposition adds to the name of a counter or a histogram.
const SUFFIXES: [&str; 5] = ["", "_total", "_bucket", "_sum", "_count"];

/// A name as `/metrics` shows it, without what the exposition adds: `gongpai_gate_checks`.
pub(crate) fn list_metrics() -> BTreeSet<String> {
    let mut found = Found::default();
    for path in rust_files() {
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable code");
        if REGISTERING_METHODS.iter().any(|method| text.contains(&format!(".{method}("))) {
            found.visit_file(
                &syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            );
        }
    }
    assert!(found.names.len() > 20, "the code registers more metrics than {:?}", found.names);
    found.names
}

/// The metric that `written` names, if there is one.
pub(crate) fn find_metric<'a>(metrics: &'a BTreeSet<String>, written: &str) -> Option<&'a String> {
    SUFFIXES.iter().find_map(|suffix| metrics.get(written.strip_suffix(suffix)?))
}

#[derive(Default)]
struct Found {
    names: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Found {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        visit::visit_expr_method_call(self, call);
        if !REGISTERING_METHODS.iter().any(|method| call.method == method) {
            return;
        }
        let Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(name), .. })) = call.args.first() else {
            return;
        };
        let unit = call.args.iter().find_map(unit).map(|unit| format!("_{unit}")).unwrap_or_default();
        self.names.insert(format!("gongpai_{}{unit}", name.value()));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }
}

/// `Unit::Seconds`, alone or in `Some(&…)`.
fn unit(argument: &syn::Expr) -> Option<String> {
    match argument {
        syn::Expr::Path(path) => {
            let mut parts = path.path.segments.iter().rev();
            let name = parts.next()?.ident.to_string();
            (parts.next()?.ident == "Unit").then(|| name.to_lowercase())
        }
        syn::Expr::Call(call) => call.args.first().and_then(unit),
        syn::Expr::Reference(reference) => unit(&reference.expr),
        _ => None,
    }
}
