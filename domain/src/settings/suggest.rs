//! "Did you mean": the accepted word nearest to a misspelt one.

/// The candidate nearest to `found`, if it is near enough to be what was meant.
///
/// Near is one edit for every three letters of the last part of the name, and at least one.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are nobody's typing error, and the distance costs their length squared.
    if found.len() > 80 {
        return None;
    }
    let letters = last_part(found).chars().count();
    let near = (letters / 3).max(1);
    let distances = candidates.into_iter().map(|word| (distance(found, word), word));
    distances.filter(|(edits, _)| *edits <= near).min_by_key(|(edits, _)| *edits).map(|(_, w)| w)
}

/// What follows the last dot of a dotted name.
pub fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Insertions, deletions, substitutions and swaps of neighbours between two words (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut edits = substituted.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                edits = edits.min(before[j - 2] + 1);
            }
            row.push(edits);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_if_it_is_near() {
        let words = ["model.width", "model.depth", "data.dim"];
        assert_eq!(nearest("model.widht", words), Some("model.width"));
        assert_eq!(nearest("model.dept", words), Some("model.depth"));
        assert_eq!(nearest("model.colour", words), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), words), None);
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(distance("widht", "width"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
