//! Reads the source files with syn: what each one names, its string literals, its modules and types.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// One file of `src`, as far as the rules look at it.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path from the package root, with `/`.
    pub(crate) name: String,
    /// `gate` for everything in `src/gate`, `main`, `lib`, or `bin/NAME`.
    pub(crate) room: String,
    /// The module path inside its crate, without `crate`.
    pub(crate) module: Vec<String>,
    pub(crate) lines: usize,
    pub(crate) references: Vec<Reference>,
    pub(crate) literals: Vec<Literal>,
    pub(crate) inline_modules: Vec<(String, usize)>,
    pub(crate) items: Vec<Item>,
    /// The enums of `column_enum!` with their words.
    pub(crate) column_enums: Vec<(String, Vec<String>)>,
    /// Texts that something is compared with or searched for.
    pub(crate) compared_texts: Vec<Literal>,
    /// Where a column of a row is read by anything but its name, with whether it is in a test.
    pub(crate) column_positions: Vec<(usize, bool)>,
}

/// A named item outside functions' bodies and traits.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    pub(crate) name: String,
    pub(crate) visibility: Visibility,
    pub(crate) line: usize,
    pub(crate) in_test: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKind {
    Type,
    Function,
    Constant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// `pub`
    Public,
    /// `pub(crate)`, `pub(super)`, `pub(in …)`
    Restricted,
    Private,
}

/// Something of this crate that a file names; the path is absolute, without `crate`.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    pub(crate) in_test: bool,
}

/// A string literal outside attributes.
#[derive(Debug)]
pub(crate) struct Literal {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) in_test: bool,
}

impl Source {
    pub(crate) fn read(name: &str, text: &str) -> Self {
        let parts: Vec<&str> = name.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
        let (room, module): (String, Vec<String>) = match parts.as_slice() {
            ["bin", program, ..] => (format!("bin/{program}"), Vec::new()),
            [root @ ("main" | "lib")] => ((*root).to_owned(), Vec::new()),
            _ => {
                let module = parts.iter().filter(|part| **part != "mod").map(|part| (*part).to_owned());
                (parts[0].to_owned(), module.collect())
            }
        };
        let mut source = Self {
            name: name.to_owned(),
            room,
            module: module.clone(),
            lines: text.lines().count(),
            references: Vec::new(),
            literals: Vec::new(),
            inline_modules: Vec::new(),
            items: Vec::new(),
            column_enums: Vec::new(),
            compared_texts: Vec::new(),
            column_positions: Vec::new(),
        };
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let in_test = source.is_test_file();
        let is_program = source.room == "main" || source.room.starts_with("bin/");
        let mut reader = Reader {
            source: &mut source,
            module,
            in_test,
            is_program,
            text_constants: Vec::new(),
            compared_constants: Vec::new(),
        };
        reader.visit_file(&file);
        reader.resolve_compared_constants();
        source
    }

    pub(crate) fn is_test_file(&self) -> bool {
        self.module.iter().any(|part| part == "tests")
    }
}

/// Methods whose argument a text is compared with or searched for.
const COMPARING_METHODS: &[&str] = &[
    "contains",
    "ends_with",
    "eq",
    "eq_ignore_ascii_case",
    "find",
    "matches",
    "rfind",
    "rsplit_once",
    "split_once",
    "starts_with",
    "strip_prefix",
    "strip_suffix",
];

/// Methods that read a column of a row.
const COLUMN_METHODS: &[&str] = &["try_get", "get"];

/// Collects what a file names, from `use` trees, from paths in code, and from the tokens of macros and attributes.
struct Reader<'a> {
    source: &'a mut Source,
    pub(crate) module: Vec<String>,
    pub(crate) in_test: bool,
    /// In a program `crate` is the program itself, and the library is called by its name.
    is_program: bool,
    /// The constants of the file that are texts, and what is compared with one of the same name.
    text_constants: Vec<(String, String)>,
    compared_constants: Vec<(String, usize, bool)>,
}

