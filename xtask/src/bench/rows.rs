//! The target table: the metrics, their figures in the anchor run, and the goals of wharf.

use super::collect;
use super::feature::Feature;
use super::measure::{self, Measure};
use super::seed::Seed;
use super::server::{NGINX, REGISTRY_2, REGISTRY_3};

/// zot is measured when the caller brings it as `--peer zot=…`; otherwise its figure is derived.
pub(crate) const ZOT: &str = "zot";

/// One line of the target table.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) seed: Seed,
    /// Feature that a server must have to take part; each server is tested.
    pub(crate) needs: Feature,
    /// Whether a plain file server can take part.
    pub(crate) nginx: bool,
    /// How often each server has its turn, in a full run and in a quick one.
    pub(crate) rounds: [usize; 2],
    pub(crate) measure: Measure,
    pub(crate) metrics: &'static [Metric],
}

/// One figure of a row.
#[derive(Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) anchors: Anchors,
    /// Goals, all of which must be met.
    pub(crate) goals: &'static [Goal],
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// Figures of one run on a 2-core Xeon, used only as quotients to registry:3's.
#[derive(Clone, Copy)]
pub(crate) struct Anchors {
    registry3: Option<f64>,
    zot: Option<f64>,
}

impl Anchors {
    const NONE: Self = Self {
        registry3: None,
        zot: None,
    };

    const fn new(registry3: f64, zot: f64) -> Self {
        Self {
            registry3: Some(registry3),
            zot: Some(zot),
        }
    }

    /// Quotient of zot's figure to registry:3's.
    pub(crate) fn zot_to_registry3(self) -> Option<f64> {
        Some(self.zot? / self.registry3?)
    }
}

