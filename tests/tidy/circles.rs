//! No file of a crate imports, directly or through other files, a file that imports it.
//!
//! A module and the files below it are one thing: they share the module's own vocabulary, so what a file takes from a
//! module that it lies in draws no arrow. What the module takes from its parts does.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    files, report,
    source::{Segments, Source},
};

/// The files of one crate by their module paths; the root has the empty one.
struct Crate {
    modules: BTreeMap<Segments, (String, Source)>,
}

/// Arrows from file to file, each with the paths that draw it.
type Arrows = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

#[test]
fn no_file_is_in_a_circle() {
    let mut crates = BTreeMap::<String, Vec<(String, String)>>::new();
    for (path, text) in files(&[".rs"]) {
        let Some((name, below)) = path.split_once("/src/") else {
            continue;
        };
        if name.starts_with("crates/") || name == "xtask" {
            let of_crate = crates.entry(name.to_owned()).or_default();
            of_crate.push((below.to_owned(), text));
        }
    }
    assert!(crates.len() > 5, "the crates are not where they were: {crates:?}");
    let mut problems = Vec::new();
    for (name, sources) in &crates {
        let arrows = Crate::new(sources).arrows();
        for circle in circles(&arrows) {
            problems.push(format!("{name}: a circle of {}", circle.join(", ")));
            problems.extend(ties(&arrows, &circle));
        }
    }
    report(&problems);
}

impl Crate {
    fn new(sources: &[(String, String)]) -> Self {
        let mut modules: BTreeMap<Segments, (String, Source)> = sources
            .iter()
            .filter(|(file, _)| file != "main.rs" || sources.iter().all(|(other, _)| other != "lib.rs"))
            .map(|(file, text)| (module_of(file), (file.clone(), Source::parse(text))))
            .collect();
        let of_tests: Vec<Segments> = modules
            .iter()
            .flat_map(|(module, (_, source))| {
                let names = source.test_modules.iter();
                names.map(|name| below(module, name))
            })
            .collect();
        modules.retain(|module, _| !of_tests.iter().any(|test| module.starts_with(test)));
        Self { modules }
    }

    fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (module, (file, source)) in &self.modules {
            for path in &source.uses {
                let Some(target) = self.resolve(module, path, 0) else {
                    continue;
                };
                if module.starts_with(&target) {
                    continue;
                }
                let target = &self.modules[&target].0;
                let from = arrows.entry(file.clone()).or_default();
                from.entry(target.clone()).or_default().insert(path.join("::"));
            }
        }
        arrows
    }

    /// The module whose file defines what `path` names in `module`; `None` for a module itself, and for other crates.
    fn resolve(&self, module: &Segments, path: &[String], depth: usize) -> Option<Segments> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Segments::new(),
            "self" => module.clone(),
            "super" => parent(module)?,
            _ => {
                rest = path;
                let is_here =
                    self.child(module, first).is_some() || self.modules[module].1.names.contains_key(first);
                is_here.then(|| module.clone())?
            }
        };
        while let Some((segment, below)) = rest.split_first() {
            if segment == "super" {
                at = parent(&at)?;
            } else if let Some(child) = self.child(&at, segment) {
                at = child;
            } else {
                return self.definition(&at, segment, below, depth);
            }
            rest = below;
        }
        None
    }

    /// The module that defines `item`, which `module` defines, brings in or hands on.
    fn definition(
        &self,
        module: &Segments,
        item: &String,
        below: &[String],
        depth: usize,
    ) -> Option<Segments> {
        let source = &self.modules[module].1;
        // Names that lead to each other lead nowhere.
        if depth > 8 {
            return None;
        }
        if let Some(path) = source.names.get(item).filter(|_| !source.items.contains(item)) {
            return self.resolve(module, &[path.as_slice(), below].concat(), depth + 1);
        }
        let handed_on = source.globs.iter().filter(|_| !source.items.contains(item));
        let handed_on = handed_on
            .filter_map(|glob| self.module_at(module, glob))
            .find(|from| self.modules[from].1.items.contains(item));
        Some(handed_on.unwrap_or_else(|| module.clone()))
    }

    /// The module that `path` names in `module`.
    fn module_at(&self, module: &Segments, path: &[String]) -> Option<Segments> {
        let mut at = module.clone();
        for segment in path {
            at = match segment.as_str() {
                "crate" => Segments::new(),
                "self" => at,
                "super" => parent(&at)?,
                _ => self.child(&at, segment)?,
            };
        }
        Some(at)
    }

    fn child(&self, module: &Segments, name: &str) -> Option<Segments> {
        let child = below(module, name);
        self.modules.contains_key(&child).then_some(child)
    }
}

