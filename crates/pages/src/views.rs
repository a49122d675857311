//! The views, one file for each group of pages. Each has a template of its name.

mod account;
mod activity;
mod artifact;
mod collection;
mod compare;
mod connect;
mod deletion;
mod error;
mod files;
mod history;
mod image;
mod integrity;
mod repositories;
mod retention;
mod rules;
mod server;
mod tags;
mod tokens;
mod traffic;
mod trash;
mod usage;
mod users;

pub use account::{Account, Keys, SignIn, SignedIn};
pub use activity::{Activity, ActivityEntry};
pub use artifact::{Artifact, Blob, Chart, Sbom, SbomPackage};
pub use collection::{Collection, EndedCollection, Kept, RunningCollection, Why};
pub use compare::{Change, Compare, Comparison};
pub use connect::{Client, ClientStep, Connect};
pub use deletion::{Delete, GoingManifest, GoingTag, Staying};
pub use error::{Confirm, ErrorPage};
pub use files::{File, Files};
pub use history::{History, HistoryEntry, PastManifest, Rollback};
pub use image::{
    BaseImage, Build, BuildStep, Image, ImagePlatform, Layer, RecentManifest, Referrer, ReferrerGroup,
    Section, Subject,
};
pub use integrity::{CheckRun, Checks, Finding, FullCheck, Scrub};
pub use repositories::{Directory, Match, Node, Repositories, RepositoryRow, Search, SearchHit};
pub use retention::{
    ConfiguredRule, EndedRetention, Retention, RetentionPlan, RetentionPreview, RetentionVerdict,
};
pub use rules::{Decision, Rule, Rules};
pub use server::{
    Certificate, Certificates, ConfigSection, Configuration, FailingCheck, Replica, Servers, Setting, Worker,
};
pub use tags::{TagPlatform, TagRow, Tags};
pub use tokens::{Secret, Token, Tokens};
pub use traffic::{Series, Traffic, TrafficChart, TrafficImage};
pub use trash::{DamagedRecord, LeftAlone, Trash, TrashRecord, TrashRow, TrashTag};
pub use usage::{Disk, DiskRow};
pub use users::{User, Users};
