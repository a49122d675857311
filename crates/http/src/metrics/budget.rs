//! The metrics of the budget.

use wharf_budget::Budget;

use super::{
    table::{BUDGET_LIMIT, BUDGET_REFUSED, BUDGET_USED},
    text::{Exposition, Source, number},
};

/// The metrics of a budget.
#[derive(Debug, Clone)]
pub struct BudgetMetrics(
    /// The budget whose shares are shown.
    pub Budget,
);

impl Source for BudgetMetrics {
    fn write(&self, page: &mut Exposition) {
        let shares = self.0.shares();
        let mut used = page.family(&BUDGET_USED);
        for share in shares {
            used.value(&[share.name()], number(share.used() as u64));
        }
        let mut limit = page.family(&BUDGET_LIMIT);
        for share in shares {
            limit.value(&[share.name()], number(share.limit() as u64));
        }
        let mut refused = page.family(&BUDGET_REFUSED);
        for share in shares {
            refused.value(&[share.name()], number(share.refused()));
        }
    }
}

#[cfg(test)]
mod tests {
    use wharf_budget::Limits;

    use super::*;

    #[test]
    fn each_share_shows_its_use_its_limit_and_its_refusals() {
        let budget = Budget::new(Limits {
            connections: 4,
            requests: 3,
            bodies: 2,
            parts: 5,
            transfers: 1,
            windows: 1,
        });
        let _held = budget.bodies.take(2).unwrap();
        budget.bodies.take(1).unwrap_err();
        let mut page = Exposition::default();
        BudgetMetrics(budget).write(&mut page);
        let page = page.finish();
        for line in [
            "wharf_budget_used{share=\"bodies\"} 2",
            "wharf_budget_used{share=\"requests\"} 0",
            "wharf_budget_limit{share=\"connections\"} 4",
            "wharf_budget_limit{share=\"parts\"} 5",
            "wharf_budget_refused_total{share=\"bodies\"} 1",
            "wharf_budget_refused_total{share=\"transfers\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
