//! What a production file of a crate defines, and what it names of its own crate, read from its tokens.
//!
//! A module is a file. Read are the files that `lib.rs` or `main.rs` reach by `mod`, without what only
//! tests and model checks compile; modules that are written inside a file are a part of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, ensure};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The path of a module below its crate's root; empty for the root.
pub(crate) type ModulePath = Vec<String>;

/// A name that a `use` brings into a module.
#[derive(Debug)]
pub(crate) struct Import {
    /// As written: `crate`, `super`, `self`, a child module or another crate comes first.
    pub(crate) path: Vec<String>,
    /// The name in the module; `*` for everything.
    pub(crate) name: String,
    /// `pub`, in whatever scope.
    pub(crate) is_public: bool,
}

/// A module and the names in it.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// The module whose file it is in: itself, unless it is written inside another.
    pub(crate) file: ModulePath,
    pub(crate) children: BTreeSet<String>,
    pub(crate) items: BTreeSet<String>,
    /// Types and traits that other files may name: `pub` in whatever scope, outside of functions.
    pub(crate) public_types: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    /// Paths of two and more names outside of `use`, as written.
    pub(crate) paths: Vec<Vec<String>>,
}

/// The files from which a package's library, binary and further binaries are compiled.
pub(crate) fn roots(folder: &Path) -> Result<Vec<PathBuf>> {
    let source = folder.join("src");
    let mut roots = vec![source.join("lib.rs"), source.join("main.rs")];
    let binaries = source.join("bin");
    if binaries.is_dir() {
        for entry in fs::read_dir(binaries)? {
            let path = entry?.path();
            roots.extend([path.join("main.rs"), path]);
        }
    }
    roots.retain(|root| root.is_file());
    Ok(roots)
}

/// The modules of a crate, from the file of its root.
pub(crate) fn modules(root: &Path) -> Result<BTreeMap<ModulePath, Module>> {
    let mut reader = Reader::default();
    let folder = root.parent().context("a root is in a folder")?;
    reader.file(root, folder, &ModulePath::new())?;
    Ok(reader.modules)
}

#[derive(Default)]
struct Reader {
    modules: BTreeMap<ModulePath, Module>,
}

/// Where the reader is.
struct Place<'a> {
    module: &'a ModulePath,
    file: &'a ModulePath,
    /// The folder of the module's children.
    folder: &'a Path,
}

impl Reader {
    fn file(&mut self, file: &Path, folder: &Path, module: &ModulePath) -> Result<()> {
        let name = file.display();
        let text = fs::read_to_string(file).with_context(|| name.to_string())?;
        let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{name}: {error}"))?;
        let place = Place {
            module,
            file: module,
            folder,
        };
        self.module(tokens, &place)
    }

    fn module(&mut self, tokens: TokenStream, place: &Place<'_>) -> Result<()> {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut module = Module {
            file: place.file.clone(),
            ..Module::default()
        };
        let mut at = 0;
        while at < tokens.len() {
            if let Some(after) = after_test_item(&tokens, at, &[';']) {
                at = after;
                continue;
            }
            match (word(&tokens, at).as_str(), word(&tokens, at + 1)) {
                ("mod", name) if !name.is_empty() => {
                    module.children.insert(name.clone());
                    self.child(&name, tokens.get(at + 2), place)?;
                    at += 3;
                }
                ("macro_rules", _) => {
                    module.items.insert(word(&tokens, at + 2));
                    at += 3;
                }
                (keyword, name) if ITEMS.contains(&keyword) && !name.is_empty() => {
                    if TYPES.contains(&keyword) && is_visibility(&tokens[..at]) {
                        module.public_types.insert(name.clone());
                    }
                    module.items.insert(name);
                    at += 2;
                }
                _ => at = module.token(&tokens, at),
            }
        }
        self.modules.insert(place.module.clone(), module);
        Ok(())
    }

    /// Reads a child module: the body that follows its name, or its file.
    fn child(&mut self, name: &str, body: Option<&TokenTree>, place: &Place<'_>) -> Result<()> {
        let mut module = place.module.clone();
        module.push(name.to_owned());
        let folder = place.folder.join(name);
        if let Some(TokenTree::Group(body)) = body {
            let place = Place {
                module: &module,
                file: place.file,
                folder: &folder,
            };
            return self.module(body.stream(), &place);
        }
        let files: [PathBuf; 2] = [folder.with_extension("rs"), folder.join("mod.rs")];
        let file = files.iter().find(|file| file.exists());
        let file = file.with_context(|| format!("no file for module {}", module.join("::")))?;
        self.file(file, &folder, &module)
    }
}

