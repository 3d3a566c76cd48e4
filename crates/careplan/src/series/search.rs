//! The search for the k cheapest series.
//!
//! `bounds.rs` gives the least cost of a series through each candidate. The search reads only the candidates of a
//! *corridor*: those through which a series may cost at most a limit. If it finds k series within the limit, no series
//! outside is cheaper; else the corridor is widened, at last to all candidates.

use super::{
    Infeasible, PartOfDay, Problem, SERIES_MAX, Series,
    bounds::{self, Bounds},
    nodes::{Interner, nodes},
    pools::{LeftOut, Pools},
    shape::{Shape, shapes},
    solve::{Layer, Step, first},
};

/// The widths of the corridor in points, before it covers all candidates.
const CORRIDORS: [u64; 4] = [10, 40, 200, 4000];

/// The k cheapest series, cheapest first; at most [`SERIES_MAX`].
///
/// # Errors
/// When no series keeps the rules: the first session that cannot be reached.
pub fn best(problem: &Problem, k: usize) -> Result<Vec<Series>, Infeasible> {
    let k = k.clamp(1, SERIES_MAX);
    let mut found = Vec::new();
    for part in problem.parts() {
        let search = Search::new(problem, *part);
        found.extend(search.best(&search.bounds(search.no_exclusions()), k)?);
    }
    // A series is found once for each part of the day; its cheapest part counts.
    found.sort_by(|left, right| (left.cost, &left.picks).cmp(&(right.cost, &right.picks)));
    let mut series: Vec<Series> = Vec::with_capacity(k);
    for Found { picks, .. } in found {
        if series.len() < k && series.iter().all(|known| known.picks != picks) {
            series.push(Series { terms: problem.terms(&picks), picks });
        }
    }
    Ok(series)
}

/// Whether any series keeps the rules.
pub(super) fn is_possible(problem: &Problem) -> bool {
    let search = Search::new(problem, None);
    search.best(&search.bounds(search.no_exclusions()), 1).is_ok()
}

/// Picks and their cost in a search.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) cost: u64,
    pub(super) picks: Vec<usize>,
}

/// A problem prepared for repeated searches.
pub(super) struct Search<'a> {
    problem: &'a Problem,
    shapes: Vec<Shape>,
    pub(super) interner: Interner,
    pools: Pools,
}

impl<'a> Search<'a> {
    /// Prepares a problem for series that keep to `part`, if there is one.
    pub(super) fn new(problem: &'a Problem, part: Option<PartOfDay>) -> Self {
        let mut interner = Interner::default();
        let pools = Pools::of(problem, part, &mut interner);
        Self { problem, shapes: shapes(&problem.sessions), interner, pools }
    }

    /// No exclusions, for each session.
    pub(super) fn no_exclusions(&self) -> Vec<LeftOut> {
        vec![LeftOut::default(); self.problem.sessions.len()]
    }

    /// The bounds of the series in which each session excludes some starts.
    pub(super) fn bounds(&self, left_out: Vec<LeftOut>) -> Bounds<'_> {
        Bounds::of(self.problem, &self.pools, left_out, &self.interner)
    }

    /// The k cheapest series within these bounds.
    pub(super) fn best(&self, bounds: &Bounds<'_>, k: usize) -> Result<Vec<Found>, Infeasible> {
        // Without a path there is no series.
        let corridors = if bounds.least < bounds::NONE { &CORRIDORS[..] } else { &[] };
        for width in corridors {
            let limit = bounds.least.saturating_add(*width);
            let found = self.within(bounds, limit, k);
            let sure = |found: &Vec<Found>| found.get(k - 1).is_some_and(|last| last.cost <= limit);
            if found.as_ref().is_ok_and(sure) {
                return found;
            }
        }
        self.within(bounds, u64::MAX, k)
    }

    /// The k cheapest series of the corridor up to a limit.
    fn within(&self, bounds: &Bounds<'_>, limit: u64, k: usize) -> Result<Vec<Found>, Infeasible> {
        let Self { problem, interner, .. } = self;
        let mut layers: Vec<Layer> = Vec::with_capacity(problem.sessions.len());
        for (at, shape) in self.shapes.iter().enumerate() {
            let nodes = nodes(problem, at, bounds.within(at, limit), shape, k, interner);
            let labels = match layers.last() {
                None => first(&nodes),
                Some(before) => Step { problem, at, shape, k, before, nodes: &nodes, interner }.labels(),
            };
            if labels.is_empty() {
                return Err(Infeasible { session: at });
            }
            layers.push(Layer { nodes, labels });
        }
        Ok(read_back(&layers, k))
    }
}

fn read_back(layers: &[Layer], k: usize) -> Vec<Found> {
    let Some(last) = layers.last() else { return vec![] };
    let mut ends: Vec<usize> = (0..last.labels.len()).collect();
    ends.sort_by_key(|index| last.labels[*index].cost);
    ends.truncate(k);
    let found = ends.into_iter().map(|end| {
        let (mut picks, mut at) = (Vec::with_capacity(layers.len()), end);
        for layer in layers.iter().rev() {
            let label = &layer.labels[at];
            picks.push(layer.nodes[label.node as usize].pick);
            at = label.before as usize;
        }
        picks.reverse();
        Found { cost: last.labels[end].cost, picks }
    });
    found.collect()
}
