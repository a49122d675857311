//! The container image: a static binary, Debian's busybox, and the file systems that Dockerfile copies.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};

use crate::project::{self, succeed};

/// Directory of the file systems, from the root of the project; the context of the build.
const CONTEXT: &str = "target/image";

/// Path of the certificate authorities on Debian and its relatives.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Users by name, for `docker run --user registry`.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    registry:x:65532:65532:registry:/var/lib/registry:/bin/sh\n\
    nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\nregistry:x:65532:\nnobody:x:65534:\n";

/// How to build the image.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The name of the image; the one without a shell gets `-minimal` behind it.
    #[arg(long, default_value = "wharf:latest")]
    tag: String,

    /// Only lay out the file systems below target/image.
    #[arg(long)]
    rootfs_only: bool,

    /// A static binary to use instead of building one.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// Builds the image.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = project::root();
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => build_binary()?,
    };
    let context = root.join(CONTEXT);
    match fs::remove_dir_all(&context) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    lay_out(&context.join("minimal"), &root, &binary)?;
    lay_out_shell(&context.join("shell"), &root)?;
    println!("laid out {CONTEXT}/minimal and {CONTEXT}/shell");
    if options.rootfs_only {
        return Ok(());
    }
    let builder = builder()?;
    let minimal = match options.tag.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => format!("{name}:{tag}-minimal"),
        _ => format!("{}:minimal", options.tag),
    };
    for (target, tag) in [("full", &options.tag), ("minimal", &minimal)] {
        let mut build = Command::new(builder);
        build.args(["build", "--file"]).arg(root.join("Dockerfile"));
        build.args(["--target", target, "--tag", tag]).arg(&context);
        succeed(&mut build)?;
        println!("built {tag}");
    }
    Ok(())
}

/// The release binary, without any library.
fn build_binary() -> anyhow::Result<PathBuf> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    if succeed(Command::new("rustup").args(["target", "add", &target])).is_err() {
        eprintln!("no rustup here; cargo says if the target {target} is missing");
    }
    let mut build = project::cargo();
    build.args([
        "build",
        "--release",
        "--locked",
        "--package",
        "wharf",
        "--target",
        &target,
    ]);
    succeed(&mut build)
        .context("the static binary needs a C compiler for musl; on Debian: apt-get install musl-tools")?;
    Ok(project::target().join(target).join("release/wharf"))
}

/// Files of both images.
fn lay_out(image: &Path, root: &Path, binary: &Path) -> anyhow::Result<()> {
    for directory in [
        "bin",
        "etc/docker/registry",
        "etc/ssl/certs",
        "tmp",
        "var/lib/registry",
    ] {
        fs::create_dir_all(image.join(directory))?;
    }
    // A container that runs as any user gets a volume that this user can write.
    for open in ["tmp", "var/lib/registry"] {
        fs::set_permissions(image.join(open), fs::Permissions::from_mode(0o1777))?;
    }
    copy(binary, &image.join("bin/registry"), 0o755)?;
    for name in ["wharf", "htpasswd", "docker-credential-wharf"] {
        symlink("registry", image.join("bin").join(name))?;
    }
    copy(
        &root.join("packaging/config.yml"),
        &image.join("etc/docker/registry/config.yml"),
        0o644,
    )?;
    write(&image.join("etc/passwd"), PASSWD)?;
    write(&image.join("etc/group"), GROUP)?;
    match fs::exists(CERTIFICATES) {
        Ok(true) => copy(
            Path::new(CERTIFICATES),
            &image.join("etc/ssl/certs/ca-certificates.crt"),
            0o644,
        ),
        _ => {
            eprintln!("no {CERTIFICATES} here: the image will trust no https server by itself");
            Ok(())
        }
    }
}

/// Further files of the full image: the shell, the tools that operators use, and the script that is the entry point.
fn lay_out_shell(image: &Path, root: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(image.join("bin"))?;
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
        .context("the image needs busybox; on Debian: apt-get install busybox-static")?;
    let applets = Command::new(busybox).arg("--list").output()?;
    ensure!(applets.status.success(), "`{} --list` failed", busybox.display());
    copy(busybox, &image.join("bin/busybox"), 0o755)?;
    for applet in String::from_utf8(applets.stdout)?
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        symlink("busybox", image.join("bin").join(applet))
            .with_context(|| format!("cannot add `{applet}`"))?;
    }
    copy(
        &root.join("packaging/entrypoint.sh"),
        &image.join("entrypoint.sh"),
        0o755,
    )
}

fn builder() -> anyhow::Result<&'static str> {
    let works = |program: &&str| {
        let argument = if *program == "docker" { "info" } else { "--version" };
        Command::new(program)
            .arg(argument)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    match ["docker", "podman", "buildah"]
        .iter()
        .find(|program| works(program))
    {
        Some(program) => Ok(program),
        None => {
            bail!("nothing here builds images: docker, podman and buildah do (`--rootfs-only` needs none)")
        }
    }
}

fn copy(from: &Path, to: &Path, mode: u32) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy `{}`", from.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

fn write(to: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(to, text)?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o644))?)
}
