//! A test binary whose tests name the parts that they need: a test whose part is missing is reported and ignored.

use std::{collections::BTreeMap, io::Write as _};

use libtest_mimic::{Arguments, Conclusion, Failed};

use crate::{
    bucket::{self, VERSITYGW},
    tool,
};

/// Something outside of this project that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A program that `tool::find` can find.
    Program(&'static str),
    /// A bucket: versitygw, or the store of this run.
    Bucket,
    /// A bucket whose files the test can reach, so not one of the store of this run.
    OwnBucket,
    /// What the store of this run does not do, with the reason.
    NotOnStore(&'static str),
    /// The process must be root, as the Docker daemon must.
    Root,
    /// A file that a chore of the project makes, below `target`.
    Made {
        /// The file.
        path: &'static str,
        /// The command that makes it.
        by: &'static str,
    },
    /// An environment variable that names something to test against.
    Variable(&'static str),
}

impl Part {
    fn missing(self) -> Option<String> {
        match self {
            Part::Program(program) if tool::find(program).is_none() => {
                Some(format!("`{program}` is not installed"))
            }
            Part::OwnBucket if bucket::is_given() => {
                Some("the files of the store of this run are its own".to_owned())
            }
            Part::Bucket if bucket::is_given() => None,
            Part::Bucket | Part::OwnBucket => Part::Program(VERSITYGW).missing(),
            Part::NotOnStore(reason) => Some(format!("the store of this run {reason}")),
            Part::Root if !is_root() => Some("not root".to_owned()),
            Part::Made { path, by } if !tool::target_directory().join(path).exists() => {
                Some(format!("`target/{path}` is not there; `{by}` makes it"))
            }
            Part::Variable(name) if std::env::var_os(name).is_none() => Some(format!("`${name}` is not set")),
            Part::Program(_) | Part::Root | Part::Made { .. } | Part::Variable(_) => None,
        }
    }
}

/// Tests in the order in which they were added.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
}

struct Trial {
    name: String,
    needs: Vec<Part>,
    run: Box<dyn FnOnce() + Send>,
}

impl Suite {
    /// Adds a test; it fails by panicking.
    pub fn test(&mut self, name: &str, needs: &[Part], run: impl FnOnce() + Send + 'static) {
        self.trials.push(Trial {
            name: name.to_owned(),
            needs: needs.to_vec(),
            run: Box::new(run),
        });
    }

    /// Runs the tests that the command line selects, and reports which were left out and why.
    ///
    /// The reasons go to standard error, and to the file that `WHARF_LEFT_OUT` names, one line each,
    /// for `test.sh` to repeat at its end.
    pub fn run(self) -> Conclusion {
        let arguments = Arguments::from_args();
        let mut left_out = BTreeMap::<String, Vec<String>>::new();
        let trials = self.trials.into_iter().map(|trial| {
            let missing = trial.needs.iter().find_map(|part| part.missing());
            if let Some(missing) = &missing {
                left_out
                    .entry(missing.clone())
                    .or_default()
                    .push(trial.name.clone());
            }
            let run = trial.run;
            let checked = move || match missing {
                Some(missing) => Err(Failed::from(format!("cannot run: {missing}"))),
                None => {
                    run();
                    Ok(())
                }
            };
            let ignored = trial.needs.iter().any(|part| part.missing().is_some());
            libtest_mimic::Trial::test(trial.name, checked).with_ignored_flag(ignored)
        });
        let trials = trials.collect();
        if !arguments.list {
            for (reason, names) in &left_out {
                say_left_out(&format!("left out: {} ({reason})", names.join(", ")));
            }
        }
        libtest_mimic::run(&arguments, trials)
    }
}

fn say_left_out(line: &str) {
    // A reader that went away must not fail the tests.
    drop(writeln!(std::io::stderr(), "{line}"));
    if let Some(path) = std::env::var_os("WHARF_LEFT_OUT") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        drop(file.and_then(|mut file| writeln!(file, "{line}")));
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
