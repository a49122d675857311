//! Where the credentials come from: the order in which the SDK of AWS looks for them, and its shared files.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use object_store::{CredentialProvider, Error, Result, aws::AwsCredential};
use parking_lot::Mutex;

/// How long the keys of a shared file are used before the file is read again.
const FRESH: Duration = Duration::from_secs(60);

/// Where the credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// These, for as long as the process lives
    Fixed(AccessKey),
    /// Those of a profile in the shared files, which may change
    Shared(SharedFiles),
    /// Those that a service account of Kubernetes is exchanged for
    WebIdentity {
        /// File with the token
        token_file: String,
        /// The role to take
        role: String,
        /// Name of the session in the audit trail
        session: Option<String>,
    },
    /// Those of a container of ECS: the path of the credentials
    Container(String),
    /// Those of a pod of EKS
    Pod {
        /// Address of the agent
        uri: String,
        /// File with the token
        token_file: String,
    },
    /// Those of the machine, from its metadata
    #[default]
    Instance,
}

/// A pair of keys. Its secrets are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// ID of the key
    pub id: String,
    /// The secret
    pub secret: String,
    /// Token of a session, for temporary keys
    pub token: Option<String>,
}

/// A profile in the files that the tools of AWS share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFiles {
    /// Path of the file with keys: `~/.aws/credentials`
    pub credentials: PathBuf,
    /// Path of the file with settings, which may have keys as well: `~/.aws/config`
    pub config: PathBuf,
    /// Name of the profile
    pub profile: String,
}

impl Credentials {
    /// Finds them as the SDK of AWS does: in the environment, by a service account, in the shared files, from the container,
    /// and at last from the machine. `variable` reads the environment.
    ///
    /// # Errors
    ///
    /// One sentence with the cause and the remedy, when half of a pair is set, a shared file cannot be read or names keys in
    /// a way that is not supported, or nothing is found and the metadata of the machine must not be asked.
    pub fn find(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let text = |name: &str| {
            let value = variable(name)?.into_string().ok()?;
            (!value.is_empty()).then_some(value)
        };
        let either = |one: &str, other: &str| text(one).or_else(|| text(other));
        let id = either("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY");
        let secret = either("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY");
        match (id, secret) {
            (Some(id), Some(secret)) => {
                let token = text("AWS_SESSION_TOKEN");
                return Ok(Self::Fixed(AccessKey { id, secret, token }));
            }
            (None, None) => {}
            (Some(_), None) => {
                return Err("AWS_ACCESS_KEY_ID is set, but not AWS_SECRET_ACCESS_KEY".to_owned());
            }
            (None, Some(_)) => {
                return Err("AWS_SECRET_ACCESS_KEY is set, but not AWS_ACCESS_KEY_ID".to_owned());
            }
        }
        if let Some(token_file) = text("AWS_WEB_IDENTITY_TOKEN_FILE") {
            let role = text("AWS_ROLE_ARN")
                .ok_or("AWS_WEB_IDENTITY_TOKEN_FILE is set, but not AWS_ROLE_ARN, the role to take")?;
            let session = text("AWS_ROLE_SESSION_NAME");
            return Ok(Self::WebIdentity {
                token_file,
                role,
                session,
            });
        }
        let named = either("AWS_PROFILE", "AWS_DEFAULT_PROFILE");
        if let Some(shared) = SharedFiles::of(variable, named.as_deref())
            && let Some(found) = shared.find(named.is_some())?
        {
            return Ok(found);
        }
        if let Some(path) = text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            return Ok(Self::Container(path));
        }
        if let (Some(uri), Some(token_file)) = (
            text("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        ) {
            return Ok(Self::Pod { uri, token_file });
        }
        match text("AWS_EC2_METADATA_DISABLED") {
            Some(disabled) if disabled.eq_ignore_ascii_case("true") => Err(
                "there are no credentials: neither variables, nor a shared file, nor a service account or a container, and \
                 AWS_EC2_METADATA_DISABLED forbids to ask the machine; set `accesskey` and `secretkey`"
                    .to_owned(),
            ),
            _ => Ok(Self::Instance),
        }
    }
}