const ITEMS: [&str; 8] = [
    "fn", "struct", "enum", "trait", "const", "static", "type", "union",
];

const TYPES: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

impl Module {
    /// Reads what stands at `at`; gives the next position.
    fn token(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        match &tokens[at] {
            TokenTree::Group(group) => self.group(group),
            TokenTree::Ident(word) if word == "use" => {
                let is_public = is_visibility(&tokens[..at]);
                return self.import(tokens, at + 1, &[], is_public);
            }
            TokenTree::Ident(first) if !is_colons(tokens, at.wrapping_sub(2)) => {
                let mut path = vec![first.to_string()];
                let mut next = at + 1;
                while is_colons(tokens, next) && !word(tokens, next + 2).is_empty() {
                    path.push(word(tokens, next + 2));
                    next += 3;
                }
                if path.len() > 1 {
                    self.paths.push(path);
                }
                return next;
            }
            _ => {}
        }
        at + 1
    }

    fn group(&mut self, group: &Group) {
        let tokens: Vec<_> = group.stream().into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let after = after_test_item(&tokens, at, &[';', ',']);
            at = after.unwrap_or_else(|| self.token(&tokens, at));
        }
    }

    /// Reads one tree of a `use`; gives the position after it.
    fn import(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        prefix: &[String],
        is_public: bool,
    ) -> usize {
        let mut path = prefix.to_vec();
        loop {
            match tokens.get(at) {
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    let mut next = 0;
                    while next < inner.len() {
                        // Over the comma.
                        next = self.import(&inner, next, &path, is_public) + 1;
                    }
                    return at + 1;
                }
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                    self.bring(path, "*".to_owned(), is_public);
                    return at + 1;
                }
                Some(TokenTree::Ident(part)) => path.push(part.to_string()),
                // `::other_crate`, and what is no `use` of ours, such as `impl Trait + use<'_>`.
                _ => return at + 1,
            }
            at += 1;
            if is_colons(tokens, at) {
                at += 2;
                continue;
            }
            if path.last().is_some_and(|part| part == "self") && path.len() > 1 {
                path.pop();
            }
            let mut name = path.last().cloned().unwrap_or_default();
            if word(tokens, at) == "as" {
                name = word(tokens, at + 1);
                at += 2;
            }
            self.bring(path, name, is_public);
            return at;
        }
    }

    fn bring(&mut self, path: Vec<String>, name: String, is_public: bool) {
        self.imports.push(Import {
            path,
            name,
            is_public,
        });
    }
}

/// The identifier at a position; empty if there is none.
fn word(tokens: &[TokenTree], at: usize) -> String {
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) => word.to_string(),
        _ => String::new(),
    }
}

fn is_punct(tokens: &[TokenTree], at: usize, wanted: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens, at, ':') && is_punct(tokens, at.wrapping_add(1), ':')
}

/// Whether what comes last is `pub` or `pub(…)`.
fn is_visibility(before: &[TokenTree]) -> bool {
    let Some(last) = before.len().checked_sub(1) else {
        return false;
    };
    let scope = matches!(&before[last], TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis);
    word(before, last) == "pub" || (scope && last > 0 && word(before, last - 1) == "pub")
}

/// The position after what only tests or model checks compile, if it begins at `at`. It ends with a
/// block or with one of `ends`.
fn after_test_item(tokens: &[TokenTree], at: usize, ends: &[char]) -> Option<usize> {
    let mut next = at;
    let mut is_for_tests = false;
    while is_punct(tokens, next, '#') {
        let Some(TokenTree::Group(attribute)) = tokens.get(next + 1) else {
            break;
        };
        let text: String = attribute.to_string().split_whitespace().collect();
        is_for_tests |= text.starts_with("[cfg(test")
            || text.starts_with("[cfg(all(test")
            || text == r#"[cfg(feature="shuttle")]"#;
        next += 2;
    }
    if !is_for_tests {
        return None;
    }
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => ends.contains(&punct.as_char()),
        _ => false,
    };
    let length = tokens[next..].iter().position(is_end);
    Some(length.map_or(tokens.len(), |length| next + length + 1))
}

/// Modules from text, for tests of what is made of them.
pub(crate) fn planted(files: &[(&str, &str)]) -> Result<BTreeMap<ModulePath, Module>> {
    let folder = tempfile::tempdir()?;
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().context("a file is in a folder")?)?;
        fs::write(file, text)?;
    }
    ensure!(folder.path().join("lib.rs").exists(), "no root planted");
    modules(&folder.path().join("lib.rs"))
}
