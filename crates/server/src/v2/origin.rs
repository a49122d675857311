//! The origin of a request to the distribution API.

use std::sync::Arc;

use wharf_registry::{Caller, CallerFacts, Origin, Surface};

use crate::{call::Call, facts, location};

impl Caller for Call<'_> {
    fn origin(&self) -> Arc<Origin> {
        facts::origin(
            Surface::Distribution,
            self.context,
            self.parts,
            location::base(*self),
        )
    }

    fn facts(&self) -> CallerFacts<'_> {
        facts::of(self.context, self.parts)
    }
}
