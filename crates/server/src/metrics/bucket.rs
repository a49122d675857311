//! The metrics of a bucket: what its store honours, what its policy allows, and the processes that serve it.

use tokio::sync::watch;
use wharf_http::{Exposition, Source};
use wharf_storage::{
    object::s3::{Operation, Report},
    replicas::Replica,
};

use super::table::{ABILITY, PERMISSION, REPLICAS, SKEW};

/// What is known of a bucket.
#[derive(Debug, Clone)]
pub struct BucketMetrics {
    /// What the probe found; `None` until its end.
    pub report: watch::Receiver<Option<Report>>,
    /// The processes that serve the bucket.
    pub replicas: watch::Receiver<Vec<Replica>>,
}

impl Source for BucketMetrics {
    fn write(&self, page: &mut Exposition) {
        if let Some(report) = &*self.report.borrow() {
            let mut abilities = page.family(&ABILITY);
            for (ability, is_there) in report.abilities.table() {
                abilities.value(&[ability], flag(is_there));
            }
            let mut permissions = page.family(&PERMISSION);
            for operation in Operation::ALL {
                permissions.value(&[operation.name()], flag(!report.missing.contains(&operation)));
            }
            if let Some(skew) = report.abilities.skew {
                page.family(&SKEW).value(&[], skew.as_secs_f64());
            }
        }
        let mut replicas = page.family(&REPLICAS);
        for replica in &*self.replicas.borrow() {
            let Replica {
                address,
                host,
                version,
                ..
            } = replica;
            let (id, state) = (replica.id.to_string(), replica.state.as_str());
            replicas.value(&[address, host, &id, state, version], 1.0);
        }
    }
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}

#[cfg(test)]
mod tests {
    use wharf_storage::object::Abilities;

    use super::*;

    #[test]
    fn abilities_show_after_the_probe_and_replicas_at_once() {
        let (report, known) = watch::channel(None);
        let replica = Replica::this("h".to_owned(), "a:1".to_owned(), "1");
        let id = replica.id;
        let metrics = BucketMetrics {
            report: known,
            replicas: watch::channel(vec![replica]).1,
        };
        let page = || {
            let mut page = Exposition::default();
            metrics.write(&mut page);
            page.finish()
        };
        let seen = format!(
            "wharf_replicas{{address=\"a:1\",host=\"h\",instance=\"{id}\",state=\"starting\",version=\"1\"}} 1"
        );
        assert!(
            page().contains(&seen) && !page().contains("wharf_bucket_ability{"),
            "{}",
            page()
        );
        report.send_replace(Some(Report {
            abilities: Abilities {
                creates: true,
                ..Abilities::UNKNOWN
            },
            missing: vec![Operation::Delete],
            breaks: Vec::new(),
            findings: Vec::new(),
        }));
        for line in [
            "wharf_bucket_ability{ability=\"conditional_create\"} 1",
            "wharf_bucket_ability{ability=\"conditional_replace\"} 0",
            "wharf_bucket_permission{operation=\"DeleteObject\"} 0",
            "wharf_bucket_permission{operation=\"GetObject\"} 1",
        ] {
            assert!(page().lines().any(|found| found == line), "{line}\n{}", page());
        }
    }
}