impl SharedFiles {
    /// The files that the environment names, or those in the home directory.
    fn of(variable: &dyn Fn(&str) -> Option<OsString>, profile: Option<&str>) -> Option<Self> {
        let home = variable("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from);
        let path = |name: &str, file: &str| {
            let named = variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
            named.or_else(|| Some(home.as_ref()?.join(".aws").join(file)))
        };
        Some(Self {
            credentials: path("AWS_SHARED_CREDENTIALS_FILE", "credentials")?,
            config: path("AWS_CONFIG_FILE", "config")?,
            profile: profile.unwrap_or("default").to_owned(),
        })
    }

    /// What the profile says; `None` when there is none, unless it was named.
    fn find(&self, is_named: bool) -> Result<Option<Credentials>, String> {
        let Some(settings) = self.read()? else {
            let text = format!(
                "there is no profile `{}` in {} or {}; AWS_PROFILE names it",
                self.profile,
                self.credentials.display(),
                self.config.display()
            );
            return if is_named { Err(text) } else { Ok(None) };
        };
        if access_key(&settings).is_some() {
            return Ok(Some(Credentials::Shared(self.clone())));
        }
        let get = |name: &str| settings.get(name).cloned();
        if let (Some(token_file), Some(role)) = (get("web_identity_token_file"), get("role_arn")) {
            return Ok(Some(Credentials::WebIdentity {
                token_file,
                role,
                session: get("role_session_name"),
            }));
        }
        let unsupported = ["role_arn", "credential_process", "sso_session", "sso_start_url"];
        match unsupported.into_iter().find(|name| settings.contains_key(*name)) {
            Some(name) => Err(format!(
                "the profile `{}` in {} has `{name}`, which is not supported; give it aws_access_key_id and \
                 aws_secret_access_key, or set `accesskey` and `secretkey`",
                self.profile,
                self.config.display()
            )),
            None => Ok(None),
        }
    }

    /// The settings of the profile in both files; those of the file with keys win.
    fn read(&self) -> Result<Option<BTreeMap<String, String>>, String> {
        let in_config = match self.profile.as_str() {
            "default" => "default".to_owned(),
            profile => format!("profile {profile}"),
        };
        let config = profile(&read(&self.config)?, &in_config);
        let keys = profile(&read(&self.credentials)?, &self.profile);
        Ok(match (config, keys) {
            (None, None) => None,
            (config, keys) => {
                let mut settings = config.unwrap_or_default();
                settings.extend(keys.unwrap_or_default());
                Some(settings)
            }
        })
    }
}

/// Reads the keys of a profile again and again.
#[derive(Debug)]
pub(super) struct SharedProvider {
    files: SharedFiles,
    read: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

impl SharedProvider {
    pub(super) fn new(files: SharedFiles) -> Self {
        Self {
            files,
            read: Mutex::default(),
        }
    }
}

#[async_trait]
impl CredentialProvider for SharedProvider {
    type Credential = AwsCredential;

    /// The file is small and local: it is read in place, once a minute.
    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut read = self.read.lock();
        if let Some((at, credential)) = &*read
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(credential));
        }
        let settings = self.files.read().map_err(unreadable)?.unwrap_or_default();
        let AccessKey { id, secret, token } = access_key(&settings).ok_or_else(|| {
            unreadable(format!(
                "the profile `{}` in {} has no keys any more",
                self.files.profile,
                self.files.credentials.display()
            ))
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: id,
            secret_key: secret,
            token,
        });
        *read = Some((Instant::now(), Arc::clone(&credential)));
        Ok(credential)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn unreadable(reason: String) -> Error {
    Error::Generic {
        store: "S3",
        source: reason.into(),
    }
}

fn access_key(settings: &BTreeMap<String, String>) -> Option<AccessKey> {
    Some(AccessKey {
        id: settings.get("aws_access_key_id")?.clone(),
        secret: settings.get("aws_secret_access_key")?.clone(),
        token: settings.get("aws_session_token").cloned(),
    })
}

/// The text of a shared file; empty when there is none.
#[expect(
    clippy::disallowed_methods,
    reason = "a file of the operator, and not of the store"
)]
fn read(path: &Path) -> Result<String, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!(
            "cannot read the credentials in {}: {error}",
            path.display()
        )),
    }
}

