//! Opens a bucket of Google Cloud or Azure: finds the credentials, and asks the store once, so that a wrong setting is one
//! sentence at the start.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use jiff::SignedDuration;
use wharf_budget::Share;
use wharf_storage::object::{
    Abilities, ObjectStorage, Prefix, Store,
    clouds::{Azure, AzureLogin, AzureSettings, Gcs, GcsLogin, GcsSettings},
};

use crate::config::{AzureIdentity, Cloud, CloudBucket, GcsKey};

/// A registry in a bucket, and what is known of the store.
pub(crate) struct Opened {
    pub(crate) storage: ObjectStorage,
    pub(crate) abilities: Abilities,
    /// How far this machine's clock is ahead of the store's, if the store says its time
    pub(crate) skew: Option<SignedDuration>,
}

/// Opens the registry in a bucket. Its uploads share the memory `parts`.
///
/// # Errors
///
/// When there are no credentials, a setting cannot be used, or the store does not answer as it should.
pub(crate) async fn open(bucket: &CloudBucket, parts: Share) -> anyhow::Result<Opened> {
    let (skew, store): (_, Arc<dyn Store>) = match client(bucket)? {
        Client::Gcs(client) => (client.check().await, Arc::new(client)),
        Client::Azure(client) => (client.check().await, Arc::new(client)),
    };
    let skew = skew.map_err(|reason| anyhow!(reason))?;
    let abilities = store.abilities();
    let prefix = Prefix::from(bucket.prefix.as_str());
    Ok(Opened {
        storage: ObjectStorage::sharing(store, prefix, parts, bucket.options),
        abilities,
        skew,
    })
}

/// Looks at the credentials, and sends nothing.
///
/// # Errors
///
/// When a setting, or a file that one names, cannot be used.
pub(crate) fn look(bucket: &CloudBucket) -> anyhow::Result<()> {
    client(bucket).map(drop)
}

/// A client of a bucket.
enum Client {
    Gcs(Gcs),
    Azure(Azure),
}

/// The value of an environment variable; an empty one counts as absent.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

fn client(bucket: &CloudBucket) -> anyhow::Result<Client> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    match &bucket.cloud {
        Cloud::Gcs(settings, key) => google(settings, key, &variable).map(Client::Gcs),
        Cloud::Azure(settings, identity) => azure(settings, identity, &variable).map(Client::Azure),
    }
}

fn google(settings: &GcsSettings, key: &GcsKey, variable: Variable<'_>) -> anyhow::Result<Gcs> {
    let mut settings = settings.clone();
    let login = match variable("STORAGE_EMULATOR_HOST") {
        Some(host) => {
            let endpoint = if host.contains("://") {
                host
            } else {
                format!("http://{host}")
            };
            settings.endpoint = Some(endpoint);
            GcsLogin::None
        }
        None => google_login(key, variable)?,
    };
    Gcs::new(&settings, &login)
        .with_context(|| format!("cannot use the bucket `{}` of `storage.gcs`", settings.bucket))
}

/// The credentials that are configured, or else those that Google's programs would use.
fn google_login(key: &GcsKey, variable: Variable<'_>) -> anyhow::Result<GcsLogin> {
    match key {
        GcsKey::Json(json) => Ok(GcsLogin::ServiceAccount(json.clone())),
        GcsKey::File(path) => login_of(path, "`storage.gcs.keyfile`"),
        GcsKey::Found => {
            if let Some(path) = variable("GOOGLE_APPLICATION_CREDENTIALS") {
                return login_of(Path::new(&path), "GOOGLE_APPLICATION_CREDENTIALS");
            }
            let of_user = variable("HOME")
                .map(|home| PathBuf::from(home).join(".config/gcloud/application_default_credentials.json"));
            match of_user.filter(|path| path.exists()) {
                Some(path) => login_of(&path, "`gcloud`"),
                None => Ok(GcsLogin::Machine),
            }
        }
    }
}

