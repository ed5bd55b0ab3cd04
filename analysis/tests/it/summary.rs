//! The table that ends a run, as text and as rows.