/// The settings below the headline `name`; `None` when there is no such headline.
fn profile(text: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let mut found = None;
    let mut is_inside = false;
    for line in text.lines() {
        let line = line.trim_end();
        if let Some(headline) = line.strip_prefix('[') {
            let headline: Vec<&str> = headline
                .split(']')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            is_inside = headline.join(" ") == name;
            if is_inside {
                found.get_or_insert_with(BTreeMap::new);
            }
        } else if is_inside
            // Indented lines belong to the setting above them.
            && !line.starts_with([' ', '\t', '#', ';'])
            && let (Some((key, value)), Some(settings)) = (line.split_once('='), &mut found)
        {
            settings.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "writes the files of the operator")]
mod tests {
    use super::*;

    fn find(variables: &[(&str, &str)]) -> Result<Credentials, String> {
        Credentials::find(&|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn key(id: &str) -> AccessKey {
        AccessKey {
            id: id.to_owned(),
            secret: "s".to_owned(),
            token: None,
        }
    }

    #[test]
    fn the_environment_comes_first_and_the_machine_last() {
        let all = [
            ("AWS_ACCESS_KEY", "a"),
            ("AWS_SECRET_KEY", "s"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_ROLE_ARN", "role"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/path"),
        ];
        assert_eq!(find(&all), Ok(Credentials::Fixed(key("a"))));
        let Ok(Credentials::WebIdentity { role, .. }) = find(&all[2..]) else {
            panic!("the service account comes next")
        };
        assert_eq!(role, "role");
        assert_eq!(find(&all[4..]), Ok(Credentials::Container("/path".to_owned())));
        assert_eq!(find(&[]), Ok(Credentials::Instance));
        assert!(find(&all[..1]).unwrap_err().contains("AWS_SECRET_ACCESS_KEY"));
        assert!(find(&all[2..3]).unwrap_err().contains("AWS_ROLE_ARN"));
        assert!(
            find(&[("AWS_EC2_METADATA_DISABLED", "true")])
                .unwrap_err()
                .contains("set `accesskey`")
        );
    }

    #[tokio::test]
    async fn a_profile_is_read_from_both_files() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(home.path().join(".aws").join(name), text).unwrap();
        write(
            "credentials",
            "# keys\n[default]\naws_access_key_id = d\naws_secret_access_key=s\n\n[ other ]\naws_access_key_id=o\n aws_secret_access_key=x\n",
        );
        write(
            "config",
            "[profile other]\nregion = r\ns3 =\n  aws_secret_access_key = nested\naws_secret_access_key = s\n\
             [profile process]\ncredential_process = /bin/keys\n",
        );
        let directory = home.path().to_str().unwrap();
        let of = |profile: &str| find(&[("HOME", directory), ("AWS_PROFILE", profile)]);
        let Ok(Credentials::Shared(files)) = find(&[("HOME", directory)]) else {
            panic!("the default profile")
        };
        let provider = SharedProvider::new(files);
        assert_eq!(provider.get_credential().await.unwrap().key_id, "d");
        let Ok(Credentials::Shared(files)) = of("other") else {
            panic!("another profile")
        };
        assert_eq!(access_key(&files.read().unwrap().unwrap()), Some(key("o")));
        assert!(
            of("process")
                .unwrap_err()
                .contains("`credential_process`, which is not supported")
        );
        assert!(of("none").unwrap_err().contains("there is no profile `none`"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let key = AccessKey {
            id: "an-id".to_owned(),
            secret: "a-secret".to_owned(),
            token: Some("a-token".to_owned()),
        };
        let shown = format!("{:?}", Credentials::Fixed(key));
        assert!(shown.contains("an-id") && !shown.contains("a-secret") && !shown.contains("a-token"));
    }
}