/// Bound that wharf's figure has to reach (`Better::Higher`) or to stay under (`Better::Lower`).
pub(crate) enum Goal {
    /// This times the figure of another server.
    Times(f64, &'static str),
    /// This times the best figure of all other servers.
    TimesBest(f64),
    /// This times wharf's own figure of another row.
    TimesOwn(f64, &'static str),
    /// This times what one core hashes, or 0.85 times what the disk syncs, whichever is less.
    TimesHash(f64),
    /// This times what the disk takes in a bare loop that writes the files of small images.
    TimesDiskImages(f64),
    /// A value as it stands.
    Value(f64),
}

const fn rate(anchors: Anchors, goals: &'static [Goal]) -> Metric {
    Metric {
        unit: "requests/s",
        better: Better::Higher,
        anchors,
        goals,
    }
}

/// Processor time, printed with every rate: it is steady where a busy machine makes the rate vary.
const REQUEST_COST: Metric = Metric {
    unit: "CPU us/request",
    better: Better::Lower,
    anchors: Anchors::NONE,
    goals: &[],
};

const fn throughput(anchors: Anchors, goals: &'static [Goal]) -> Metric {
    Metric {
        unit: "MB/s",
        better: Better::Higher,
        anchors,
        goals,
    }
}

const fn byte_cost(anchors: Anchors, goals: &'static [Goal]) -> Metric {
    Metric {
        unit: "CPU s/GB",
        better: Better::Lower,
        anchors,
        goals,
    }
}

const fn memory(goals: &'static [Goal]) -> Metric {
    Metric {
        unit: "MiB",
        better: Better::Lower,
        anchors: Anchors::NONE,
        goals,
    }
}

const fn start(goals: &'static [Goal]) -> Metric {
    Metric {
        unit: "ms",
        better: Better::Lower,
        anchors: Anchors::NONE,
        goals,
    }
}

/// Seconds of a collection, and of a second one, which has nothing to remove.
const COLLECTION: &[Metric] = &[
    Metric {
        unit: "s",
        better: Better::Lower,
        anchors: Anchors::NONE,
        goals: &[Goal::Times(0.2, REGISTRY_3)],
    },
    Metric {
        unit: "s, again",
        better: Better::Lower,
        anchors: Anchors::NONE,
        goals: &[Goal::Times(0.025, REGISTRY_3)],
    },
];

/// Milliseconds of a screen after the start, and of further ones, which take at most so many.
const fn screen(goals: &'static [Goal]) -> [Metric; 2] {
    let first = Metric {
        unit: "ms, first",
        better: Better::Lower,
        anchors: Anchors::NONE,
        goals: &[],
    };
    let further = Metric {
        unit: "ms",
        better: Better::Lower,
        anchors: Anchors::NONE,
        goals,
    };
    [first, further]
}

const ROUNDS: [usize; 2] = [5, 3];

/// A row that reads from `Seed::Images`, in which a file server can take part.
const READ: Row = Row {
    id: "",
    title: "",
    seed: Seed::Images,
    needs: Feature::Plain,
    nginx: true,
    rounds: ROUNDS,
    measure: Measure::Serving(measure::version),
    metrics: &[],
};

/// A row that fills a store of its own.
const PUSH: Row = Row {
    seed: Seed::Empty,
    nginx: false,
    ..READ
};

/// All rows of the table, in its order.
pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "blob-get-1",
        title: "blob GET 100 MiB, plain HTTP, 1 connection",
        measure: Measure::Serving(measure::big_get_1),
        metrics: &[
            throughput(Anchors::NONE, &[Goal::TimesBest(1.0)]),
            byte_cost(
                Anchors::new(0.37, 0.29),
                &[Goal::Times(1.1, NGINX), Goal::Times(1.0, ZOT)],
            ),
        ],
        ..READ
    },
    Row {
        id: "blob-get-8",
        title: "blob GET 100 MiB, plain HTTP, 8 connections",
        measure: Measure::Serving(measure::big_get_8),
        metrics: &[
            throughput(Anchors::NONE, &[]),
            byte_cost(Anchors::new(0.35, 0.24), &[Goal::Times(0.9, ZOT)]),
        ],
        ..READ
    },
    Row {
        id: "blob-get-8-fair",
        title: "blob GET 100 MiB, plain HTTP, 8 connections: the slowest of 100 transfers",
        measure: Measure::Serving(measure::big_get_fairness),
        metrics: &[
            Metric {
                unit: "ms p99",
                better: Better::Lower,
                anchors: Anchors::NONE,
                goals: &[],
            },
            Metric {
                unit: "p99/median",
                better: Better::Lower,
                anchors: Anchors::NONE,
                goals: &[Goal::Value(1.5)],
            },
        ],
        ..READ
    },
    Row {
        id: "blob-get-tls",
        title: "blob GET 100 MiB, TLS 1.3, 1 connection (client: curl)",
        needs: Feature::Tls,
        measure: Measure::Serving(measure::big_get_tls),
        metrics: &[
            throughput(Anchors::NONE, &[]),
            byte_cost(Anchors::NONE, &[Goal::Times(0.9, NGINX)]),
        ],
        ..READ
    },
    Row {
        id: "blob-get-4k",
        title: "blob GET 4 KiB, 16 connections",
        measure: Measure::Serving(measure::small_get),
        metrics: &[
            rate(
                Anchors::new(839.0, 10_764.0),
                &[
                    Goal::Times(4.0, ZOT),
                    Goal::Times(50.0, REGISTRY_3),
                    Goal::Times(0.6, NGINX),
                ],
            ),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "manifest-get",
        title: "manifest GET by tag, 16 connections",
        measure: Measure::Serving(measure::manifest_get),
        metrics: &[
            rate(
                Anchors::new(5_933.0, 16_190.0),
                &[Goal::Times(4.0, ZOT), Goal::Times(0.8, NGINX)],
            ),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "manifest-head",
        title: "manifest HEAD by tag, 16 connections",
        measure: Measure::Serving(measure::manifest_head),
        metrics: &[
            rate(
                Anchors::new(5_521.0, 14_686.0),
                &[Goal::Times(4.0, ZOT), Goal::Times(0.35, NGINX)],
            ),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "manifest-get-htpasswd",
        title: "manifest GET with HTTP Basic (bcrypt cost 10) on every request",
        needs: Feature::Htpasswd,
        nginx: false,
        measure: Measure::Serving(measure::manifest_get),
        metrics: &[
            rate(
                Anchors::NONE,
                &[
                    Goal::TimesOwn(0.9, "manifest-get"),
                    Goal::Times(3_000.0, REGISTRY_3),
                ],
            ),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "manifest-get-rules",
        title: "manifest GET with HTTP Basic and 200 access rules",
        needs: Feature::Rules,
        nginx: false,
        measure: Measure::Serving(measure::manifest_get),
        metrics: &[
            rate(Anchors::NONE, &[Goal::TimesOwn(0.9, "manifest-get")]),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "manifest-get-token",
        title: "manifest GET with a bearer token on every request",
        needs: Feature::Token,
        nginx: false,
        measure: Measure::Serving(measure::manifest_get),
        metrics: &[
            rate(Anchors::NONE, &[Goal::TimesOwn(0.9, "manifest-get")]),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "version",
        title: "GET /v2/, 16 connections",
        measure: Measure::Serving(measure::version),
        metrics: &[
            rate(Anchors::new(16_188.0, 37_132.0), &[Goal::Times(0.9, NGINX)]),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "blob-push",
        title: "blob push 100 MiB, one PUT, 1 client",
        rounds: [5, 2],
        measure: Measure::Serving(measure::push_in_one_put),
        metrics: &[
            throughput(Anchors::new(465.0, 516.0), &[Goal::TimesHash(0.5)]),
            byte_cost(Anchors::NONE, &[]),
        ],
        ..PUSH
    },
    Row {
        id: "blob-push-chunks",
        title: "blob push 100 MiB in chunks of 10 MiB, 1 client",
        rounds: [5, 2],
        measure: Measure::Serving(measure::push_in_chunks),
        metrics: &[
            throughput(
                Anchors::new(172.0, 193.0),
                &[Goal::Times(1.8, ZOT), Goal::TimesOwn(0.95, "blob-push")],
            ),
            byte_cost(Anchors::NONE, &[]),
        ],
        ..PUSH
    },
    Row {
        id: "image-push",
        title: "push of 1,000 small images into 50 repositories, 8 clients",
        rounds: [3, 1],
        measure: Measure::Serving(measure::push_images),
        metrics: &[
            Metric {
                unit: "images/s",
                better: Better::Higher,
                anchors: Anchors::new(116.0, 122.0),
                goals: &[Goal::Times(5.0, ZOT), Goal::TimesDiskImages(1.0)],
            },
            Metric {
                unit: "CPU us/image",
                better: Better::Lower,
                anchors: Anchors::NONE,
                goals: &[],
            },
        ],
        ..PUSH
    },
    Row {
        id: "tags-page",
        title: "tags/list, page of 100 of 10,000, 16 connections",
        seed: Seed::Tags,
        nginx: false,
        measure: Measure::Serving(measure::tags_page),
        metrics: &[
            rate(Anchors::new(152.0, 58.0), &[Goal::Times(50.0, REGISTRY_2)]),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "tags-all",
        title: "tags/list, all 10,000, 16 connections",
        seed: Seed::Tags,
        nginx: false,
        measure: Measure::Serving(measure::tags_all),
        metrics: &[
            rate(Anchors::new(41.0, 57.0), &[Goal::Times(3.0, REGISTRY_2)]),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "tags",
        title: "a screen of 1,000 tags of as many images: sizes, platforms, pushes, pulls, 1 connection",
        seed: Seed::Screen,
        needs: Feature::Screens,
        nginx: false,
        measure: Measure::Serving(measure::tags_screen),
        metrics: &screen(&[Goal::Value(100.0)]),
        ..READ
    },
    Row {
        id: "ui-tags",
        title: "web page of a repository of 10,000 tags, 1 connection",
        seed: Seed::Tags,
        needs: Feature::Screens,
        nginx: false,
        measure: Measure::Serving(measure::tags_html),
        metrics: &screen(&[Goal::Value(50.0)]),
        ..READ
    },
    Row {
        id: "ui-repositories",
        title: "web page of 5,000 repositories, 1 connection",
        seed: Seed::Repositories,
        needs: Feature::Screens,
        nginx: false,
        measure: Measure::Serving(measure::repositories_html),
        metrics: &screen(&[Goal::Value(50.0)]),
        ..READ
    },
    Row {
        id: "catalog-page",
        title: "catalogue, page of 100 of 5,000 repositories, 16 connections",
        seed: Seed::Repositories,
        nginx: false,
        measure: Measure::Serving(measure::catalog_page),
        metrics: &[
            rate(Anchors::new(744.0, 520.0), &[Goal::Times(15.0, REGISTRY_3)]),
            REQUEST_COST,
        ],
        ..READ
    },
    Row {
        id: "catalog-page-1",
        title: "catalogue, page of 100 of 5,000 repositories, 1 connection",
        seed: Seed::Repositories,
        nginx: false,
        measure: Measure::Serving(measure::catalog_page_alone),
        metrics: &[rate(Anchors::NONE, &[Goal::Times(8.0, REGISTRY_3)]), REQUEST_COST],
        ..READ
    },
    Row {
        id: "collect",
        title: "collection of 100,000 blobs (--quick: 10,000), half of them garbage, no server running",
        seed: Seed::Garbage,
        needs: Feature::Collection,
        nginx: false,
        rounds: [1, 1],
        measure: Measure::Collecting(collect::offline),
        metrics: COLLECTION,
    },
    Row {
        id: "collect-online",
        title: "collection of 100,000 blobs (--quick: 10,000), half of them garbage, by wharf while it serves, by the others while they do not",
        seed: Seed::Deleted,
        needs: Feature::Collection,
        nginx: false,
        rounds: [1, 1],
        measure: Measure::Collecting(collect::online),
        metrics: COLLECTION,
    },
    Row {
        id: "push-collecting",
        title: "push of small images by 8 clients while 100,000 blobs (--quick: 10,000) are collected, and before and after",
        seed: Seed::Deleted,
        needs: Feature::OnlineCollection,
        nginx: false,
        rounds: [3, 1],
        measure: Measure::Collecting(collect::pushes_beside),
        metrics: &[
            Metric {
                unit: "ms p99",
                better: Better::Lower,
                anchors: Anchors::NONE,
                goals: &[],
            },
            Metric {
                unit: "p99/undisturbed",
                better: Better::Lower,
                anchors: Anchors::NONE,
                goals: &[Goal::Value(1.2)],
            },
            Metric {
                unit: "images/s",
                better: Better::Higher,
                anchors: Anchors::NONE,
                goals: &[],
            },
            Metric {
                unit: "s of collection",
                better: Better::Lower,
                anchors: Anchors::NONE,
                goals: &[],
            },
        ],
    },
    Row {
        id: "copy",
        title: "copy of an image of 1 GiB (--quick: 128 MiB) between two registries of wharf, by wharf, skopeo and crane: time, and RSS peak of the program",
        seed: Seed::Empty,
        nginx: false,
        rounds: [3, 2],
        measure: Measure::Copying,
        metrics: &[
            Metric {
                unit: "s",
                better: Better::Lower,
                anchors: Anchors::NONE,
                goals: &[Goal::TimesBest(1.0)],
            },
            memory(&[Goal::Value(64.0)]),
        ],
        ..READ
    },
    Row {
        id: "rss-idle",
        title: "RSS idle, after one answer",
        rounds: [3, 1],
        measure: Measure::Serving(measure::rss_idle),
        metrics: &[memory(&[Goal::Value(12.0)])],
        ..READ
    },
    Row {
        id: "rss-get",
        title: "RSS peak, 64 concurrent GETs of 100 MiB",
        rounds: [2, 1],
        measure: Measure::Serving(measure::rss_of_gets),
        metrics: &[memory(&[Goal::Value(48.0)])],
        ..READ
    },
    Row {
        id: "rss-push",
        title: "RSS peak, 64 concurrent pushes of 32 MiB",
        rounds: [1, 1],
        measure: Measure::Serving(measure::rss_of_pushes),
        metrics: &[memory(&[Goal::Value(48.0)])],
        ..PUSH
    },
    Row {
        id: "hostile",
        title: "manifest GET by 4 honest clients, and RSS peak, while others hold streams, bodies and tasks",
        needs: Feature::Htpasswd,
        nginx: false,
        rounds: [2, 1],
        measure: Measure::Serving(measure::hostile),
        metrics: &[rate(Anchors::NONE, &[]), memory(&[Goal::Value(200.0)])],
        ..READ
    },
    Row {
        id: "start-empty",
        title: "start to first answer, empty store",
        seed: Seed::Empty,
        rounds: [15, 7],
        measure: Measure::Serving(measure::first_answer),
        metrics: &[start(&[Goal::Value(8.0)])],
        ..READ
    },
    Row {
        id: "start-repositories",
        title: "start to first answer, 5,000 repositories",
        seed: Seed::Repositories,
        rounds: [15, 7],
        measure: Measure::Serving(measure::first_answer),
        metrics: &[start(&[Goal::Value(8.0)])],
        ..READ
    },
];
