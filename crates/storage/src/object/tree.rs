//! Removing what looks like a directory, and many objects at once.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, stream, stream::BoxStream};
use object_store::{ObjectMeta, path::Path};

use super::{
    Bucket,
    cursor::{Cursor, after_all_below},
    error::failed,
    stat_of,
};
use crate::{Error, ErrorKind, Key, Result, TreeRemoval, Version, layout};

/// How many pages of objects are noted before they are removed. A larger tree is listed once for each rank of its objects.
const NOTED: usize = 10;

/// Removes what is at and below `dir`, pointers before what they point to (I3).
pub(super) async fn remove(bucket: &Bucket, dir: &Key) -> Result<()> {
    let tree = TreeRemoval {
        dir: dir.clone(),
        unless_changed: None,
    };
    let mut found = remove_trees(bucket, std::slice::from_ref(&tree))
        .await?
        .contains(&true);
    match bucket.head(dir).await {
        Ok(_) => {
            bucket.delete(dir).await?;
            found = true;
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    if found {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::NotFound, format!("remove `{dir}`")))
    }
}

/// Removes what is below some directories, pointers before what they point to (I3). Returns of each whether there was
/// something and it was removed.
pub(super) async fn remove_trees(bucket: &Bucket, trees: &[TreeRemoval]) -> Result<Vec<bool>> {
    let mut noted = Noted::new(trees);
    if noted.read(bucket).await? {
        let removed = noted.removed();
        for paths in noted.by_rank() {
            if !paths.is_empty() {
                remove_all(
                    bucket,
                    stream::iter(paths.into_iter().map(Ok)).boxed(),
                    "remove objects",
                )
                .await?;
            }
        }
        return Ok(removed);
    }
    let mut removed = Vec::new();
    for tree in trees {
        removed.push(is_unchanged(bucket, tree).await? && remove_large(bucket, &tree.dir).await?);
    }
    Ok(removed)
}

async fn is_unchanged(bucket: &Bucket, tree: &TreeRemoval) -> Result<bool> {
    let Some((key, version)) = &tree.unless_changed else {
        return Ok(true);
    };
    match bucket.head(key).await {
        Ok(meta) => Ok(has_content_of(&meta, version)),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the object of `meta` holds what one of `version` held. That it is of that very version is not asked: what knows the
/// version may have it confirmed by a conditional read after the object was written again with its content.
fn has_content_of(meta: &ObjectMeta, version: &Version) -> bool {
    let found = stat_of(meta).version;
    found.is_some_and(|found| found.has_content_of(version))
}

/// Removes what is below `dir` by one pass over the listing for each rank that occurs, so that memory does not grow with
/// the tree. Returns whether there was something.
async fn remove_large(bucket: &Bucket, dir: &Key) -> Result<bool> {
    let mut removed = 0;
    for rank in 0..layout::REMOVAL_RANKS {
        removed += remove_below(bucket, dir, move |path| {
            layout::removal_rank(path.as_ref()) == rank
        })
        .await?;
    }
    Ok(removed > 0)
}

/// Removes the objects below `dir` that are `doomed`, while they are being listed, and returns how many there were.
pub(super) async fn remove_below(
    bucket: &Bucket,
    dir: &Key,
    doomed: impl Fn(&Path) -> bool + Send + 'static,
) -> Result<usize> {
    let mut cursor = Cursor::new(bucket, dir);
    let mut removed = 0;
    while !cursor.is_at_end() {
        let page = cursor.next(usize::MAX).await?;
        let paths = page.into_iter().map(|meta| meta.location);
        let paths: Vec<_> = paths.filter(|path| doomed(path)).map(Ok).collect();
        if !paths.is_empty() {
            removed += paths.len();
            remove_all(bucket, stream::iter(paths).boxed(), &format!("remove `{dir}`")).await?;
        }
    }
    Ok(removed)
}

/// Removes the objects at `paths`, many with each request where the store can. An object that does not exist is no
/// error.
pub(super) async fn remove_all(
    bucket: &Bucket,
    paths: BoxStream<'static, object_store::Result<Path>>,
    context: &str,
) -> Result<()> {
    let mut removed = bucket.store.delete_stream(paths);
    while let Some(result) = removed.next().await {
        match result {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(context, error)),
        }
    }
    Ok(())
}

/// The objects of some trees, noted before they are removed.
struct Noted<'a> {
    trees: &'a [TreeRemoval],
    /// The objects of each tree
    objects: Vec<Vec<Path>>,
    /// Whether the condition of each tree holds
    is_unchanged: Vec<bool>,
    count: usize,
}

