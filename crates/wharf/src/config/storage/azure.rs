//! `storage.azure`: a container of Azure Blob Storage.

use std::time::Duration;

use wharf_storage::object::{
    ObjectOptions,
    clouds::{AzureLogin, AzureSettings},
};

use crate::config::{
    AzureIdentity, Cloud, CloudBucket,
    keys::{Default, Group, Key, Secret, Since::From3, keys, words},
    section::Section,
    storage::prefix,
};

/// The address and the key of an emulator, which its documentation has.
const EMULATOR: (&str, &str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "http://127.0.0.1:10000/devstoreaccount1",
);

keys! {
    pub(super) AZURE: Group = Key::named("storage.azure").help("Store the data in a container of Azure Blob Storage, as registry:2 does; see [clouds](clouds.md)");
    ACCOUNT: Option<String> = Key::new("storage.azure.accountname").help("Name of the storage account");
    ACCOUNT_KEY: Option<Secret> = Key::new("storage.azure.accountkey").help("Key of the account");
    CONTAINER: Option<String> = Key::new("storage.azure.container").help("Name of the container; it must exist");
    CONNECTION: Option<Secret> = Key::new("storage.azure.connectionstring")
        .help("Connection string of the account, in place of `accountname`, `accountkey` and `serviceurl`");
    KIND: Option<Login> = Key::new("storage.azure.credentials.type")
        .shown_default(Default::Words("`shared_key` if there is a key, else `default_credentials`"))
        .help("How requests are authorised: a key, an application, or what the machine has");
    CLIENT_ID: Option<String> = Key::new("storage.azure.credentials.clientid").help("ID of the application, for `client_secret`");
    TENANT_ID: Option<String> = Key::new("storage.azure.credentials.tenantid")
        .help("ID of the directory of the application, for `client_secret`");
    SECRET: Option<Secret> = Key::new("storage.azure.credentials.secret").help("Secret of the application, for `client_secret`");
    REALM: String = Key::new("storage.azure.realm")
        .default("core.windows.net")
        .help("Domain of the cloud, as `core.usgovcloudapi.net`");
    SERVICE_URL: Option<String> = Key::new("storage.azure.serviceurl")
        .shown_default(Default::Words("`https://<accountname>.blob.<realm>`"))
        .help("Address of the account");
    ROOT: Option<String> = Key::new("storage.azure.rootdirectory")
        .help("Prefix of all keys; `docker/registry/v2` follows it");
    RETRIES: i64 = Key::new("storage.azure.max_retries")
        .default("5")
        .help("How often a request is repeated at most");
    RETRY_DELAY: Duration = Key::new("storage.azure.retry_delay")
        .default("100ms")
        .help("The wait before a request is repeated for the first time; each further one is twice as long");
    SKIP_VERIFY: bool = Key::new("storage.azure.skipverify")
        .default("false")
        .help("Accept any certificate of the store")
        .since(From3("3.0"));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    Client,
    Key,
    Found,
}

words! { Login:
    "client_secret" => Self::Client,
    "shared_key" => Self::Key,
    "default_credentials" => Self::Found,
}

/// What names the account.
struct Account {
    name: String,
    key: Option<String>,
    endpoint: String,
}

/// Reads `storage.azure`. `None`: a problem has been reported.
pub(super) fn read(root: &Section<'_>) -> Option<CloudBucket> {
    let container = root.get(CONTAINER);
    if container.is_none() {
        root.problem(CONTAINER, "is missing");
    }
    let prefix = prefix(root, ROOT);
    let retries = u32::try_from(root.get(RETRIES)).ok();
    if retries.is_none() {
        root.problem(RETRIES, "must not be negative");
    }
    let account = account(root)?;
    let identity = identity(root, account.key)?;
    let settings = AzureSettings {
        account: account.name,
        container: container?,
        endpoint: account.endpoint,
        prefix: prefix.clone(),
        skip_verify: root.get(SKIP_VERIFY),
        max_retries: retries?,
        retry_delay: root.get(RETRY_DELAY),
    };
    Some(CloudBucket {
        cloud: Cloud::Azure(settings, identity),
        prefix,
        options: ObjectOptions::default(),
    })
}

fn account(root: &Section<'_>) -> Option<Account> {
    if let Some(Secret(text)) = root.get(CONNECTION) {
        for key in [ACCOUNT.into(), ACCOUNT_KEY.into(), SERVICE_URL.into()] {
            warn_beside(root, key, "has no effect beside `connectionstring`");
        }
        return match connection(&text, &root.get(REALM)) {
            Ok(account) => Some(account),
            Err(reason) => {
                root.problem(CONNECTION, &reason);
                None
            }
        };
    }
    let Some(name) = root.get(ACCOUNT) else {
        root.problem(ACCOUNT, "is missing");
        return None;
    };
    let endpoint = match root.get(SERVICE_URL) {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            url.trim_end_matches('/').to_owned()
        }
        Some(url) => {
            let text = format!(
                "must be a URL such as `https://{name}.blob.core.windows.net`, not `{}`",
                url.escape_debug()
            );
            root.problem(SERVICE_URL, &text);
            return None;
        }
        None => format!("https://{name}.blob.{}", root.get(REALM)),
    };
    let key = root.get(ACCOUNT_KEY).map(|Secret(key)| key);
    Some(Account { name, key, endpoint })
}

