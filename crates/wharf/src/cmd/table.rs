//! Tables as commands print them.

use std::iter;

use wharf_client::printable;

/// `rows` below `head`, in columns as wide as they need, without a line break at the end. Cells may be the words of another server: what
/// would act on a terminal is escaped.
pub(crate) fn aligned<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let rows = rows.map(|row| row.map(|cell| printable(&cell).into_owned()));
    let rows: Vec<_> = iter::once(head.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let rows = [["a", "long cell", "x"], ["größer", "b", ""]];
        let rows = rows.map(|row| row.map(str::to_owned)).into_iter();
        assert_eq!(
            aligned(["NAME", "B", "C"], rows),
            "NAME    B          C\na       long cell  x\ngrößer  b"
        );
    }

    #[test]
    fn cells_do_not_act_on_the_terminal() {
        let rows = [["a\u{1b}[2J".to_owned(), "b\nc".to_owned()]];
        assert_eq!(
            aligned(["A", "B"], rows.into_iter()),
            "A           B\na\\u{1b}[2J  b\\nc"
        );
    }
}
