//! The public words of reports.

use crate::words::words;

words! {
    /// The dimension of a report's rows.
    pub enum GroupBy as "ReportGroupBy" {
        /// By location.
        Location = "location",
        /// By practitioner.
        Practitioner = "practitioner",
        /// By service.
        Service = "service",
        /// By calendar day.
        Day = "day",
        /// By week; its row is named by the Monday.
        Week = "week",
    }
}
