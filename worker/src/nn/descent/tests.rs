//! Blocks of steps against single ones.
