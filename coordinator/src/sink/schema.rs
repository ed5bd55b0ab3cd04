//! The Arrow schema of the result files, made from the column list of the domain.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Field, Schema};
use domain::table::{FORMAT, FORMAT_KEY};
use domain::{Column, Table};

use super::columns::data_type;

/// All columns of a table, each with its unit, meaning and volatility as field metadata.
pub fn file_schema(table: Table) -> Arc<Schema> {
    let field = |column: &Column| {
        let metadata = HashMap::from([
            ("unit".to_owned(), column.unit.to_owned()),
            ("meaning".to_owned(), column.meaning.to_owned()),
            ("volatile".to_owned(), column.volatile.to_string()),
        ]);
        Field::new(column.name, data_type(column.kind), true).with_metadata(metadata)
    };
    let fields: Vec<_> = table.columns().map(field).collect();
    let metadata = HashMap::from([
        (FORMAT_KEY.to_owned(), FORMAT.to_owned()),
        ("gradsweep.table".to_owned(), table.as_str().to_owned()),
    ]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}
