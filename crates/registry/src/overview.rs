//! What lists show of repositories, tags and images: sizes, platforms, times, and what is damaged.
//!
//! A list is made from the tree at every request. What is read of manifests is remembered by digest, so a list of images that were shown
//! before costs a look at their links. What an answer reads is bounded, and what lies beyond a bound is left out with a reason. Damage
//! is a part of the answer.

mod attached;
mod content;
mod image;
mod members;
mod order;
mod parts;
mod presence;
mod reads;
mod repositories;
mod search;
mod tags;
mod untagged;
mod usage;
mod version;
mod words;

pub use self::{
    attached::{Attached, Attachments},
    image::{ChildDetails, ImageDetails, ManifestDetails, PartDetails},
    members::{ImageSummary, PlatformSummary},
    order::{Order, Place, PlaceError},
    parts::{ImageParts, PartsWanted},
    repositories::{RepositoriesWanted, RepositoryList, RepositoryRow, RepositorySight},
    search::{Search, SearchHit, SearchIn, SearchMatch, SearchPage, SearchPlace},
    tags::{TagList, TagRow, TagsWanted},
    untagged::{UntaggedList, UntaggedRow, UntaggedWanted},
    usage::{RepositoryUsage, Usage},
};
pub(crate) use words::LeftOut;