fn below(module: &Segments, name: &str) -> Segments {
    let mut path = module.clone();
    path.push(name.to_owned());
    path
}

fn parent(module: &Segments) -> Option<Segments> {
    let (_, above) = module.split_last()?;
    Some(above.to_vec())
}

/// `fs/upload.rs` is `fs::upload`, `lib.rs` and `main.rs` are the root.
fn module_of(file: &str) -> Segments {
    match file.strip_suffix(".rs") {
        Some("lib" | "main") | None => Segments::new(),
        Some(path) => path.split('/').map(str::to_owned).collect(),
    }
}

/// The groups of files that reach each other.
fn circles(arrows: &Arrows) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = arrows
        .keys()
        .map(|file| (file, reached_from(arrows, file)))
        .collect();
    let mut circles = BTreeSet::new();
    for (file, targets) in &reached {
        let circle: Vec<String> = targets
            .iter()
            .filter(|target| reached.get(*target).is_some_and(|back| back.contains(file)))
            .map(|target| (*target).clone())
            .collect();
        circles.insert(circle);
    }
    circles.into_iter().filter(|circle| !circle.is_empty()).collect()
}

fn reached_from<'a>(arrows: &'a Arrows, file: &str) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&str> = vec![file];
    while let Some(file) = left.pop() {
        for target in arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(target) {
                left.push(target);
            }
        }
    }
    reached
}

/// A line for each arrow between two files of a circle.
fn ties(arrows: &Arrows, circle: &[String]) -> Vec<String> {
    let inside = arrows.iter().filter(|(file, _)| circle.contains(file));
    inside
        .flat_map(|(file, targets)| {
            let targets = targets.iter().filter(|(target, _)| circle.contains(target));
            targets.map(move |(target, names)| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("  {file} -> {target}: {}", names.join(", "))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sources: &[(&str, &str)], expected: &[&[&str]]) {
        let sources: Vec<(String, String)> = sources
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect();
        assert_eq!(circles(&Crate::new(&sources).arrows()), expected, "{sources:?}");
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        check(
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::B;"),
                ("b.rs", "use crate::a::A;"),
            ],
            &[&["a.rs", "b.rs"]],
        );
    }

    #[test]
    fn a_circle_through_a_third_file_is_found() {
        check(
            &[
                ("a.rs", "use crate::b::B;"),
                ("b.rs", "fn f() { crate::c::g(); }"),
                ("c.rs", "use super::a::A;"),
                ("d.rs", "use crate::a::A;"),
            ],
            &[&["a.rs", "b.rs", "c.rs"]],
        );
    }

    #[test]
    fn a_part_may_name_its_module_but_not_through_a_neighbour() {
        let parent = ("v2.rs", "mod auth; struct Call; fn f() { auth::check(); }");
        check(&[parent, ("v2/auth.rs", "use super::Call;")], &[]);
        check(
            &[
                parent,
                ("v2/auth.rs", "use crate::error::Failure;"),
                ("error.rs", "use crate::v2::Call; struct Failure;"),
            ],
            &[&["error.rs", "v2.rs", "v2/auth.rs"]],
        );
    }

    #[test]
    fn what_a_file_hands_on_is_no_arrow_and_leads_to_where_it_is_defined() {
        check(
            &[
                ("lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
                ("a.rs", "use crate::B; pub struct A;"),
                ("b.rs", "pub struct B;"),
            ],
            &[],
        );
        check(
            &[
                ("lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
                ("a.rs", "use crate::B; pub struct A;"),
                ("b.rs", "use crate::A; pub struct B;"),
            ],
            &[&["a.rs", "b.rs"]],
        );
    }

    #[test]
    fn tests_may_import_anything() {
        check(
            &[
                ("a.rs", "use crate::b::B;"),
                (
                    "b.rs",
                    "#[cfg(test)] mod tests { use crate::a::A; } #[cfg(test)] mod more;",
                ),
                ("b/more.rs", "use crate::a::A;"),
            ],
            &[],
        );
    }
}
