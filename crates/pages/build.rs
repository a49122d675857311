//! Makes Rust of the texts, and compresses the assets.
//!
//! Both are done here, so the server parses and compresses nothing at its start, and a text that cannot be read fails the build.

#![expect(clippy::unwrap_used, reason = "a build that fails says why")]
#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads sources, and writes what is made of them"
)]
use std::{
    env,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

const LANGUAGES: [&str; 4] = ["en", "ru", "zh", "es"];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    for watched in ["build.rs", "texts", "assets", "templates"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let texts = here.join("texts");
    let code = catalogues(&texts, &LANGUAGES, "")
        + &catalogues(&texts.join("services"), &LANGUAGES[1..], "_SENTENCES");
    fs::write(out.join("catalogues.rs"), code).unwrap();
    fs::write(out.join("assets.rs"), assets(&here.join("assets"), &out)).unwrap();
}

/// A table for each language, sorted by key. The ends of their names are `ending`.
fn catalogues(folder: &Path, languages: &[&str], ending: &str) -> String {
    let mut code = String::new();
    for language in languages {
        let path = folder.join(format!("{language}.toml"));
        let table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        // The order of the bytes, by which the tables are searched.
        let mut entries: Vec<(String, toml::Value)> = table.into_iter().collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        let name = language.to_uppercase() + ending;
        writeln!(code, "pub(crate) static {name}: &[(&str, Entry)] = &[").unwrap();
        for (key, value) in entries {
            let entry = match value {
                toml::Value::String(text) => format!("Entry::Plain({text:?})"),
                toml::Value::Table(forms) => format!("Entry::Plural(&[{}])", plural(&path, &key, &forms)),
                other => panic!(
                    "{}: `{key}` is neither a text nor plural forms: {other:?}",
                    path.display()
                ),
            };
            writeln!(code, "    ({key:?}, {entry}),").unwrap();
        }
        code.push_str("];\n");
    }
    code
}

fn plural(path: &Path, key: &str, forms: &toml::Table) -> String {
    let mut code = String::new();
    for (form, text) in forms {
        let form = match form.as_str() {
            "one" => "Form::One",
            "few" => "Form::Few",
            "many" => "Form::Many",
            "other" => "Form::Other",
            other => panic!(
                "{}: `{key}` has the unknown plural form `{other}`",
                path.display()
            ),
        };
        let text = text.as_str().unwrap();
        write!(code, "({form}, {text:?}), ").unwrap();
    }
    code
}

/// The assets by name, as they are and compressed, and the hash of all of them.
fn assets(folder: &Path, out: &Path) -> String {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut hash = Sha256::new();
    let mut code = String::from("static ASSETS: &[(&str, Asset)] = &[\n");
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        hash.update(bytes.len().to_le_bytes());
        hash.update(&bytes);
        let (gzip, brotli) = (out.join(format!("{name}.gz")), out.join(format!("{name}.br")));
        fs::write(&gzip, gzipped(&bytes)).unwrap();
        fs::write(&brotli, brotlied(&bytes)).unwrap();
        writeln!(
            code,
            "    ({name:?}, Asset {{ bytes: include_bytes!({path:?}), gzip: include_bytes!({gzip:?}), brotli: include_bytes!({brotli:?}), media_type: {:?} }}),",
            media_type(&path),
        )
        .unwrap();
    }
    code.push_str("];\n");
    let hash: String = hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    writeln!(code, "/// Hash of the names and the bytes of all assets, the name of their folder.\npub const HASH: &str = {hash:?};").unwrap();
    code
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn brotlied(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &parameters).unwrap();
    compressed
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        other => panic!("{}: no media type for {other:?}", path.display()),
    }
}
