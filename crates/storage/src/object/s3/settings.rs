//! The settings of a bucket, and the addresses that follow from them.

use std::net::IpAddr;

/// How to reach a bucket, and how to write into it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct S3Settings {
    /// Name of the bucket
    pub bucket: String,
    /// Region that requests are signed for; `us-east-1` without one
    pub region: Option<String>,
    /// Address of a store other than AWS, with its scheme and without a path
    pub endpoint: Option<String>,
    /// Address of the store that clients are redirected to, if it differs
    pub redirect_endpoint: Option<String>,
    /// Whether the bucket stands in the path of the URL, and not in its host name
    pub path_style: bool,
    /// Whether AWS is spoken to by https
    pub secure: bool,
    /// Whether any certificate of the store is accepted
    pub skip_verify: bool,
    /// Certificates of authorities to trust beside those of the system, as PEM
    pub authorities: Option<Vec<u8>>,
    /// Whether a proxy in between is spoken to by https
    pub has_secure_proxy: bool,
    /// Which of the names of AWS is used
    pub names: AwsNames,
    /// Encryption by the store
    pub encryption: Encryption,
    /// Storage class of objects; `None`: that of the bucket
    pub storage_class: Option<String>,
    /// Canned ACL of objects; `None`: that of the bucket
    pub acl: Option<String>,
    /// `User-Agent` of requests
    pub user_agent: Option<String>,
}

/// The variants of the names of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AwsNames {
    /// Transfer acceleration
    pub accelerate: bool,
    /// Names with IPv6 addresses
    pub dual_stack: bool,
    /// Servers with validated cryptography
    pub fips: bool,
}

/// Encryption of objects by the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encryption {
    /// As the bucket has it
    #[default]
    Bucket,
    /// With keys of the store
    Aes256,
    /// With a key of AWS's key service: its ID
    Kms(String),
}

impl S3Settings {
    /// The region that requests are signed for.
    pub fn signing_region(&self) -> &str {
        self.region.as_deref().unwrap_or("us-east-1")
    }

    /// The URL of the bucket, without a slash at its end.
    pub fn bucket_url(&self) -> String {
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.aws_endpoint(),
        };
        self.bucket_at(&endpoint)
    }

    /// Whether there may be a certificate to check on the way to the store.
    pub(super) fn needs_authorities(&self) -> bool {
        self.has_secure_proxy || self.bucket_url().starts_with("https:")
    }

    /// Whether clients can be expected to reach the store: not at a loopback address, nor by a name that only machines of one
    /// network resolve, unless there is an address for them.
    pub fn is_reachable_by_clients(&self) -> bool {
        let Some(endpoint) = self
            .redirect_endpoint
            .is_none()
            .then_some(self.endpoint.as_deref())
            .flatten()
        else {
            return true;
        };
        let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        match host.parse::<IpAddr>() {
            Ok(address) => !address.is_loopback() && !address.is_unspecified(),
            Err(_) => {
                host.contains('.')
                    && [".svc", ".cluster.local", ".localhost", ".internal"]
                        .iter()
                        .all(|end| !host.ends_with(end))
            }
        }
    }

    /// The URL of the bucket that clients are redirected to.
    pub(super) fn redirect_url(&self) -> String {
        match &self.redirect_endpoint {
            Some(endpoint) => self.bucket_at(endpoint),
            None => self.bucket_url(),
        }
    }

    fn bucket_at(&self, endpoint: &str) -> String {
        let endpoint = endpoint.trim_end_matches('/');
        match endpoint.split_once("://") {
            Some((scheme, host)) if !self.path_style => format!("{scheme}://{}.{host}", self.bucket),
            _ => format!("{endpoint}/{}", self.bucket),
        }
    }

    /// The address of AWS in the region. `object_store` knows the names of the commercial regions only.
    fn aws_endpoint(&self) -> String {
        let region = self.signing_region();
        let scheme = if self.secure { "https" } else { "http" };
        let stack = if self.names.dual_stack { ".dualstack" } else { "" };
        if self.names.accelerate {
            return format!("{scheme}://s3-accelerate{stack}.amazonaws.com");
        }
        let fips = if self.names.fips { "-fips" } else { "" };
        format!("{scheme}://s3{fips}{stack}.{region}.{}", domain(region))
    }
}

