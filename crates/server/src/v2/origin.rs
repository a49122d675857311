//! The origin of a request, as the registry writes it into events.

use std::sync::Arc;

use http::header;
use wharf_http::location::authority;
use wharf_registry::{Caller, CallerFacts, Origin, RequestFacts, Surface};

use crate::{call::Call, facts, location};

impl Caller for Call<'_> {
    fn origin(&self) -> Arc<Origin> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Arc::new(Origin {
            actor: self.context.actor().map(Arc::from),
            surface: Surface::Distribution,
            request: Some(RequestFacts {
                id: self.context.id().uuid(),
                address: self.context.client_text(&self.parts.headers),
                host: text(authority(self.parts)),
                method: self.parts.method.to_string(),
                user_agent: text(self.header(&header::USER_AGENT)),
                base_url: location::base(*self),
            }),
        })
    }

    fn facts(&self) -> CallerFacts<'_> {
        facts::of(self.context, self.parts)
    }
}
