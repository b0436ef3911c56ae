//! One table, and a plot of it.

use std::fmt::Write as _;
use std::path::Path;

use crate::Failure;

/// One figure, beside kube-apiserver 1.36.2 with etcd 3.6.13 where it was measured on a machine of the same kind (two cores, load
/// generator on the same cores): a figure of another run, for orientation.
pub struct Row {
    /// `embedded` or `etcd`.
    pub store: &'static str,
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// More figures, in words.
    pub detail: String,
    /// Upstream's figure, and whether less is better.
    pub upstream: Option<(f64, bool)>,
}

impl Row {
    /// How many times better than upstream.
    fn times(&self) -> Option<f64> {
        let (upstream, less_is_better) = self.upstream?;
        Some(if less_is_better { upstream / self.value } else { self.value / upstream })
    }
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    print!("{}", table(rows));
}

fn table(rows: &[Row]) -> String {
    let mut out = String::from("| store | what | value | kube-apiserver | times | |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let upstream = row.upstream.map_or(String::new(), |(value, _)| format!("{value} {}", row.unit));
        let times = row.times().map_or(String::new(), |times| format!("{times:.1}"));
        let value = if row.value >= 100.0 { format!("{:.0}", row.value) } else { format!("{:.2}", row.value) };
        writeln!(out, "| {} | {} | {value} {} | {upstream} | {times} | {} |", row.store, row.what, row.unit, row.detail)
            .expect("a string takes everything");
    }
    out
}

/// Writes `table.md` and `times.svg`.
pub fn write(rows: &[Row], out: &Path) -> Result<(), Failure> {
    std::fs::write(out.join("table.md"), table(rows))?;
    std::fs::write(out.join("times.svg"), plot(rows))?;
    eprintln!("==> {}, {}", out.join("table.md").display(), out.join("times.svg").display());
    Ok(())
}

/// Bars: how many times better than upstream, on a logarithmic scale; the line is upstream.
fn plot(rows: &[Row]) -> String {
    const LEFT: f64 = 360.0;
    const STEP: f64 = 26.0;
    const DECADE: f64 = 180.0;
    let bars: Vec<(&Row, f64)> = rows.iter().filter_map(|row| Some((row, row.times()?))).collect();
    let height = 60.0 + STEP * bars.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/><text x=\"10\" y=\"22\" font-size=\"15\">Wasmgate, times kube-apiserver + etcd (logarithmic)</text>\n"
    );
    let zero = LEFT + DECADE;
    for (i, (row, times)) in bars.iter().enumerate() {
        let y = 40.0 + STEP * i as f64;
        let length = (times.max(0.1).log10() * DECADE).clamp(-DECADE, 2.0 * DECADE);
        let (x, width) = if length < 0.0 { (zero + length, -length) } else { (zero, length) };
        let colour = if row.store == "embedded" { "#3b6ea5" } else { "#8a8a8a" };
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}: {}</text><rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"18\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{times:.1}</text>",
            LEFT - 8.0,
            y + 14.0,
            row.store,
            row.what.replace('<', "&lt;"),
            x + width + 6.0,
            y + 14.0
        )
        .expect("a string takes everything");
    }
    writeln!(svg, "<line x1=\"{zero}\" x2=\"{zero}\" y1=\"34\" y2=\"{}\" stroke=\"black\"/></svg>", height - 14.0)
        .expect("a string takes everything");
    svg
}
