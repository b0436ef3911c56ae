//! A unified diff with three lines of context, in the way of Python's `difflib`, which upstream's messages use (in Go: pmezard/go-difflib).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

const CONTEXT: usize = 3;

/// Texts with more lines are not compared: the work grows with the square of them.
const DIFF_LINES_MAX: usize = 4_000;

/// From so many lines on, a line that is more than a hundredth of all does not begin a match.
const POPULAR_FROM: usize = 200;

/// What became of a range of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    same: bool,
    old: Range<usize>,
    new: Range<usize>,
}

/// The hunks. Empty where the texts are the same, or too long.
pub(crate) fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    if old.len() > DIFF_LINES_MAX || new.len() > DIFF_LINES_MAX {
        return String::new();
    }
    let mut text = String::new();
    for hunk in hunks(&steps(&old, &new)) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let (from, to) = (span(first.old.start..last.old.end), span(first.new.start..last.new.end));
        let _ = writeln!(text, "@@ -{from} +{to} @@");
        for step in &hunk {
            lines(&mut text, if step.same { ' ' } else { '-' }, &old[step.old.clone()]);
            if !step.same {
                lines(&mut text, '+', &new[step.new.clone()]);
            }
        }
    }
    text
}

fn lines(text: &mut String, mark: char, lines: &[&str]) {
    for line in lines {
        text.push(mark);
        text.push_str(line);
        text.push('\n');
    }
}

/// `6,7`, as patch(1) counts.
fn span(lines: Range<usize>) -> String {
    match lines.len() {
        1 => (lines.start + 1).to_string(),
        0 => format!("{},0", lines.start),
        length => format!("{},{length}", lines.start + 1),
    }
}

/// Where each line of the new text stands, but for the popular ones.
fn places<'a>(new: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    new.iter().enumerate().for_each(|(at, line)| places.entry(line).or_default().push(at));
    if new.len() >= POPULAR_FROM {
        let most = new.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

/// The longest run of equal lines in two ranges, the first of several.
fn longest(old: &[&str], new: &[&str], places: &HashMap<&str, Vec<usize>>, a: &Range<usize>, b: &Range<usize>) -> (usize, usize, usize) {
    let (mut best_a, mut best_b, mut best) = (a.start, b.start, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for i in a.clone() {
        let mut next = HashMap::new();
        for &j in places.get(old[i]).into_iter().flatten().filter(|j| b.contains(j)) {
            let length = j.checked_sub(1).and_then(|before| lengths.get(&before)).unwrap_or(&0) + 1;
            next.insert(j, length);
            if length > best {
                (best_a, best_b, best) = (i + 1 - length, j + 1 - length, length);
            }
        }
        lengths = next;
    }
    while best_a > a.start && best_b > b.start && old[best_a - 1] == new[best_b - 1] {
        (best_a, best_b, best) = (best_a - 1, best_b - 1, best + 1);
    }
    while best_a + best < a.end && best_b + best < b.end && old[best_a + best] == new[best_b + best] {
        best += 1;
    }
    (best_a, best_b, best)
}

/// The runs of equal lines, in order.
fn matches(old: &[&str], new: &[&str]) -> Vec<(usize, usize, usize)> {
    let places = places(new);
    let mut found = Vec::new();
    let mut waiting = vec![(0..old.len(), 0..new.len())];
    while let Some((a, b)) = waiting.pop() {
        let (i, j, length) = longest(old, new, &places, &a, &b);
        if length > 0 {
            waiting.push((a.start..i, b.start..j));
            waiting.push((i + length..a.end, j + length..b.end));
            found.push((i, j, length));
        }
    }
    found.sort_unstable();
    found
}

fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let (mut i, mut j) = (0, 0);
    let mut steps: Vec<Step> = Vec::new();
    for (a, b, length) in matches(old, new).into_iter().chain([(old.len(), new.len(), 0)]) {
        if i < a || j < b {
            steps.push(Step { same: false, old: i..a, new: j..b });
        }
        match steps.last_mut() {
            _ if length == 0 => {}
            // Runs that touch are one.
            Some(last) if last.same => (last.old.end, last.new.end) = (a + length, b + length),
            _ => steps.push(Step { same: true, old: a..a + length, new: b..b + length }),
        }
        (i, j) = (a + length, b + length);
    }
    steps
}

/// Changes with some lines around them; those that are near each other together.
fn hunks(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut steps = steps.to_vec();
    if let Some(first) = steps.first_mut().filter(|step| step.same) {
        let skip = first.old.len().saturating_sub(CONTEXT);
        (first.old.start, first.new.start) = (first.old.start + skip, first.new.start + skip);
    }
    if let Some(last) = steps.last_mut().filter(|step| step.same) {
        let keep = last.old.len().min(CONTEXT);
        (last.old.end, last.new.end) = (last.old.start + keep, last.new.start + keep);
    }
    let mut hunks = Vec::new();
    let mut hunk: Vec<Step> = Vec::new();
    for mut step in steps {
        if step.same && step.old.len() > 2 * CONTEXT {
            let head = Step { same: true, old: step.old.start..step.old.start + CONTEXT, new: step.new.start..step.new.start + CONTEXT };
            hunk.push(head);
            hunks.push(std::mem::take(&mut hunk));
            (step.old.start, step.new.start) = (step.old.end - CONTEXT, step.new.end - CONTEXT);
        }
        hunk.push(step);
    }
    if hunk.iter().any(|step| !step.same) {
        hunks.push(hunk);
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_those_of_difflib() {
        let text = |lines: &[&str]| lines.join("\n");
        let numbers: Vec<String> = (1..=30).map(|number| number.to_string()).collect();
        let long: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let mut changed = long.clone();
        (changed[9], changed[24]) = ("ten", "twenty-five");
        for (old, new, expected) in [
            (text(&["a", "b"]), text(&["a", "b"]), ""),
            (text(&["a", "b", "c"]), text(&["a", "x", "c"]), "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"),
            (text(&["a"]), text(&["b"]), "@@ -1 +1 @@\n-a\n+b\n"),
            (text(&["a", "c"]), text(&["a", "b", "c"]), "@@ -1,2 +1,3 @@\n a\n+b\n c\n"),
            (
                text(&long),
                text(&changed),
                "@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n@@ -22,7 +22,7 @@\n 22\n 23\n 24\n-25\n+twenty-five\n 26\n 27\n 28\n",
            ),
        ] {
            assert_eq!(diff(&old, &new), expected);
        }
    }

    #[test]
    fn long_texts_are_not_compared() {
        assert_eq!(diff(&"a\n".repeat(2 * DIFF_LINES_MAX), "b"), "");
    }
}