/// The credentials in a file, which `source` names.
fn login_of(path: &Path, source: &str) -> anyhow::Result<GcsLogin> {
    let cannot = || {
        format!(
            "cannot use `{}`, the credentials that {source} names",
            path.display()
        )
    };
    #[expect(clippy::disallowed_methods, reason = "it is not a file of the store")]
    let json = std::fs::read_to_string(path).with_context(cannot)?;
    let content: serde_json::Value = serde_json::from_str(&json).with_context(cannot)?;
    match content["type"].as_str() {
        Some("service_account") => Ok(GcsLogin::ServiceAccount(json)),
        Some("authorized_user") => Ok(GcsLogin::User(path.to_owned())),
        Some(other) => bail!(
            "{}: credentials of type `{}` are not supported; use the key of a service account, or the account of the machine",
            cannot(),
            other.escape_debug()
        ),
        None => bail!("{}: it has no `type`, so it is no file of credentials", cannot()),
    }
}

fn azure(
    settings: &AzureSettings,
    identity: &AzureIdentity,
    variable: Variable<'_>,
) -> anyhow::Result<Azure> {
    let login = match identity {
        AzureIdentity::Configured(login) => login.clone(),
        AzureIdentity::Found { authority } => azure_login(authority.as_deref(), variable),
    };
    Azure::new(settings, &login).with_context(|| {
        format!(
            "cannot use the container `{}` of `storage.azure`",
            settings.container
        )
    })
}

/// The identity that Azure's programs would use.
fn azure_login(authority: Option<&str>, variable: Variable<'_>) -> AzureLogin {
    let (id, tenant) = (variable("AZURE_CLIENT_ID"), variable("AZURE_TENANT_ID"));
    let authority = variable("AZURE_AUTHORITY_HOST").or_else(|| authority.map(str::to_owned));
    let token_file = variable("AZURE_FEDERATED_TOKEN_FILE");
    match (id, tenant, token_file, variable("AZURE_CLIENT_SECRET")) {
        (Some(id), Some(tenant), Some(token_file), _) => AzureLogin::Workload {
            id,
            tenant,
            token_file,
            authority,
        },
        (Some(id), Some(tenant), None, Some(secret)) => AzureLogin::Client {
            id,
            tenant,
            secret,
            authority,
        },
        (id, ..) => AzureLogin::Machine(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> AzureLogin {
        azure_login(Some("https://login.china"), &|name| {
            let variable = variables.iter().find(|(known, _)| *known == name);
            variable.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_first_identity_that_azure_has_counts() {
        let application = [("AZURE_CLIENT_ID", "i"), ("AZURE_TENANT_ID", "t")];
        assert_eq!(found(&[]), AzureLogin::Machine(None));
        assert_eq!(found(&application), AzureLogin::Machine(Some("i".to_owned())));
        let with = |more: &[(&'static str, &'static str)]| found(&[&application[..], more].concat());
        let secret = ("AZURE_CLIENT_SECRET", "s");
        let AzureLogin::Client { authority, .. } = with(&[secret]) else {
            panic!("no application")
        };
        assert_eq!(authority.as_deref(), Some("https://login.china"));
        let token = ("AZURE_FEDERATED_TOKEN_FILE", "/t");
        let host = ("AZURE_AUTHORITY_HOST", "https://login.us");
        let AzureLogin::Workload { authority, .. } = with(&[secret, token, host]) else {
            panic!("no service account")
        };
        assert_eq!(authority.as_deref(), Some("https://login.us"));
    }

    #[test]
    fn the_kind_of_a_file_of_credentials_is_its_type() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.json");
        let login = |content: &str| {
            #[expect(clippy::disallowed_methods, reason = "a test writes files")]
            std::fs::write(&path, content).unwrap();
            google_login(&GcsKey::File(path.clone()), &|_| None).map_err(|error| format!("{error:#}"))
        };
        let key = r#"{"type": "service_account"}"#;
        assert_eq!(login(key), Ok(GcsLogin::ServiceAccount(key.to_owned())));
        assert_eq!(
            login(r#"{"type": "authorized_user"}"#),
            Ok(GcsLogin::User(path.clone()))
        );
        let refused = login(r#"{"type": "external_account"}"#).unwrap_err();
        assert!(
            refused.contains("type `external_account` are not supported"),
            "{refused}"
        );
        assert!(login("{}").unwrap_err().contains("it has no `type`"));
        assert!(login("x").unwrap_err().contains("`storage.gcs.keyfile` names"));
        assert_eq!(
            google_login(&GcsKey::Found, &|_| None).unwrap(),
            GcsLogin::Machine
        );
    }
}
