//! The ratios as a picture: a bar a goal, as long as it came to its goal, and a line across where the goal is met.

use std::fmt::Write as _;

use super::goals::{Better, Outcome, Standing};

/// Where bars begin and how long one is that just meets its goal, in pixels.
const LEFT: f64 = 430.0;
const UNIT: f64 = 200.0;
/// Longer ones end here.
const MOST: f64 = 2.0;
const ROW: f64 = 26.0;

/// Draws what was measured.
pub(super) fn draw(outcomes: &[Outcome]) -> String {
    let measured: Vec<_> = outcomes.iter().filter_map(|it| Some((it, it.ratio?))).collect();
    let height = ROW * f64::from(u32::try_from(measured.len()).unwrap_or(u32::MAX)) + 50.0;
    let width = LEFT + UNIT * MOST + 110.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut top = 30.0;
    for (outcome, ratio) in measured {
        let goal = outcome.goal;
        let reached = |value: f64| match goal.better {
            Better::More => value / goal.target,
            Better::Less => goal.target / value,
        };
        let at = |value: f64| LEFT + UNIT * reached(value).clamp(0.0, MOST);
        let (middle, bar) = (top + ROW / 2.0, at(ratio.median) - LEFT);
        let colour = match outcome.standing() {
            Standing::Met => "#4a9b5b",
            Standing::Short => "#d9a441",
            Standing::Missed | Standing::NotMeasured => "#c0504d",
        };
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            "<text x=\"8\" y=\"{y}\">{id}  {what}</text>\n\
             <rect x=\"{LEFT}\" y=\"{bar_top}\" width=\"{bar:.1}\" height=\"14\" fill=\"{colour}\"/>\n\
             <line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"black\"/>\n\
             <text x=\"{beside:.1}\" y=\"{y}\">{median:.2} {unit}</text>\n",
            y = middle + 4.0,
            id = goal.id,
            what = goal.what,
            bar_top = middle - 7.0,
            from = at(ratio.least),
            to = at(ratio.most),
            beside = LEFT + bar.max(at(ratio.most) - LEFT).max(at(ratio.least) - LEFT) + 6.0,
            median = ratio.median,
            unit = goal.unit.replace('x', "×"),
        );
        top += ROW;
    }
    let goal = LEFT + UNIT;
    let _ = write!(
        svg,
        "<line x1=\"{goal}\" x2=\"{goal}\" y1=\"24\" y2=\"{top}\" stroke=\"#666\" stroke-dasharray=\"4 3\"/>\n\
         <text x=\"{goal}\" y=\"18\" text-anchor=\"middle\">goal</text>\n</svg>\n"
    );
    svg
}
