//! SQL over results: the tables jobs, steps, confusion, failures and quantities, with the sweep as one more column.
//!
//! The engine sees them through an object store that begins where they do, so that a query reads nothing else; and
//! only queries run: nothing here can change a result.

mod error;
mod output;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::TableReference;
use datafusion::datasource::TableProvider;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::ObjectStore;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext, col, lit};
use domain::{SweepName, Table};
use store::Store;

use crate::results::{
    Difference, QUANTITIES, Results, ResultsError, quantities_schema, table_schema,
};
pub use error::SqlError;
pub use output::{Format, write};

/// Where the engine finds the folder of results: an address of our own, so that no path needs quoting.
const STORE: &str = "results://folder";
/// The column that the folders' names give.
const SWEEP: &str = "sweep";
/// Names of segments, as the reader without SQL has them.
const SEGMENT_GLOB: &str = "[!.]*";
const SEGMENT_SUFFIX: &str = ".parquet";

/// What a query found.
#[derive(Debug)]
pub struct Answer {
    /// At least one, so that the columns are known where no row is.
    pub batches: Vec<RecordBatch>,
    /// How files that it read differ from this version's columns, where that may show in the answer.
    pub differences: Vec<Difference>,
}

/// What `sql` selects from `results`, of one sweep or of all.
///
/// Blocks until they are all there; it may be called anywhere, inside an async runtime too.
///
/// # Errors
/// [`SqlError`]: whatever is wrong with the folder, the query, or a segment that it reads.
pub fn query(results: &Results, sweep: Option<&str>, sql: &str) -> Result<Answer, SqlError> {
    let sweep = sweep.map(|name| results.sweep(name)).transpose()?;
    let run = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let query = Query { results, sweep: sweep.as_ref() };
        runtime.map_err(SqlError::Runtime)?.block_on(query.run(sql))
    };
    // A thread of its own: a runtime can neither block nor end on a thread of another one, and if the decoder panics
    // on damaged bytes, that ends here.
    let ended = std::thread::scope(|scope| scope.spawn(run).join());
    ended.unwrap_or_else(|panic| match damaged_segment(results, sweep.as_ref(), &Table::ALL) {
        Some(error) => Err(error.into()),
        None => std::panic::resume_unwind(panic),
    })
}

/// What a query is run over.
struct Query<'a> {
    results: &'a Results,
    sweep: Option<&'a SweepName>,
}

