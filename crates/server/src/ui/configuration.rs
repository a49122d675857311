//! The configuration as it counts.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{ConfigSection, Configuration, Line, Said, Setting, Shown, TABLE_LIMIT};

use super::{answer::Answer, call::Call, failure::Result};
use crate::admin::wire;

/// The keys with their values and origins, those that are not set if they are asked for.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let shown: wire::ServerConfiguration = call.ask("showConfiguration", &[]).await?;
        let (q, shows_defaults) = (call.query.get("match"), call.query.is_set("all"));
        let is_wanted = |setting: &wire::Setting| {
            (shows_defaults || setting.origin != "default") && setting.key.contains(q)
        };
        let mut sections: Vec<ConfigSection> = Vec::new();
        for setting in shown.settings.into_iter().filter(is_wanted) {
            let name = setting.key.split('.').next().unwrap_or_default();
            if sections.last().is_none_or(|section| section.name != name) {
                sections.push(ConfigSection {
                    name: name.to_owned(),
                    settings: Vec::new(),
                });
            }
            if let Some(section) = sections.last_mut() {
                section.settings.push(Setting {
                    value: Shown::of(if setting.secret { "" } else { &setting.value }, TABLE_LIMIT),
                    key: setting.key,
                    secret: setting.secret,
                    place: match setting.origin.as_str() {
                        "default" => Line::default(),
                        _ => Line::from(setting.place),
                    },
                    origin: setting.origin,
                });
            }
        }
        Ok(Answer::page(Configuration {
            page: call.page(),
            file: shown.file.unwrap_or_default(),
            warnings: shown
                .warnings
                .iter()
                .map(|warning| Said::from(Line::from(warning)))
                .collect(),
            q: q.to_owned(),
            shows_defaults,
            sections,
        }))
    }
    .boxed()
}
