//! The statements of a policy that give what is missing.

/// A statement that allows `actions` on `resource`.
pub(super) fn statement(actions: &[&str], resource: &str) -> String {
    let action = match actions {
        [action] => format!("\"{action}\""),
        actions => format!("[\"{}\"]", actions.join("\",\"")),
    };
    format!(r#"{{"Effect":"Allow","Action":{action},"Resource":"{resource}"}}"#)
}

/// The resource name of a bucket.
pub(super) fn bucket(name: &str, region: &str) -> String {
    const PARTITIONS: [(&str, &str); 3] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso", "aws-iso"),
    ];
    let partition = PARTITIONS.iter().find(|(start, _)| region.starts_with(start));
    let partition = partition.map_or("aws", |(_, partition)| partition);
    format!("arn:{partition}:s3:::{name}")
}