impl Query<'_> {
    async fn run(&self, sql: &str) -> Result<Answer, SqlError> {
        let context = self.context().map_err(SqlError::refused)?;
        let plan = context.state().create_logical_plan(sql).await;
        let plan = plan.map_err(|cause| SqlError::of_plan(cause, &tables_of(&context, sql)))?;
        let only_queries = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        only_queries.verify_plan(&plan).map_err(|_| SqlError::NotAQuery)?;

        let named = tables_of(&context, sql);
        let tables: Vec<_> =
            named.iter().filter_map(|table| Table::from_name(table.table())).collect();
        self.refuse_empty_segments(&tables)?;
        let failed = |cause| self.failure(cause, &tables);
        let rows = context.execute_logical_plan(plan).await.map_err(failed)?;
        let schema = Arc::clone(rows.schema().inner());
        let mut batches = rows.collect().await.map_err(failed)?;
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(schema));
        }
        Ok(Answer { batches, differences: self.differences(&tables, sql)? })
    }

    fn context(&self) -> EngineResult<SessionContext> {
        // So that SHOW TABLES and SHOW COLUMNS work.
        let config = SessionConfig::new().with_information_schema(true);
        let context = SessionContext::new_with_config(config);
        let objects: Arc<dyn ObjectStore> = match self.results.store() {
            Store::Folder(root) => Arc::new(LocalFileSystem::new_with_prefix(root)?),
            #[cfg(feature = "cloud")]
            Store::Cloud(cloud) => cloud.objects(),
        };
        let address = ObjectStoreUrl::parse(STORE)?;
        context.register_object_store(address.as_ref(), objects);
        let tables = Table::ALL.map(|table| (table.as_str(), table_schema(table)));
        for (name, schema) in tables.into_iter().chain([(QUANTITIES, quantities_schema())]) {
            let listing = Arc::new(listing_table(name, schema)?);
            let provider: Arc<dyn TableProvider> = match self.sweep {
                None => listing,
                Some(sweep) => {
                    let all = context.read_table(listing)?;
                    all.filter(col(SWEEP).eq(lit(sweep.as_str())))?.into_view()
                }
            };
            context.register_table(name, provider)?;
        }
        Ok(context)
    }

    /// What is to be said of the tables that a query names: missing columns only where it names them, or all.
    fn differences(&self, tables: &[Table], sql: &str) -> Result<Vec<Difference>, ResultsError> {
        let (sweeps, sql) = (sweeps(self.results, self.sweep)?, sql.to_lowercase());
        let names_all = sql.replace("(*)", "").contains('*');
        let mut found = Vec::new();
        for &table in BTreeSet::from_iter(tables) {
            found.extend(self.results.differences(table, &sweeps)?);
        }
        found.retain(|difference| {
            !difference.is_known || names_all || sql.contains(&difference.column)
        });
        Ok(found)
    }

    /// Why a valid query failed: if a segment that it reads is at fault, which one.
    fn failure(&self, cause: DataFusionError, tables: &[Table]) -> SqlError {
        let damaged = error::is_about_files(&cause)
            .then(|| damaged_segment(self.results, self.sweep, tables))
            .flatten();
        damaged.map_or_else(|| SqlError::failed(cause), SqlError::from)
    }

    /// Refuses segments of no length, which the engine would pass over in silence.
    fn refuse_empty_segments(&self, tables: &[Table]) -> Result<(), ResultsError> {
        for sweep in sweeps(self.results, self.sweep)? {
            for table in tables {
                let segments = self.results.segments(*table, &sweep)?;
                if let Some(empty) = segments.into_iter().find(|segment| segment.bytes == 0) {
                    return Err(ResultsError::Truncated { path: empty.path, bytes: 0 });
                }
            }
        }
        Ok(())
    }
}

/// All segments of a table. The columns are those of the column list, whatever files there are: none, or files of an
/// older or newer writer.
fn listing_table(name: &str, schema: SchemaRef) -> EngineResult<ListingTable> {
    let url = ListingTableUrl::parse(format!("{STORE}/{name}/"))?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(SEGMENT_SUFFIX)
        .with_table_partition_cols(vec![(SWEEP.to_owned(), DataType::Utf8)]);
    let config = ListingTableConfig::new(url.with_glob(SEGMENT_GLOB)?)
        .with_listing_options(options)
        .with_schema(schema);
    ListingTable::try_new(config)
}

/// The tables that a query names; none if it cannot be parsed.
fn tables_of(context: &SessionContext, sql: &str) -> Vec<TableReference> {
    let state = context.state();
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state.sql_to_statement(sql, &dialect);
    statement.and_then(|statement| state.resolve_table_references(&statement)).unwrap_or_default()
}

/// What is wrong with the first segment that cannot be read. It reads them all, which only a failure is worth.
fn damaged_segment(
    results: &Results,
    sweep: Option<&SweepName>,
    tables: &[Table],
) -> Option<ResultsError> {
    let sweeps = sweeps(results, sweep).ok()?;
    let mut places = tables.iter().flat_map(|table| sweeps.iter().map(move |sweep| (table, sweep)));
    places.find_map(|(table, sweep)| results.verify(*table, sweep).err())
}

fn sweeps(results: &Results, sweep: Option<&SweepName>) -> Result<Vec<SweepName>, ResultsError> {
    sweep.map_or_else(|| results.sweeps(), |sweep| Ok(vec![sweep.clone()]))
}
