//! Disk use.

use askama::Template;

use crate::{filters, page::Page, said::Said, view::View};

/// Disk use of the file system and of the repositories.
#[derive(Template)]
#[template(path = "disk.html")]
pub struct Disk {
    /// What all pages share.
    pub page: Page,
    /// Why something is left out or not exact; empty: nothing is.
    pub problem: Said,
    /// Bytes of all images, each digest counted once.
    pub size: u64,
    /// Bytes that are free; `None`: the store has no such limit.
    pub free: Option<u64>,
    /// Bytes of the file system, free or not.
    pub capacity: Option<u64>,
    /// Bytes that the trash alone keeps; `None`: they were not added up.
    pub trash: Option<u64>,
    /// How many repositories there are.
    pub total: u64,
    /// The largest repositories, the largest one first.
    pub rows: Vec<DiskRow>,
}

/// Disk use of a repository.
pub struct DiskRow {
    /// Name of the repository.
    pub name: String,
    /// Bytes of its images.
    pub size: u64,
    /// Bytes that no other repository needs; `None`: that is not known.
    pub unique: Option<u64>,
    /// Bytes that other repositories need as well.
    pub shared: Option<u64>,
    /// What is damaged or missing; empty: nothing.
    pub problem: Said,
}

/// Size of the drawing of the map.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 340.0;

/// How many repositories the map shows.
const MOST_TILES: usize = 60;

/// A repository in the map.
struct Tile<'d> {
    row: &'d DiskRow,
    colour: usize,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Tile<'_> {
    /// The part of the name that fits; empty where none does.
    fn label(&self) -> String {
        const CHARACTER: f64 = 7.6;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a width in characters"
        )]
        let room = (self.width / CHARACTER).max(2.0) as usize - 2;
        let name = &self.row.name;
        match name.len() {
            _ if room < 7 || self.height <= 44.0 => String::new(),
            length if length <= room => name.clone(),
            _ => name.chars().take(room - 1).chain(['…']).collect(),
        }
    }
}

/// A part of the bar of the file system, in thousandths.
struct BarPart {
    colour: u8,
    x: u64,
    width: u64,
    label: &'static str,
}

impl Disk {
    fn tiles(&self) -> Vec<Tile<'_>> {
        let mut tiles: Vec<Tile<'_>> = Vec::new();
        let shown = self.rows.iter().filter(|row| row.size > 0).take(MOST_TILES);
        let rows: Vec<&DiskRow> = shown.collect();
        lay_out(&rows, (0.0, 0.0, WIDTH, HEIGHT), &mut tiles);
        tiles
    }

    fn bar(&self) -> Vec<BarPart> {
        let (Some(capacity), Some(free)) = (self.capacity, self.free) else {
            return Vec::new();
        };
        let trash = self.trash.unwrap_or_default();
        let used = capacity.saturating_sub(free);
        let other = used.saturating_sub(self.size).saturating_sub(trash);
        let mut parts = Vec::new();
        let mut x = 0;
        for (colour, bytes, label) in [
            (1, self.size, "disk.images"),
            (3, trash, "disk.trash"),
            (6, other, "disk.other"),
        ] {
            let width = thousandths(bytes, capacity).min(1000 - x);
            parts.push(BarPart {
                colour,
                x,
                width,
                label,
            });
            x += width;
        }
        parts
    }

    /// The width of the parts of a repository in its bar, of its own and of shared bytes, beside the largest one.
    fn widths(&self, row: &DiskRow) -> (u64, u64) {
        let largest = self.rows.iter().map(|row| row.size).max().unwrap_or_default();
        let unique = row.unique.unwrap_or(row.size);
        let width = thousandths(unique, largest);
        (width, thousandths(row.size, largest).saturating_sub(width))
    }
}

fn thousandths(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * 1000 / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(1000).min(1000)
}

/// Divides a rectangle by halves: parts as square as their sizes allow, which move little when a size changes.
fn lay_out<'d>(rows: &[&'d DiskRow], (x, y, width, height): (f64, f64, f64, f64), tiles: &mut Vec<Tile<'d>>) {
    let row = match rows {
        [] => return,
        [row] => row,
        _ => return divide(rows, (x, y, width, height), tiles),
    };
    tiles.push(Tile {
        row,
        colour: tiles.len() % 6 + 1,
        x,
        y,
        width,
        height,
    });
}

fn divide<'d>(rows: &[&'d DiskRow], (x, y, width, height): (f64, f64, f64, f64), tiles: &mut Vec<Tile<'d>>) {
    #[expect(clippy::cast_precision_loss, reason = "sizes of a drawing")]
    let sum = |rows: &[&DiskRow]| rows.iter().map(|row| row.size as f64).sum::<f64>();
    let total = sum(rows);
    let half = (1..rows.len()).find(|count| sum(&rows[..*count]) * 2.0 >= total);
    let (first, second) = rows.split_at(half.unwrap_or(rows.len() - 1));
    let share = sum(first) / total.max(1.0);
    if width > height {
        let middle = width * share;
        lay_out(first, (x, y, middle, height), tiles);
        lay_out(second, (x + middle, y, width - middle, height), tiles);
    } else {
        let middle = height * share;
        lay_out(first, (x, y, width, middle), tiles);
        lay_out(second, (x, y + middle, width, height - middle), tiles);
    }
}

impl View for Disk {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(sizes: &[u64]) -> Vec<DiskRow> {
        let row = |size: &u64| DiskRow {
            name: format!("team/image-{size}"),
            size: *size,
            unique: None,
            shared: None,
            problem: Said::default(),
        };
        sizes.iter().map(row).collect()
    }

    #[test]
    fn the_map_shows_each_repository_by_its_size_and_nothing_twice() {
        let disk = Disk {
            page: Page::default(),
            problem: Said::default(),
            size: 0,
            free: None,
            capacity: None,
            trash: None,
            total: 6,
            rows: rows(&[u64::MAX, 500, 300, 200, 1, 0]),
        };
        let tiles = disk.tiles();
        assert_eq!(tiles.len(), 5);
        let area: f64 = tiles.iter().map(|tile| tile.width * tile.height).sum();
        assert!((area - WIDTH * HEIGHT).abs() < 1.0, "{area}");
        for tile in &tiles {
            assert!(tile.x >= 0.0 && tile.x + tile.width <= WIDTH + 0.01);
            assert!(tile.y >= 0.0 && tile.y + tile.height <= HEIGHT + 0.01);
        }
        assert_eq!(disk.widths(&disk.rows[0]), (1000, 0));
    }

    #[test]
    fn the_bar_of_the_file_system_does_not_leave_its_frame() {
        let mut disk = Disk {
            page: Page::default(),
            problem: Said::default(),
            size: 600,
            free: Some(100),
            capacity: Some(1000),
            trash: Some(100),
            total: 0,
            rows: Vec::new(),
        };
        let widths = |disk: &Disk| -> Vec<u64> { disk.bar().iter().map(|part| part.width).collect() };
        assert_eq!(widths(&disk), [600, 100, 200]);
        disk.size = 5000;
        assert_eq!(widths(&disk), [1000, 0, 0]);
        disk.capacity = None;
        assert!(disk.bar().is_empty());
    }
}
