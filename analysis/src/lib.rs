//! The analysis of gradsweep: reading results, their summary, SQL.