impl<'a> Noted<'a> {
    fn new(trees: &'a [TreeRemoval]) -> Self {
        Self {
            trees,
            objects: vec![Vec::new(); trees.len()],
            is_unchanged: trees.iter().map(|tree| tree.unless_changed.is_none()).collect(),
            count: 0,
        }
    }

    /// Lists the trees, neighbours together. Returns whether all were noted.
    async fn read(&mut self, bucket: &Bucket) -> Result<bool> {
        let mut by_parent: BTreeMap<Option<Key>, Vec<usize>> = BTreeMap::new();
        for (number, tree) in self.trees.iter().enumerate() {
            by_parent.entry(tree.dir.parent()).or_default().push(number);
        }
        for (parent, mut numbers) in by_parent {
            match parent {
                Some(parent) if numbers.len() > 1 => {
                    // In the order of the keys below them.
                    numbers.sort_by_key(|number| format!("{}/", self.trees[*number].dir));
                    self.read_neighbours(bucket, &parent, &numbers).await?;
                }
                _ => {
                    for number in numbers {
                        self.read_tree(bucket, number).await?;
                    }
                }
            }
        }
        Ok(self.count <= NOTED * bucket.limits.listed)
    }

    async fn read_tree(&mut self, bucket: &Bucket, number: usize) -> Result<()> {
        let mut cursor = Cursor::new(bucket, &self.trees[number].dir);
        while !cursor.is_at_end() && self.count <= NOTED * bucket.limits.listed {
            for meta in cursor.next(usize::MAX).await? {
                self.note(bucket, number, meta);
            }
        }
        Ok(())
    }

    /// Lists those of the trees in the directory `parent` that have these `numbers`, in the order of their keys.
    async fn read_neighbours(&mut self, bucket: &Bucket, parent: &Key, numbers: &[usize]) -> Result<()> {
        let trees = self.trees;
        let by_name: HashMap<&str, usize> = numbers
            .iter()
            .map(|number| (trees[*number].dir.name(), *number))
            .collect();
        let mut cursor = Cursor::new(bucket, parent);
        let mut left = numbers;
        while let [next, ..] = left
            && !cursor.is_at_end()
            && self.count <= NOTED * bucket.limits.listed
        {
            cursor.skip_to_below(trees[*next].dir.name());
            let page = cursor.next(usize::MAX).await?;
            let last = page
                .last()
                .and_then(|meta| cursor.path_of(meta))
                .map(str::to_owned);
            for meta in page {
                let name = cursor.path_of(&meta).and_then(|path| path.split('/').next());
                if let Some(number) = name.and_then(|name| by_name.get(name)) {
                    self.note(bucket, *number, meta);
                }
            }
            let passed = |number: &usize| {
                let end = after_all_below(trees[*number].dir.name());
                last.as_ref().is_some_and(|last| end <= *last)
            };
            left = &left[left.partition_point(passed)..];
        }
        Ok(())
    }

    fn note(&mut self, bucket: &Bucket, number: usize, meta: ObjectMeta) {
        if let Some((key, version)) = &self.trees[number].unless_changed
            && bucket.path(key) == meta.location
        {
            self.is_unchanged[number] = has_content_of(&meta, version);
        }
        self.objects[number].push(meta.location);
        self.count += 1;
    }

    /// Of each tree, whether it has objects that are to be removed.
    fn removed(&self) -> Vec<bool> {
        let trees = self.objects.iter().zip(&self.is_unchanged);
        trees
            .map(|(objects, is_unchanged)| *is_unchanged && !objects.is_empty())
            .collect()
    }

    /// The objects that are to be removed, in the order in which they must go.
    fn by_rank(self) -> Vec<Vec<Path>> {
        let mut ranks = vec![Vec::new(); usize::from(layout::REMOVAL_RANKS)];
        let trees = self.objects.into_iter().zip(self.is_unchanged);
        for path in trees
            .filter(|(_, is_unchanged)| *is_unchanged)
            .flat_map(|(objects, _)| objects)
        {
            ranks[usize::from(layout::removal_rank(path.as_ref()))].push(path);
        }
        ranks
    }
}