impl Reader<'_> {
    /// Notes the path if it leads somewhere in this crate.
    fn refer(&mut self, segments: &[String], span: Span) {
        let Some(first) = segments.first() else { return };
        let mut rest = &segments[1..];
        let mut path = match first.as_str() {
            "crate" if !self.is_program => Vec::new(),
            "gongpai" if self.is_program => Vec::new(),
            "self" if !self.is_program => self.module.clone(),
            "super" if !self.is_program => {
                let mut module = self.module.clone();
                module.pop();
                while rest.first().is_some_and(|part| part == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
                module
            }
            _ => return,
        };
        path.extend(rest.iter().cloned());
        if path.is_empty() && segments.len() == 1 {
            return; // `pub(crate)`, or `super` in a visibility
        }
        if path.first().is_some_and(|part| part == "*") {
            path.clear();
        }
        let reference = Reference { path, line: span.start().line, in_test: self.in_test };
        self.source.references.push(reference);
    }

    fn use_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => {
                // `use a::b::{self}` names `a::b`.
                let inner_self = name.ident == "self" && !prefix.is_empty();
                let path = if inner_self { prefix.to_vec() } else { with(name.ident.to_string()) };
                self.refer(&path, name.ident.span());
            }
            syn::UseTree::Rename(rename) => self.refer(&with(rename.ident.to_string()), rename.ident.span()),
            syn::UseTree::Glob(glob) => self.refer(&with("*".to_owned()), glob.star_token.spans[0]),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(prefix, item)),
        }
    }

    /// Paths and string literals in the tokens of a macro or an attribute, which syn does not parse.
    fn tokens(&mut self, tokens: TokenStream, is_attribute: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream(), is_attribute),
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.token_text(&text.value(), literal.span(), is_attribute);
                    }
                }
                TokenTree::Ident(ident) => {
                    let mut path = vec![ident.to_string()];
                    while let (Some(TokenTree::Punct(a)), Some(TokenTree::Punct(b)), Some(next)) =
                        (tokens.get(at + 1), tokens.get(at + 2), tokens.get(at + 3))
                        && a.as_char() == ':'
                        && b.as_char() == ':'
                    {
                        match next {
                            TokenTree::Ident(part) => path.push(part.to_string()),
                            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                            _ => break,
                        }
                        at += 3;
                    }
                    if path.len() > 1 {
                        self.refer(&path, ident.span());
                    }
                }
                TokenTree::Punct(_) => {}
            }
            at += 1;
        }
    }

    fn token_text(&mut self, text: &str, span: Span, is_attribute: bool) {
        if !is_attribute {
            let line = span.start().line;
            self.source.literals.push(Literal { text: text.to_owned(), line, in_test: self.in_test });
        } else if text.starts_with("crate::") || text.starts_with("super::") {
            // `#[serde(with = "crate::…")]`
            let path: Vec<String> = text.split("::").map(str::to_owned).collect();
            self.refer(&path, span);
        }
    }

    fn compare(&mut self, compared: &syn::Expr) {
        match compared {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => self.compare_text(text),
            syn::Expr::Reference(inner) => self.compare(&inner.expr),
            syn::Expr::Paren(inner) => self.compare(&inner.expr),
            syn::Expr::Group(inner) => self.compare(&inner.expr),
            // `Some("…")`
            syn::Expr::Call(call) => call.args.iter().for_each(|argument| self.compare(argument)),
            syn::Expr::Array(list) => list.elems.iter().for_each(|element| self.compare(element)),
            syn::Expr::Path(constant) => {
                if let Some(name) = constant.path.segments.last() {
                    let line = name.ident.span().start().line;
                    self.compared_constants.push((name.ident.to_string(), line, self.in_test));
                }
            }
            _ => {}
        }
    }

    /// A text that is compared by the name of its constant is compared all the same.
    fn resolve_compared_constants(&mut self) {
        for (name, line, in_test) in std::mem::take(&mut self.compared_constants) {
            let texts = self.text_constants.iter().filter(|(constant, _)| *constant == name);
            let found = texts.map(|(_, text)| Literal { text: text.clone(), line, in_test });
            self.source.compared_texts.extend(found);
        }
    }

    fn compare_text(&mut self, text: &syn::LitStr) {
        let line = text.span().start().line;
        self.source.compared_texts.push(Literal { text: text.value(), line, in_test: self.in_test });
    }

    /// The texts of `matches!`, which syn does not parse.
    fn compare_tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.compare_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        let line = literal.span().start().line;
                        let text = text.value();
                        self.source.compared_texts.push(Literal { text, line, in_test: self.in_test });
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }

    /// The name of an enum of `column_enum!`, and the words after its variants.
    fn note_column_enum(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for window in tokens.windows(3) {
            let [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Group(body)] = window else {
                continue;
            };
            if keyword != "enum" || body.delimiter() != Delimiter::Brace {
                continue;
            }
            let body: Vec<TokenTree> = body.stream().into_iter().collect();
            let words = body.windows(2).filter_map(|pair| match pair {
                [TokenTree::Punct(sign), TokenTree::Literal(word)] if sign.as_char() == '=' => {
                    syn::parse_str::<syn::LitStr>(&word.to_string()).ok().map(|word| word.value())
                }
                _ => None,
            });
            self.source.column_enums.push((name.to_string(), words.collect()));
            let public =
                tokens.iter().any(|token| matches!(token, TokenTree::Ident(ident) if ident == "pub"));
            let visibility = if public { Visibility::Public } else { Visibility::Private };
            let line = name.span().start().line;
            let in_test = self.in_test;
            self.source.items.push(Item {
                kind: ItemKind::Type,
                name: name.to_string(),
                visibility,
                line,
                in_test,
            });
        }
    }

    fn note_item(&mut self, item: &syn::Item) {
        if let syn::Item::Const(constant) = item
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &*constant.expr
        {
            self.text_constants.push((constant.ident.to_string(), text.value()));
        }
        let (kind, ident, visibility) = match item {
            syn::Item::Const(item) => (ItemKind::Constant, &item.ident, &item.vis),
            syn::Item::Static(item) => (ItemKind::Constant, &item.ident, &item.vis),
            syn::Item::Enum(item) => (ItemKind::Type, &item.ident, &item.vis),
            syn::Item::Struct(item) => (ItemKind::Type, &item.ident, &item.vis),
            syn::Item::Trait(item) => (ItemKind::Type, &item.ident, &item.vis),
            syn::Item::Type(item) => (ItemKind::Type, &item.ident, &item.vis),
            syn::Item::Union(item) => (ItemKind::Type, &item.ident, &item.vis),
            syn::Item::Fn(item) => (ItemKind::Function, &item.sig.ident, &item.vis),
            _ => return,
        };
        let visibility = match visibility {
            syn::Visibility::Public(_) => Visibility::Public,
            syn::Visibility::Restricted(_) => Visibility::Restricted,
            syn::Visibility::Inherited => Visibility::Private,
        };
        let (name, line) = (ident.to_string(), ident.span().start().line);
        self.source.items.push(Item { kind, name, visibility, line, in_test: self.in_test });
    }

    fn inside(&mut self, attributes: &[syn::Attribute], visit: impl FnOnce(&mut Self)) {
        let outside = self.in_test;
        self.in_test |= attributes.iter().any(is_test_attribute);
        visit(self);
        self.in_test = outside;
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Enum(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Macro(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Static(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Trait(item) => &item.attrs,
            syn::Item::Type(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => &[],
        };
        self.inside(attributes, |reader| {
            reader.note_item(item);
            visit::visit_item(reader, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.inside(&item.attrs, |reader| visit::visit_impl_item_fn(reader, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        self.source.inline_modules.push((name.clone(), item.ident.span().start().line));
        self.module.push(name);
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.refer(&segments, first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.token_text(&literal.value(), literal.span(), false);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        if COMPARING_METHODS.contains(&method.as_str()) {
            call.args.iter().for_each(|argument| self.compare(argument));
        }
        let is_tuple = |types: &syn::AngleBracketedGenericArguments| {
            let mut types = types.args.iter();
            types.any(|a| matches!(a, syn::GenericArgument::Type(syn::Type::Tuple(t)) if !t.elems.is_empty()))
        };
        if let syn::Expr::Call(query) = innermost_receiver(call)
            && let syn::Expr::Path(function) = &*query.func
            && let Some(last) = function.path.segments.last()
            && last.ident == "query_as"
            && matches!(&last.arguments, syn::PathArguments::AngleBracketed(types) if is_tuple(types))
        {
            self.source.column_positions.push((last.ident.span().start().line, self.in_test));
        }
        if let (true, Some(argument)) = (COLUMN_METHODS.contains(&method.as_str()), call.args.first()) {
            let is_name = matches!(argument, syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(_), .. }));
            let is_number = matches!(argument, syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(_), .. }));
            // `get` is a method of lists and maps as well, but a row's with a number in a store.
            let in_store = self.source.room == "db" || self.source.module.iter().any(|part| part == "store");
            if (method == "try_get" && !is_name) || (method == "get" && is_number && in_store) {
                let line = call.method.span().start().line;
                self.source.column_positions.push((line, self.in_test));
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    /// `let rows: Vec<(String, i64)> = sqlx::query_as(…)` reads columns by their places.
    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Type(typed), Some(value)) = (&local.pat, &local.init) {
            let mut finder = TupleQuery::default();
            finder.visit_type(&typed.ty);
            finder.visit_expr(&value.expr);
            if finder.has_tuple && finder.has_query {
                let line = local.let_token.span.start().line;
                self.source.column_positions.push((line, self.in_test));
            }
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_binary(&mut self, comparison: &'ast syn::ExprBinary) {
        if matches!(comparison.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_)) {
            self.compare(&comparison.left);
            self.compare(&comparison.right);
        }
        visit::visit_expr_binary(self, comparison);
    }

    fn visit_pat(&mut self, pattern: &'ast syn::Pat) {
        if let syn::Pat::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = pattern {
            self.compare_text(text);
        }
        visit::visit_pat(self, pattern);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        match name.as_str() {
            "column_enum" => self.note_column_enum(call.tokens.clone()),
            "matches" => self.compare_tokens(call.tokens.clone()),
            _ => {}
        }
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        match &attribute.meta {
            syn::Meta::List(list) => self.tokens(list.tokens.clone(), true),
            syn::Meta::NameValue(_) | syn::Meta::Path(_) => {}
        }
    }
}

/// Returns what the first method of a chain is called on.
fn innermost_receiver(call: &syn::ExprMethodCall) -> &syn::Expr {
    let mut receiver = &*call.receiver;
    while let syn::Expr::MethodCall(inner) = receiver {
        receiver = &inner.receiver;
    }
    receiver
}

/// Looks for a tuple in a type, and for a query that makes rows in an expression.
#[derive(Default)]
struct TupleQuery {
    has_tuple: bool,
    has_query: bool,
}

impl<'ast> Visit<'ast> for TupleQuery {
    fn visit_type_tuple(&mut self, tuple: &'ast syn::TypeTuple) {
        self.has_tuple |= !tuple.elems.is_empty();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.has_query |= path.segments.last().is_some_and(|segment| segment.ident == "query_as");
        visit::visit_path(self, path);
    }
}

pub(crate) fn is_test_attribute(attribute: &syn::Attribute) -> bool {
    if attribute.path().segments.last().is_some_and(|segment| segment.ident == "test") {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else { return false };
    let condition = list.tokens.to_string().replace(' ', "");
    attribute.path().is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
}
