//! Passwords typed on a terminal: asked for twice, and never shown.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use wharf_testkit::PATIENCE;
use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::{self, Bench};

use crate::scene::{WHARF, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[Part::Program("script"), Part::Program("setsid")],
        [
            s0_08_the_password_is_asked_for_twice,
            what_is_typed_can_be_corrected_and_interrupted,
            without_a_terminal_it_is_read_from_a_pipe
        ]
    );
}

/// A command on a terminal of its own, which the program `script` gives it.
struct Session {
    child: Child,
    output: Receiver<u8>,
    seen: String,
}

impl Session {
    fn start(bench: &Bench, command: &str) -> Self {
        let mut child = Command::new(tool::find("script").unwrap())
            .args(["-qec", &format!("'{WHARF}' {command}"), "/dev/null"])
            .current_dir(bench.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut byte = [0];
            while stdout.read(&mut byte).is_ok_and(|count| count > 0) && sender.send(byte[0]).is_ok() {}
        });
        Self {
            child,
            output,
            seen: String::new(),
        }
    }

    /// Waits for a question, then types.
    fn answer(&mut self, question: &str, keys: &str) {
        let from = self.seen.len();
        while !self.seen[from..].contains(question) {
            let byte = self.output.recv_timeout(PATIENCE);
            self.seen.push(char::from(
                byte.unwrap_or_else(|_| panic!("no `{question}` in {}", self.seen)),
            ));
        }
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(keys.as_bytes())
            .unwrap();
    }

    /// The exit status, and all that the terminal showed.
    fn end(mut self) -> (ExitStatus, String) {
        while let Ok(byte) = self.output.recv_timeout(PATIENCE) {
            self.seen.push(char::from(byte));
        }
        (self.child.wait().unwrap(), self.seen.clone())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The command may have ended; otherwise it ends with its terminal.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn s0_08_the_password_is_asked_for_twice() {
    let bench = Bench::new();
    for command in ["htpasswd -Bc f alice", "user passwd alice --file f"] {
        let mut session = Session::start(&bench, command);
        session.answer("New password: ", "s3cret\n");
        session.answer("Re-type new password: ", "s3cret\n");
        let (status, shown) = session.end();
        assert!(
            status.success() && !shown.contains("s3cret"),
            "{command}: {shown}"
        );
        bench.run(WHARF, &["htpasswd", "-vb", "f", "alice", "s3cret"]);
    }
    let before = bench.read("f");
    let mut session = Session::start(&bench, "htpasswd -B f alice");
    session.answer("New password: ", "one\n");
    session.answer("Re-type new password: ", "two\n");
    let (status, shown) = session.end();
    assert_eq!(status.code(), Some(3), "{shown}");
    assert!(shown.contains("htpasswd: password verification error"), "{shown}");
    assert_eq!(bench.read("f"), before);
    let mut session = Session::start(&bench, "htpasswd -v f alice");
    session.answer("Enter password: ", "s3cret\n");
    assert!(session.end().0.success());
}

async fn what_is_typed_can_be_corrected_and_interrupted() {
    let bench = Bench::new();
    let mut session = Session::start(&bench, "htpasswd -Bc f alice");
    // Backspace, also over a character of two bytes, and control-U.
    session.answer("New password: ", "wrong\u{15}pwä\u{7f}x\u{7f}ß\n");
    session.answer("Re-type new password: ", "pwß\n");
    let (status, shown) = session.end();
    assert!(status.success(), "{shown}");
    bench.run(WHARF, &["htpasswd", "-vb", "f", "alice", "pwß"]);
    let before = bench.read("f");
    let mut session = Session::start(&bench, "htpasswd -B f alice");
    session.answer("New password: ", "half\u{3}");
    let (status, shown) = session.end();
    assert_eq!(status.code(), Some(4), "{shown}");
    assert_eq!(bench.read("f"), before);
}

async fn without_a_terminal_it_is_read_from_a_pipe() {
    // `setsid` takes the terminal away that the test itself may have.
    let bench = Bench::new();
    let arguments = ["--wait", WHARF, "htpasswd", "-Bc", "f", "alice"];
    let ran = bench.try_run_with_input("setsid", &arguments, b"pw\npw\n");
    assert!(ran.succeeded, "{}", ran.stderr);
    bench.run(WHARF, &["htpasswd", "-vb", "f", "alice", "pw"]);
}
