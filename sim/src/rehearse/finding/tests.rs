//! Findings from made-up records.
