//! Overrides from the environment: `REGISTRY_A_B_C=value` sets `a.b.c`, the value being YAML.
//!
//! Variables are applied in order, sections before their keys, and numbers as numbers: `REGISTRY_STORAGE`, then
//! `REGISTRY_STORAGE_DELETE_ENABLED`; `…_2`, then `…_10`. Names are looked up in the [table of keys](super::table),
//! so keys that contain a `_` can be named as well.

use std::{cmp::Ordering, ffi::OsString, io, path::Path, rc::Rc};

use wharf_document::{Map, Node, Place, Scalar, Value, words::cut};

use super::{
    keys::Status,
    kind::Kind,
    report::Report,
    table::{Schema, below, schema},
};

const PREFIX: &str = "REGISTRY_";

/// The path of the configuration file; not a key.
pub(super) const CONFIGURATION_PATH: &str = "REGISTRY_CONFIGURATION_PATH";

/// Largest size in bytes of a file with a secret.
const SECRET_LIMIT: usize = 64 << 10;

/// One step of a path in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

struct Target {
    steps: Vec<Step>,
    kind: Kind,
}

struct Variable {
    name: String,
    /// Value of the variable; `None`: it is not UTF-8.
    value: Option<String>,
}

/// Applies `variables` to `root`. Problems go to `report`.
pub(super) fn apply(
    root: &mut Map,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    report: &mut Report,
) {
    let mut variables: Vec<Variable> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            (name.starts_with(PREFIX) && name != CONFIGURATION_PATH).then(|| Variable {
                name,
                value: value.into_string().ok(),
            })
        })
        .collect();
    variables.sort_by(|a, b| in_order(&a.name, &b.name));
    let names: Vec<String> = variables.iter().map(|variable| variable.name.clone()).collect();
    for variable in &variables {
        apply_one(root, variable, &names, report);
    }
}

