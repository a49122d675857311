//! Both ways with registry:2 (and registry:3): their tree served by wharf, wharf's tree by them, and one
//! table of requests that all of them answer.

mod differential;
mod doctor;
mod events;
mod observe;
mod ours;
mod referrers;
mod serving;
mod site;
mod table;
mod theirs;
mod tree;

use wharf_testkit::suite::Suite;

fn main() {
    let mut suite = Suite::default();
    theirs::add_to(&mut suite);
    ours::add_to(&mut suite);
    referrers::add_to(&mut suite);
    differential::add_to(&mut suite);
    serving::add_to(&mut suite);
    events::add_to(&mut suite);
    observe::add_to(&mut suite);
    doctor::add_to(&mut suite);
    suite.run().exit();
}
