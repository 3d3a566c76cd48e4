//! A search from end to end, for the k cheapest series.
//!
//! `bounds.rs` says what a series through each candidate costs at least. The search looks at the candidates of a *corridor*
//! only, those through which a series may cost at most so much: where it finds k series that cost no more, no series
//! outside is cheaper; else the corridor is made wider, at last as wide as all candidates.

use super::{
    Infeasible, PartOfDay, Problem, SERIES_MAX, Series,
    bounds::{self, Bounds},
    nodes::{Numbers, nodes},
    pools::{LeftOut, Pools},
    shape::{Shape, shapes},
    solve::{Layer, Step, first},
};

/// How wide the corridor is, in points, before it takes in everything.
const CORRIDORS: [u64; 4] = [10, 40, 200, 4000];

/// The k cheapest series, cheapest first; at most [`SERIES_MAX`].
///
/// # Errors
/// Where none keeps the rules: the first session that cannot be reached.
pub fn best(problem: &Problem, k: usize) -> Result<Vec<Series>, Infeasible> {
    let k = k.clamp(1, SERIES_MAX);
    let mut found = Vec::new();
    for part in problem.parts() {
        let search = Search::new(problem, *part);
        found.extend(search.best(&search.bounds(search.nothing_left_out()), k)?);
    }
    // A series is found once for each part of the day that it may keep to: it costs what its best part costs.
    found.sort_by(|one, other| (one.cost, &one.picks).cmp(&(other.cost, &other.picks)));
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
    search.best(&search.bounds(search.nothing_left_out()), 1).is_ok()
}

/// Picks, and what they cost in a search.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) cost: u64,
    pub(super) picks: Vec<usize>,
}

/// A problem made ready to be searched, as often as is needed.
pub(super) struct Search<'a> {
    problem: &'a Problem,
    shapes: Vec<Shape>,
    pub(super) numbers: Numbers,
    pools: Pools,
}

impl<'a> Search<'a> {
    /// Makes a problem ready, for series that keep to a part of the day where one is named.
    pub(super) fn new(problem: &'a Problem, part: Option<PartOfDay>) -> Self {
        let mut numbers = Numbers::default();
        let pools = Pools::of(problem, part, &mut numbers);
        Self { problem, shapes: shapes(&problem.sessions), numbers, pools }
    }

    /// For each session that it leaves nothing out.
    pub(super) fn nothing_left_out(&self) -> Vec<LeftOut> {
        vec![LeftOut::default(); self.problem.sessions.len()]
    }

    /// What series cost at least of which each session leaves some starts out.
    pub(super) fn bounds(&self, left_out: Vec<LeftOut>) -> Bounds<'_> {
        Bounds::of(self.problem, &self.pools, left_out, &self.numbers)
    }

    /// The k cheapest series within these bounds.
    pub(super) fn best(&self, bounds: &Bounds<'_>, k: usize) -> Result<Vec<Found>, Infeasible> {
        // Without a series that keeps all but the hours there is none.
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

    /// The k cheapest series of the candidates through which one may cost no more than a limit.
    fn within(&self, bounds: &Bounds<'_>, limit: u64, k: usize) -> Result<Vec<Found>, Infeasible> {
        let Self { problem, numbers, .. } = self;
        let mut layers: Vec<Layer> = Vec::with_capacity(problem.sessions.len());
        for (at, shape) in self.shapes.iter().enumerate() {
            let nodes = nodes(problem, at, bounds.within(at, limit), shape, k, numbers);
            let labels = match layers.last() {
                None => first(&nodes),
                Some(before) => Step { problem, at, shape, k, before, nodes: &nodes, numbers }.labels(),
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
