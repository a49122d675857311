//! Programs of other projects: finding them, and running them away from the user's own files.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io::{Seek, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::digest;

/// How long one run of a program may take before it is killed and the test fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// Path of a program: from `PATH`, the system's directories, Go's, or the directory of `test.sh`.
pub fn find(program: &str) -> Option<PathBuf> {
    static FOUND: OnceLock<Mutex<BTreeMap<String, Option<PathBuf>>>> = OnceLock::new();
    let mut found = FOUND
        .get_or_init(Mutex::default)
        .lock()
        .expect("no thread panics while it looks");
    found
        .entry(program.to_owned())
        .or_insert_with(|| look_for(program))
        .clone()
}

/// The directory that `test.sh` installs tools into.
pub fn tools_directory() -> PathBuf {
    target_directory().join("tools")
}

/// The directory that the project's chores put what they make into, wherever cargo builds.
pub fn target_directory() -> PathBuf {
    root_directory().join("target")
}

/// The directory of the project.
pub fn root_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn look_for(program: &str) -> Option<PathBuf> {
    let from_path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&from_path).collect::<Vec<_>>();
    directories.extend(["/usr/sbin", "/sbin", "/usr/local/go/bin"].map(PathBuf::from));
    directories.extend([
        tools_directory().join("bin"),
        tools_directory().join("python/bin"),
    ]);
    if let Some(home) = std::env::var_os("HOME") {
        directories.push(Path::new(&home).join("go/bin"));
    }
    // A path is taken as it is: joining an absolute path replaces what it is joined to.
    let candidates = directories.into_iter().map(|directory| directory.join(program));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// A temporary directory, and programs that run in it as if it were home.
#[derive(Debug)]
pub struct Bench {
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl Bench {
    /// A fresh directory that is gone when the bench is dropped.
    ///
    /// # Panics
    ///
    /// When the system has no room for temporary files.
    pub fn new() -> Bench {
        let directory = TempDir::with_prefix("wharf-test-").expect("a temporary directory");
        let home = directory.path().display().to_string();
        let keys = [
            "HOME",
            "XDG_RUNTIME_DIR",
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_CACHE_HOME",
            "DOCKER_CONFIG",
        ];
        let environment = keys.iter().map(|key| ((*key).to_owned(), home.clone())).collect();
        let bench = Bench {
            directory,
            environment,
        };
        // Where `DOCKER_CONFIG` says that it is; some clients insist on it.
        bench.write("config.json", "{}");
        bench
    }

    /// The path of a file or directory in here; it need not exist.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Adds a variable to the environment of every program that runs from here on.
    pub fn environment(mut self, key: &str, value: impl Into<String>) -> Bench {
        self.environment.push((key.to_owned(), value.into()));
        self
    }

    /// Writes a file, with the directories above it.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory"))
            .expect("directories are made");
        std::fs::write(path, text).expect("the file is written");
    }

    /// Copies a file of the machine in here, with its permissions.
    ///
    /// # Panics
    ///
    /// When it cannot be copied.
    pub fn copy_in(&self, from: &Path, name: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory"))
            .expect("directories are made");
        std::fs::copy(from, path).unwrap_or_else(|error| panic!("cannot copy `{}`: {error}", from.display()));
    }

    /// The text of a file in here.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.read_bytes(name)).into_owned()
    }

    /// The bytes of a file in here.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn read_bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("cannot read `{name}`: {error}"))
    }

    /// Runs a program to its end and returns its output.
    ///
    /// # Panics
    ///
    /// When the program is not installed, or runs longer than 300 s.
    pub fn try_run<Argument: AsRef<OsStr>>(&self, program: &str, arguments: &[Argument]) -> Ran {
        self.try_run_with_input(program, arguments, &[])
    }

    /// As [`Bench::try_run`], with these bytes on standard input.
    ///
    /// # Panics
    ///
    /// As [`Bench::try_run`].
    pub fn try_run_with_input<Argument: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: &[Argument],
        input: &[u8],
    ) -> Ran {
        let binary = find(program).unwrap_or_else(|| panic!("`{program}` is not installed"));
        let mut output = tempfile::tempfile_in(self.directory.path()).expect("a file for the output");
        let mut errors = tempfile::tempfile_in(self.directory.path()).expect("a file for the errors");
        let mut stdin = tempfile::tempfile_in(self.directory.path()).expect("a file for the input");
        stdin
            .write_all(input)
            .and_then(|()| stdin.rewind())
            .expect("the input is written");
        let copy = |file: &File| Stdio::from(file.try_clone().expect("a second handle"));
        let mut child = Command::new(&binary)
            .args(arguments)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .current_dir(self.directory.path())
            .stdin(Stdio::from(stdin))
            .stdout(copy(&output))
            .stderr(copy(&errors))
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` does not start: {error}", binary.display()));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("the program can be waited for") {
                break status;
            }
            if started.elapsed() > PATIENCE {
                child.kill().expect("our own child can be killed");
                child.wait().expect("a killed child ends");
                panic!(
                    "`{program}` still runs after {PATIENCE:?}: {}",
                    read_all(&mut errors)
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let arguments = arguments
            .iter()
            .map(|argument| argument.as_ref().to_string_lossy().into_owned());
        Ran {
            line: format!("{program} {}", arguments.collect::<Vec<_>>().join(" ")),
            succeeded: status.success(),
            code: status.code(),
            stdout: read_all(&mut output),
            stderr: read_all(&mut errors),
        }
    }

    /// Runs a program that must succeed and returns its standard output.
    ///
    /// # Panics
    ///
    /// When it fails; the message holds its output.
    pub fn run<Argument: AsRef<OsStr>>(&self, program: &str, arguments: &[Argument]) -> String {
        let ran = self.try_run(program, arguments);
        assert!(
            ran.succeeded,
            "`{}` failed\n{}\n{}",
            ran.line, ran.stdout, ran.stderr
        );
        ran.stdout
    }

    /// Every regular file below a directory of this bench: `sha256:…` of it, and its bytes.
    ///
    /// # Panics
    ///
    /// When the directory cannot be read.
    pub fn files_by_digest(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut left = vec![self.path(directory)];
        while let Some(path) = left.pop() {
            for entry in std::fs::read_dir(&path).expect("the directory can be read") {
                let entry = entry.expect("the directory can be read");
                if entry.file_type().expect("an entry has a type").is_dir() {
                    left.push(entry.path());
                } else {
                    let bytes = std::fs::read(entry.path()).expect("the file can be read");
                    files.insert(digest::sha256(&bytes), bytes);
                }
            }
        }
        files
    }
}

impl Default for Bench {
    fn default() -> Bench {
        Bench::new()
    }
}

/// The exit status and the output of a program.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The command line, for messages.
    pub line: String,
    /// Whether the exit code was 0.
    pub succeeded: bool,
    /// Exit code; `None` when a signal ended the program.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

fn read_all(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| std::io::copy(file, &mut bytes))
        .expect("the output can be read back");
    String::from_utf8_lossy(&bytes).into_owned()
}
