//! Which file uses which inside a crate.
//!
//! An import counts as one of the file that defines the item, through however many re-exports. A file
//! does not use what it only declares (`mod`) or passes on from the files below it (`pub use`).

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Import, Module, ModulePath};

/// The files that each file uses, named by their modules.
pub(crate) type Uses = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// What a path names.
#[derive(Clone)]
enum Named {
    Module(ModulePath),
    /// An item, by the file that defines it.
    Item(ModulePath),
}

/// Reads what uses what from the modules of a crate.
pub(crate) fn uses(modules: &BTreeMap<ModulePath, Module>) -> Uses {
    let resolver = Resolver { modules };
    let mut uses = Uses::new();
    for (path, module) in modules {
        let used = uses.entry(module.file.clone()).or_default();
        let imports = module.imports.iter();
        let imported = imports.filter_map(|import| resolver.imported(path, module, import));
        let named = module.paths.iter();
        let named = named.filter_map(|name| Some(resolver.file(resolver.resolve(path, name)?)));
        used.extend(imported.chain(named).filter(|file| *file != module.file));
    }
    uses
}

struct Resolver<'a> {
    modules: &'a BTreeMap<ModulePath, Module>,
}

/// Longer chains of re-exports are circles of them.
const MAX_STEPS: u8 = 16;

impl Resolver<'_> {
    fn file(&self, named: Named) -> ModulePath {
        match named {
            Named::Item(file) => file,
            Named::Module(module) => self.modules[&module].file.clone(),
        }
    }

    /// The file that a `use` makes a module use, if any.
    fn imported(&self, path: &ModulePath, module: &Module, import: &Import) -> Option<ModulePath> {
        let named = self.resolve(path, &import.path)?;
        let is_named_below = |name: &&Vec<String>| name[0] == import.name;
        if matches!(named, Named::Module(_)) && module.paths.iter().any(|p| is_named_below(&p)) {
            // What is used of it are the items that those paths name.
            return None;
        }
        let file = self.file(named);
        let passes_on = import.is_public && file.starts_with(path);
        (!passes_on).then_some(file)
    }

    /// What a path names that is written in `module`; `None` for what is not of this crate.
    fn resolve(&self, module: &ModulePath, path: &[String]) -> Option<Named> {
        self.resolve_within(module, path, MAX_STEPS)
    }

    fn resolve_within(&self, module: &ModulePath, path: &[String], steps: u8) -> Option<Named> {
        let steps = steps.checked_sub(1)?;
        let mut from = module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                from.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    from.pop()?;
                    rest = &rest[1..];
                }
            }
            _ => return self.look_up(module, path, steps),
        }
        if rest.is_empty() {
            return Some(Named::Module(from));
        }
        let file = self.modules.get(&from)?.file.clone();
        // A name that cannot be followed, such as one that a macro makes, is the module's own.
        self.look_up(&from, rest, steps).or(Some(Named::Item(file)))
    }

    /// What a path names in a module that does not begin with a keyword.
    fn look_up(&self, module: &ModulePath, path: &[String], steps: u8) -> Option<Named> {
        let steps = steps.checked_sub(1)?;
        let inside = self.modules.get(module)?;
        let (first, rest) = path.split_first()?;
        let below = |named: Named| match named {
            Named::Module(module) if !rest.is_empty() => {
                let file = self.modules[&module].file.clone();
                let found = self.look_up(&module, rest, steps);
                found.or(Some(Named::Item(file)))
            }
            named => Some(named),
        };
        if inside.children.contains(first) {
            let mut child = module.clone();
            child.push(first.clone());
            return below(Named::Module(child));
        }
        if inside.items.contains(first) {
            return Some(Named::Item(inside.file.clone()));
        }
        let brings = |import: &&Import| import.name == *first && import.path != [first.clone()];
        let mut imports = inside.imports.iter().filter(brings);
        if let Some(named) =
            imports.find_map(|import| self.resolve_within(module, &import.path, steps))
        {
            return below(named);
        }
        let mut globs = inside.imports.iter().filter(|import| import.name == "*");
        globs.find_map(
            |glob| match self.resolve_within(module, &glob.path, steps)? {
                Named::Module(other) => self.look_up(&other, path, steps),
                Named::Item(_) => None,
            },
        )
    }
}