/// The domain of the partition of AWS that a region belongs to.
fn domain(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 5] = [
        ("cn-", "amazonaws.com.cn"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("us-iso-", "c2s.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
    ];
    let partition = PARTITIONS.iter().find(|(start, _)| region.starts_with(start));
    partition.map_or("amazonaws.com", |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws(region: &str) -> S3Settings {
        S3Settings {
            bucket: "b".to_owned(),
            region: Some(region.to_owned()),
            secure: true,
            ..S3Settings::default()
        }
    }

    #[test]
    fn the_names_of_aws_follow_from_region_and_variant() {
        assert_eq!(
            aws("eu-west-1").bucket_url(),
            "https://b.s3.eu-west-1.amazonaws.com"
        );
        assert_eq!(
            aws("cn-north-1").bucket_url(),
            "https://b.s3.cn-north-1.amazonaws.com.cn"
        );
        let mut settings = aws("us-gov-west-1");
        settings.names.fips = true;
        settings.names.dual_stack = true;
        assert_eq!(
            settings.bucket_url(),
            "https://b.s3-fips.dualstack.us-gov-west-1.amazonaws.com"
        );
        settings.names.accelerate = true;
        assert_eq!(
            settings.bucket_url(),
            "https://b.s3-accelerate.dualstack.amazonaws.com"
        );
        settings.secure = false;
        settings.path_style = true;
        settings.names = AwsNames::default();
        assert_eq!(settings.bucket_url(), "http://s3.us-gov-west-1.amazonaws.com/b");
    }

    #[test]
    fn the_bucket_stands_in_the_path_or_in_the_name_of_an_endpoint() {
        let mut settings = S3Settings {
            endpoint: Some("http://minio:9000/".to_owned()),
            redirect_endpoint: Some("https://s3.example".to_owned()),
            path_style: true,
            ..aws("r")
        };
        assert_eq!(settings.bucket_url(), "http://minio:9000/b");
        assert_eq!(settings.redirect_url(), "https://s3.example/b");
        settings.path_style = false;
        assert_eq!(settings.bucket_url(), "http://b.minio:9000");
    }

    #[test]
    fn certificates_are_checked_unless_all_is_plain() {
        let plain = S3Settings {
            endpoint: Some("http://minio:9000".to_owned()),
            ..aws("r")
        };
        assert!(aws("r").needs_authorities());
        assert!(!plain.needs_authorities());
        let proxied = S3Settings {
            has_secure_proxy: true,
            ..plain
        };
        assert!(proxied.needs_authorities());
    }

    #[test]
    fn clients_are_not_sent_to_names_that_only_servers_know() {
        let is_reachable = |endpoint: &str| {
            let endpoint = Some(endpoint.to_owned());
            S3Settings { endpoint, ..aws("r") }.is_reachable_by_clients()
        };
        assert!(aws("r").is_reachable_by_clients());
        for outside in [
            "https://s3.example",
            "http://10.1.2.3:9000",
            "http://[2001:db8::1]:9000/",
        ] {
            assert!(is_reachable(outside), "{outside}");
        }
        for inside in [
            "http://minio:9000",
            "http://minio.storage.svc:9000",
            "http://127.0.0.1:9000",
            "http://[::1]:9000",
            "http://localhost",
        ] {
            assert!(!is_reachable(inside), "{inside}");
        }
        let settings = S3Settings {
            endpoint: Some("http://minio:9000".to_owned()),
            redirect_endpoint: Some("https://s3.example".to_owned()),
            ..aws("r")
        };
        assert!(settings.is_reachable_by_clients());
    }
}