fn warn_beside(root: &Section<'_>, key: crate::config::keys::KeyInfo, text: &str) {
    if root.has(key) {
        root.warning(key, text);
    }
}

/// Reads `AccountName=…;AccountKey=…`; what is missing follows from the rest.
fn connection(text: &str, realm: &str) -> Result<Account, String> {
    let part = |wanted: &str| {
        let mut parts = text.split(';').filter_map(|part| part.split_once('='));
        let found = parts.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    };
    if part("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let (name, key, endpoint) = EMULATOR;
        return Ok(Account {
            name: name.to_owned(),
            key: Some(key.to_owned()),
            endpoint: endpoint.to_owned(),
        });
    }
    if part("SharedAccessSignature").is_some() {
        return Err(
            "has a shared access signature, which cannot sign URLs for clients; use one with `AccountKey`"
                .to_owned(),
        );
    }
    let name = part("AccountName").ok_or("has no `AccountName`")?;
    let key = part("AccountKey").ok_or("has no `AccountKey`")?;
    let endpoint = match part("BlobEndpoint") {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let scheme = part("DefaultEndpointsProtocol").unwrap_or("https");
            let suffix = part("EndpointSuffix").unwrap_or(realm);
            format!("{scheme}://{name}.blob.{suffix}")
        }
    };
    Ok(Account {
        name: name.to_owned(),
        key: Some(key.to_owned()),
        endpoint,
    })
}

fn identity(root: &Section<'_>, key: Option<String>) -> Option<AzureIdentity> {
    let kind = root.get(KIND).unwrap_or(match key {
        Some(_) => Login::Key,
        None => Login::Found,
    });
    let authority = authority(&root.get(REALM));
    if kind != Login::Client {
        for key in [CLIENT_ID.into(), TENANT_ID.into(), SECRET.into()] {
            warn_beside(root, key, "has no effect without `type: client_secret`");
        }
    }
    if kind != Login::Key && root.has(ACCOUNT_KEY) {
        root.warning(ACCOUNT_KEY, "has no effect beside this `type` of `credentials`");
    }
    match kind {
        Login::Found => Some(AzureIdentity::Found { authority }),
        Login::Key => match key {
            Some(key) => Some(AzureIdentity::Configured(AzureLogin::Key(key))),
            None => {
                root.problem(ACCOUNT_KEY, "is missing");
                None
            }
        },
        Login::Client => {
            let (id, tenant, secret) = (root.get(CLIENT_ID), root.get(TENANT_ID), root.get(SECRET));
            let missing = [
                (CLIENT_ID.info(), id.is_none()),
                (TENANT_ID.info(), tenant.is_none()),
                (SECRET.info(), secret.is_none()),
            ];
            for (key, _) in missing.into_iter().filter(|(_, is_missing)| *is_missing) {
                root.problem(key, "is missing; `type: client_secret` needs it");
            }
            let Secret(secret) = secret?;
            Some(AzureIdentity::Configured(AzureLogin::Client {
                id: id?,
                tenant: tenant?,
                secret,
                authority,
            }))
        }
    }
}

/// Address of Entra ID in the cloud of a realm; `None`: the public one.
fn authority(realm: &str) -> Option<String> {
    let address = match realm {
        "core.chinacloudapi.cn" => "https://login.chinacloudapi.cn",
        "core.usgovcloudapi.net" => "https://login.microsoftonline.us",
        _ => return None,
    };
    Some(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_names_account_key_and_address() {
        let read = |text: &str| {
            let account = connection(text, "core.windows.net");
            account.map(|account| (account.name, account.key.unwrap_or_default(), account.endpoint))
        };
        let expected = |endpoint: &str| Ok(("a".to_owned(), "k==".to_owned(), endpoint.to_owned()));
        assert_eq!(
            read(
                "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k==;EndpointSuffix=core.chinacloudapi.cn"
            ),
            expected("https://a.blob.core.chinacloudapi.cn")
        );
        assert_eq!(
            read("AccountName=a;AccountKey=k=="),
            expected("https://a.blob.core.windows.net")
        );
        assert_eq!(
            read("AccountKey=k==;BlobEndpoint=http://h:1/a/; accountname = a ;"),
            expected("http://h:1/a")
        );
        assert_eq!(read("UseDevelopmentStorage=true").unwrap().0, "devstoreaccount1");
        assert!(read("AccountName=a").unwrap_err().contains("no `AccountKey`"));
        assert!(
            read("BlobEndpoint=https://a;SharedAccessSignature=sv=1")
                .unwrap_err()
                .contains("cannot sign URLs")
        );
    }
}
