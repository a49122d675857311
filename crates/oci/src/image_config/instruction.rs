//! The instruction of a Dockerfile that a step of a build was made by.

/// What the classic builder of docker writes before an instruction that runs nothing.
const NOTHING: &str = "/bin/sh -c #(nop)";
/// What it writes before the command of `RUN`.
const SHELL: &str = "/bin/sh -c ";
/// What BuildKit writes behind each instruction.
const BUILDKIT: &str = " # buildkit";

/// The instruction that was typed, of the text that a builder wrote into the history of the image.
pub fn instruction(made: &str) -> String {
    let made = made.strip_suffix(BUILDKIT).unwrap_or(made);
    if let Some(rest) = made.strip_prefix(NOTHING) {
        return rest.trim().to_owned();
    }
    if let Some(command) = made.strip_prefix(SHELL) {
        return format!("RUN {}", command.trim());
    }
    // `RUN /bin/sh -c apk add x`, and with build arguments `RUN |1 VERSION=7 /bin/sh -c …`.
    if let Some(run) = made.strip_prefix("RUN ")
        && let Some((before, command)) = run.split_once(SHELL)
        && (before.is_empty() || before.starts_with('|'))
    {
        return format!("RUN {}", command.trim());
    }
    if let Some(arguments) = made.strip_prefix('|')
        && let Some((_, command)) = arguments.split_once(SHELL)
    {
        return format!("RUN {}", command.trim());
    }
    made.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_those_that_were_typed() {
        for (made, expected) in [
            (
                "/bin/sh -c #(nop) ADD file:0eb5ea35741d23fe39cbac245b3a5d84856ed6384f4ff07d496369ee6d960bad in / ",
                "ADD file:0eb5ea35741d23fe39cbac245b3a5d84856ed6384f4ff07d496369ee6d960bad in /",
            ),
            ("/bin/sh -c #(nop)  CMD [\"/bin/sh\"]", "CMD [\"/bin/sh\"]"),
            ("/bin/sh -c apk add curl", "RUN apk add curl"),
            ("RUN /bin/sh -c apk add curl # buildkit", "RUN apk add curl"),
            ("RUN |1 V=7 /bin/sh -c echo $V # buildkit", "RUN echo $V"),
            ("|1 V=7 /bin/sh -c echo $V", "RUN echo $V"),
            ("COPY . /app # buildkit", "COPY . /app"),
            ("ENTRYPOINT [\"/app\"]", "ENTRYPOINT [\"/app\"]"),
            ("bazel build ...", "bazel build ..."),
        ] {
            assert_eq!(instruction(made), expected);
        }
    }
}