/// Compares names part by part, so that a section always comes before its keys.
fn in_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('_'), b.split('_'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn apply_one(root: &mut Map, variable: &Variable, names: &[String], report: &mut Report) {
    let name = &*variable.name;
    let place = Place::Variable(Rc::from(name));
    let parts: Vec<&str> = name[PREFIX.len()..].split('_').collect();
    if let Some(target) = resolve(schema(), Vec::new(), &parts) {
        let Some(value) = &variable.value else {
            return report.problem(&place, "is not UTF-8");
        };
        match parse(value, &target, &place, report) {
            Ok(node) => set(root, &target, node, report),
            Err(text) => report.problem(&place, text),
        }
        return;
    }
    if let Some((&"FILE", parts)) = parts.split_last()
        && let Some(target) = resolve(schema(), Vec::new(), parts)
        && matches!(target.kind, Kind::Text | Kind::Secret)
    {
        let direct = name.strip_suffix("_FILE").unwrap_or(name);
        if names.iter().any(|name| name == direct) {
            return report.problem(
                &place,
                format!("and `${direct}` set the same key; remove one of them"),
            );
        }
        return match variable.value.as_deref().map(|path| read_secret(Path::new(path))) {
            Some(Ok(text)) => set(root, &target, Node::new(place, Value::text(text)), report),
            Some(Err(text)) => report.problem(&place, text),
            None => report.problem(&place, "is not UTF-8"),
        };
    }
    if is_of_kubernetes(&parts) {
        report.note(
            &place,
            "is taken for a variable of Kubernetes about a service, not for a key",
        );
    } else {
        report.warning(
            &place,
            format!(
                "names no key of the configuration and has no effect{}",
                hint(&parts)
            ),
        );
    }
}

/// Reads the whole file, without the newline at its end.
#[expect(clippy::disallowed_methods, reason = "a secret is not in the store")]
fn read_secret(path: &Path) -> Result<String, String> {
    use io::Read as _;

    let shown = path.display();
    let failed = |error: io::Error| format!("names the file `{shown}`, which cannot be read: {error}");
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(failed)?
        .take(SECRET_LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > SECRET_LIMIT {
        return Err(format!(
            "names the file `{shown}`, which is too large for a secret"
        ));
    }
    let mut text =
        String::from_utf8(bytes).map_err(|_| format!("names the file `{shown}`, which is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(format!("names the file `{shown}`, which is empty"));
    }
    Ok(text)
}

/// The key that `parts` name below `here`, whose path is `way`.
fn resolve(here: &Schema, way: Vec<Step>, parts: &[&str]) -> Option<Target> {
    if let Status::Alias(of) = here.status() {
        let way = of.split('.').map(|name| Step::Key(name.to_owned())).collect();
        return resolve(schema().find(of)?, way, parts);
    }
    if parts.is_empty() {
        return Some(Target {
            steps: way,
            kind: here.kind(),
        });
    }
    let target = |step: Step, kind: Kind| {
        let steps = way.iter().cloned().chain([step]).collect();
        Some(Target { steps, kind })
    };
    match here.kind() {
        Kind::Section | Kind::Named | Kind::Choice => child(here, &way, parts),
        Kind::List => {
            let index = Step::Index(parts[0].parse().ok()?);
            let way = way.iter().cloned().chain([index]).collect();
            resolve(here.element()?, way, &parts[1..])
        }
        Kind::Texts => match parts {
            [index] => target(Step::Index(index.parse().ok()?), Kind::Text),
            _ => None,
        },
        Kind::Headers { .. } => header(way, parts),
        Kind::Fields { .. } => target(Step::Key(parts.join("_").to_ascii_lowercase()), Kind::Text),
        Kind::Any => target(Step::Key(parts.join("_").to_ascii_lowercase()), Kind::Any),
        Kind::Text | Kind::Secret | Kind::Boolean | Kind::Number | Kind::Duration | Kind::Word(_) => None,
    }
}

/// A header, in whose name `_` stands for `-`. A number at the end is an index in the list of its values.
fn header(mut way: Vec<Step>, parts: &[&str]) -> Option<Target> {
    let (name, index) = match parts {
        [name @ .., last] if !name.is_empty() => match last.parse() {
            Ok(index) => (name, Some(index)),
            Err(_) => (parts, None),
        },
        _ => (parts, None),
    };
    way.push(Step::Key(name.join("-").to_ascii_lowercase()));
    way.extend(index.map(Step::Index));
    let kind = if index.is_some() { Kind::Text } else { Kind::Texts };
    Some(Target { steps: way, kind })
}

fn child(here: &Schema, way: &[Step], parts: &[&str]) -> Option<Target> {
    // `redis` is one struct inside another in registry:3.0: `REGISTRY_REDIS_OPTIONS_ADDRS`.
    if here.path == "redis" && parts[0] == "OPTIONS" {
        return child(here, way, parts.get(1..).filter(|parts| !parts.is_empty())?);
    }
    // A key may have a `_` itself; the shortest name that leads somewhere counts, as in registry:2.
    (1..=parts.len()).find_map(|end| {
        let written = parts[..end].join("_");
        let (name, found) = here.children().find(|(name, child)| {
            let variable = child.key.and_then(|key| key.variable);
            name.eq_ignore_ascii_case(&written) || variable == Some(&written)
        })?;
        let way = way.iter().cloned().chain([Step::Key(name.to_owned())]).collect();
        resolve(found, way, &parts[end..])
    })
}

fn parse(text: &str, target: &Target, place: &Place, report: &mut Report) -> Result<Node, String> {
    let is_text = matches!(target.kind, Kind::Text | Kind::Secret);
    let verbatim = || Node::new(place.clone(), Value::text(text.to_owned()));
    let parsed = match wharf_document::parse(text, &|_| place.clone()) {
        Ok(parsed) => parsed.root,
        // `[::]:5000` and most passwords with special characters are not YAML, but valid texts.
        Err(_) if is_text => return Ok(verbatim()),
        Err(wrong) => return Err(format!("has a value that cannot be read: {}", wrong.text)),
    };
    match &parsed.value {
        Value::Scalar(scalar) => {
            if scalar.is_plain && scalar.text != text.trim() && !scalar.is_nothing() {
                let text = "is read as YAML, where ` #` begins a comment and line ends are spaces; put the value in quotes to take it literally";
                report.warning(place, text);
            }
            Ok(Node::new(place.clone(), parsed.value))
        }
        Value::List(_) | Value::Map(_) if is_text => Ok(verbatim()),
        Value::List(_) | Value::Map(_) => Ok(Node::new(place.clone(), parsed.value)),
    }
}

fn set(root: &mut Map, target: &Target, node: Node, report: &mut Report) {
    let Some((Step::Key(first), rest)) = target.steps.split_first() else {
        return;
    };
    if target.kind == Kind::Choice && rest.is_empty() {
        return choose(root, first, node, report);
    }
    let mut here = root.entry(first);
    let mut path = first.clone();
    for step in rest {
        if here.place == Place::Nowhere {
            here.place = node.place.clone();
        }
        match (step, &here.value) {
            // The node there has a wrong type: report it instead of replacing it.
            (Step::Key(_), Value::List(_)) => {
                let text = format!("`{path}` must have keys below it, not a list");
                return report.problem(&here.place, text);
            }
            (Step::Index(_), Value::Map(_)) => {
                let text = format!("`{path}` must be a list, not a section with keys");
                return report.problem(&here.place, text);
            }
            _ => {}
        }
        match step {
            Step::Key(key) => {
                path = below(&path, key);
                let map = here.make_map();
                let key = key_of(map, key);
                here = map.entry(&key);
            }
            Step::Index(index) => {
                path = format!("{path}[{index}]");
                let list = here.make_list();
                let length = list.len();
                if *index > length {
                    let text = format!(
                        "names element {index} of a list that has {length}; elements are counted from 0, without a gap"
                    );
                    return report.problem(&node.place, text);
                }
                if *index == length {
                    list.push(Node::default());
                }
                here = &mut list[*index];
            }
        }
    }
    *here = node;
}

/// The key as `map` spells it, in any letter case and with `_` for `-` (headers); otherwise `key` itself.
fn key_of(map: &Map, key: &str) -> String {
    let fold = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    let folded = fold(key);
    map.iter()
        .find(|(known, _)| fold(known) == folded)
        .map_or_else(|| key.to_owned(), |(known, _)| known.to_owned())
}

/// `REGISTRY_STORAGE=s3` replaces the store that the file names, and keeps the keys that belong to no store.
fn choose(root: &mut Map, key: &str, node: Node, report: &mut Report) {
    let is_empty = node.is_nothing() || node.scalar().is_some_and(|scalar| scalar.text.is_empty());
    let old = root.entry(key);
    let Value::Scalar(Scalar { text: name, .. }) = &node.value else {
        *old = node;
        return;
    };
    if is_empty {
        if key == "auth" && !old.is_nothing() {
            let text =
                "is empty, which would let every client in; remove it, or write `none` if that is meant";
            report.problem(&node.place, text);
        }
        return;
    }
    let is_way = |name: &str| {
        let found = schema().child(key).and_then(|schema| schema.child(name));
        found.is_none_or(|found| matches!(found.kind(), Kind::Named | Kind::Any))
    };
    let mut kept = Map::default();
    if let Some(old) = old.map() {
        for (known, node) in old.iter().filter(|(known, _)| *known == name || !is_way(known)) {
            kept.set(known, node.clone());
        }
    }
    if kept.get(name).is_none() {
        kept.set(name, Node::new(node.place.clone(), Value::nothing()));
    }
    *old = Node::new(node.place, Value::Map(kept));
}

/// Whether Kubernetes has set the variable: for a service called `registry`, every container gets `REGISTRY_PORT`,
/// `REGISTRY_SERVICE_HOST` and `REGISTRY_PORT_5000_TCP_ADDR`.
fn is_of_kubernetes(parts: &[&str]) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    (0..parts.len()).any(|start| match &parts[start..] {
        ["PORT"] | ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        ["PORT", number, "TCP" | "UDP" | "SCTP", rest @ ..] => {
            is_number(number) && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
        }
        _ => false,
    })
}

/// A hint at similar variables, if the first parts name a section.
fn hint(parts: &[&str]) -> String {
    (1..parts.len())
        .rev()
        .find_map(|end| resolve_section(schema(), &parts[..end]))
        .map(|section| {
            let names: Vec<String> = section
                .children()
                .map(|(name, _)| format!("`{PREFIX}{}`", below_variable(&section.path, name)))
                .collect();
            const MOST: usize = 8;
            if names.is_empty() || names.len() > MOST {
                format!("; `{}` has no such key", section.path)
            } else {
                format!("; similar variables are {}", names.join(", "))
            }
        })
        .unwrap_or_default()
}

fn below_variable(path: &str, name: &str) -> String {
    cut(&format!("{path}.{name}"))
        .replace("[]", ".0")
        .replace('.', "_")
        .to_ascii_uppercase()
}

fn resolve_section<'a>(here: &'a Schema, parts: &[&str]) -> Option<&'a Schema> {
    parts.iter().try_fold(here, |here, part| {
        here.children()
            .find(|(name, _)| name.eq_ignore_ascii_case(part))
            .map(|(_, child)| child)
    })
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, io::Write as _, time::Duration};

    use super::{
        super::{keys::Key, section::Section},
        *,
    };

    /// The tree of a file and variables, as flow YAML, and the report about them.
    fn applied(file: &str, variables: &[(&str, &str)]) -> (String, Report) {
        let mut report = Report::new(None);
        let mut root = wharf_document::parse(file, &Place::Line).unwrap().root;
        let map = root.make_map();
        super::super::check::rename(map, &mut report);
        super::super::check::expand_names(map);
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        apply(map, variables, &mut report);
        (shown(&root), report)
    }

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Scalar(scalar) => scalar.text.clone(),
            Value::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
            Value::Map(map) => {
                let entries: Vec<String> = map
                    .iter()
                    .map(|(key, node)| format!("{key}: {}", shown(node)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn becomes(file: &str, variables: &[(&str, &str)], expected: &str) {
        let (tree, report) = applied(file, variables);
        assert_eq!(tree, expected, "{variables:?}");
        assert!(
            report.problems.is_empty() && report.warnings.is_empty(),
            "{report:?}"
        );
    }

    fn is_refused(file: &str, variables: &[(&str, &str)], expected: &str) {
        let report = applied(file, variables).1;
        let problems = report.lines(&report.problems).join("\n");
        assert!(problems.contains(expected), "{variables:?}: {problems}");
    }

    #[test]
    fn a_variable_sets_its_key() {
        becomes(
            "http: {addr: ':5000', headers: {X-A: [b]}}\n",
            &[
                ("REGISTRY_HTTP_ADDR", "127.0.0.1:5001"),
                ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true"),
                ("REGISTRY_HTTP_HEADERS", "{X-B: [c, d]}"),
                ("REGISTRY_CONFIGURATION_PATH", "/nowhere"),
                ("OTHER_HTTP_ADDR", "x"),
            ],
            "{http: {addr: 127.0.0.1:5001, headers: {X-B: [c, d]}}, storage: {maintenance: {readonly: {enabled: true}}}}",
        );
        becomes(
            "storage: {maintenance: {uploadpurging: {enabled: true, age: 1h}}}\n",
            &[("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE", "2h")],
            "{storage: {maintenance: {uploadpurging: {enabled: true, age: 2h}}}}",
        );
    }

    #[test]
    fn a_name_and_what_is_below_it_go_together() {
        becomes(
            "",
            &[
                ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
                ("REGISTRY_AUTH", "htpasswd"),
            ],
            "{auth: {htpasswd: {realm: Registry Realm}}}",
        );
        becomes(
            "storage: inmemory\n",
            &[("REGISTRY_STORAGE_DELETE_ENABLED", "true")],
            "{storage: {inmemory: , delete: {enabled: true}}}",
        );
        // What is there already stays, and what belongs to no store stays whatever the store.
        becomes(
            "auth: {htpasswd: {realm: r}}\nstorage: {filesystem: {rootdirectory: /d}, delete: {enabled: true}}\n",
            &[
                ("REGISTRY_AUTH", "htpasswd"),
                ("REGISTRY_STORAGE", "s3"),
                ("REGISTRY_STORAGE_S3_BUCKET", "b"),
            ],
            "{auth: {htpasswd: {realm: r}}, storage: {delete: {enabled: true}, s3: {bucket: b}}}",
        );
        becomes(
            "auth: {htpasswd: {realm: r}}\n",
            &[("REGISTRY_AUTH", "none")],
            "{auth: {none: }}",
        );
        is_refused(
            "auth: {htpasswd: {realm: r}}\n",
            &[("REGISTRY_AUTH", "")],
            "$REGISTRY_AUTH: is empty, which would let every client in",
        );
    }

    #[test]
    fn list_elements_have_numbers_and_numbers_have_an_order() {
        let values: Vec<(String, String)> = (0..12)
            .map(|n| (format!("REGISTRY_HTTP_TLS_CLIENTCAS_{n}"), format!("/{n}")))
            .collect();
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected: Vec<&str> = values.iter().map(|(_, value)| *value).collect();
        becomes(
            "",
            &values,
            &format!("{{http: {{tls: {{clientcas: [{}]}}}}}}", expected.join(", ")),
        );
        becomes(
            "http: {tls: {clientcas: /a}}\n",
            &[("REGISTRY_HTTP_TLS_CLIENTCAS_1", "/b")],
            "{http: {tls: {clientcas: [/a, /b]}}}",
        );
        becomes(
            "notifications: {endpoints: [{name: a, url: u}]}\n",
            &[
                ("REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL", "v"),
                ("REGISTRY_NOTIFICATIONS_ENDPOINTS_1_NAME", "b"),
                (
                    "REGISTRY_NOTIFICATIONS_ENDPOINTS_1_HEADERS_AUTHORIZATION_0",
                    "Bearer x",
                ),
            ],
            "{notifications: {endpoints: [{name: a, url: v}, {headers: {authorization: [Bearer x]}, name: b}]}}",
        );
        is_refused(
            "",
            &[("REGISTRY_HTTP_TLS_CLIENTCAS_2", "/c")],
            "$REGISTRY_HTTP_TLS_CLIENTCAS_2: names element 2 of a list that has 0",
        );
    }

    #[test]
    fn the_names_of_go_s_fields_count_as_well_as_ours() {
        becomes(
            "",
            &[
                ("REGISTRY_HEALTH_FILECHECKERS_0_FILE", "/f"),
                ("REGISTRY_HEALTH_TCP_0_ADDR", "a:1"),
                ("REGISTRY_LOG_HOOKS_0_MAILOPTIONS_SMTP_ADDR", "m:25"),
                ("REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES", "true"),
                ("REGISTRY_REDIS_DB", "1"),
                ("REGISTRY_REDIS_OPTIONS_ADDRS", "[r:6379]"),
            ],
            "{health: {file: [{file: /f}], tcp: [{addr: a:1}]}, log: {hooks: [{options: {smtp: {addr: m:25}}}]}, \
             notifications: {events: {includereferences: true}}, redis: {db: 1, addrs: [r:6379]}}",
        );
    }

    #[test]
    fn keys_with_a_line_in_them_can_be_named() {
        becomes(
            "http: {headers: {X-Frame-Options: [ALLOW]}}\n",
            &[
                ("REGISTRY_COMPAT_STRICT_ACCEPT", "true"),
                ("REGISTRY_HTTP_HEADERS_X_FRAME_OPTIONS", "[DENY]"),
                ("REGISTRY_HTTP_HEADERS_X_OTHER", "o"),
                ("REGISTRY_STORAGE_AZURE_MAX_RETRIES", "3"),
                ("REGISTRY_STORAGE_S3AWS_BUCKET", "b"),
            ],
            "{http: {headers: {X-Frame-Options: [DENY], x-other: o}}, compat: {strict_accept: true}, \
             storage: {azure: {max_retries: 3}, s3: {bucket: b}}}",
        );
    }

    #[test]
    fn a_text_is_what_was_written_even_if_it_is_no_yaml() {
        for (written, read) in [
            ("[::]:5000", "[::]:5000"),
            (":5000", ":5000"),
            ("\"quoted\"", "quoted"),
            ("p@ss: *x", "p@ss: *x"),
            ("%a{", "%a{"),
            ("0123", "0123"),
            ("yes", "yes"),
        ] {
            becomes(
                "",
                &[("REGISTRY_HTTP_SECRET", written)],
                &format!("{{http: {{secret: {read}}}}}"),
            );
        }
        let (tree, report) = applied("", &[("REGISTRY_HTTP_SECRET", "abc #def")]);
        assert_eq!(tree, "{http: {secret: abc}}");
        let warnings = report.lines(&report.warnings).join("\n");
        assert!(
            warnings.contains("begins a comment") && !warnings.contains("def"),
            "{warnings}"
        );
        is_refused(
            "",
            &[("REGISTRY_HTTP_HEADERS", "{X: [")],
            "$REGISTRY_HTTP_HEADERS: has a value that cannot be read",
        );
    }

    #[test]
    fn secrets_may_lie_in_files() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b" s3cret#1 \r\n").unwrap();
        let path = file.path().to_str().unwrap();
        becomes(
            "",
            &[("REGISTRY_HTTP_SECRET_FILE", path)],
            "{http: {secret:  s3cret#1 }}",
        );
        becomes(
            "",
            &[("REGISTRY_STORAGE_S3_SECRETKEY_FILE", path)],
            "{storage: {s3: {secretkey:  s3cret#1 }}}",
        );
        is_refused(
            "",
            &[("REGISTRY_HTTP_SECRET_FILE", path), ("REGISTRY_HTTP_SECRET", "x")],
            "$REGISTRY_HTTP_SECRET_FILE: and `$REGISTRY_HTTP_SECRET` set the same key",
        );
        is_refused(
            "",
            &[("REGISTRY_HTTP_SECRET_FILE", "/nowhere/secret")],
            "names the file `/nowhere/secret`, which cannot be read: No such file",
        );
        let empty = tempfile::NamedTempFile::new().unwrap();
        is_refused(
            "",
            &[("REGISTRY_HTTP_SECRET_FILE", empty.path().to_str().unwrap())],
            "which is empty",
        );
    }

    #[test]
    fn what_names_no_key_is_told_and_what_kubernetes_says_is_not() {
        for name in [
            "REGISTRY_PORT",
            "REGISTRY_SERVICE_HOST",
            "REGISTRY_SERVICE_PORT",
            "REGISTRY_SERVICE_PORT_HTTP",
            "REGISTRY_PORT_5000_TCP",
            "REGISTRY_PORT_5000_TCP_ADDR",
            "REGISTRY_HTTP_PORT_5000_TCP_PROTO",
            "REGISTRY_STORAGE_X_SERVICE_HOST",
        ] {
            let (tree, report) = applied("", &[(name, "tcp://10.0.0.1:5000")]);
            assert_eq!(tree, "{}", "{name}");
            assert!(report.warnings.is_empty() && report.problems.is_empty(), "{name}");
            assert_eq!(report.notes.len(), 1, "{name}");
        }
        let report = applied(
            "",
            &[
                ("REGISTRY_CATALOG_MAXENTRY", "5"),
                ("REGISTRY_", ""),
                ("REGISTRY_X__Y", ""),
            ],
        )
        .1;
        let warnings = report.lines(&report.warnings).join("\n");
        assert_eq!(report.warnings.len(), 3, "{warnings}");
        assert!(
            warnings.contains("$REGISTRY_CATALOG_MAXENTRY: names no key"),
            "{warnings}"
        );
        assert!(warnings.contains("`REGISTRY_CATALOG_MAXENTRIES`"), "{warnings}");
    }

    #[test]
    fn values_are_read_as_what_the_key_wants() {
        let report = RefCell::new(Report::new(None));
        let mut root = Map::default();
        let variables = [
            ("REGISTRY_HTTP_RELATIVEURLS", "yes"),
            ("REGISTRY_HTTP_DRAINTIMEOUT", "1h30m"),
        ]
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        apply(&mut root, variables, &mut report.borrow_mut());
        let root = Section::root(&root, &report);
        assert_eq!(
            root.get(Key::<Option<bool>>::new("http.relativeurls")),
            Some(true)
        );
        assert_eq!(
            root.get(Key::<Option<Duration>>::new("http.draintimeout")),
            Some(Duration::from_secs(5400))
        );
    }
}
