//! podman and buildah: a storage of their own for a test.

use crate::tool::Bench;

/// The file on the bench that says which images may be used: all. For `--signature-policy`.
pub const POLICY: &str = "policy.json";

/// A bench on which containers-storage is its own, on the driver that needs nothing from the kernel.
pub fn with_storage(bench: Bench) -> Bench {
    bench.write(
        "storage.conf",
        &format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            bench.path("graph").display(),
            bench.path("run").display()
        ),
    );
    bench.write(POLICY, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    let configuration = bench.path("storage.conf").display().to_string();
    bench.environment("CONTAINERS_STORAGE_CONF", configuration)
}
