//! Figures as a reader wants them.

/// The middle value; between the two middle ones, the upper.
///
/// # Panics
/// If there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A table in Markdown; numbers to the right.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut text = line(&head);
    let columns: Vec<&str> = (0..N)
        .map(|column| if column == 0 { "---" } else { "--:" })
        .collect();
    text.push_str(&line(&columns));
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

fn line(cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |\n", cells.join(" | "))
}
