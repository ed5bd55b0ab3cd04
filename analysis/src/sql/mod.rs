//! SQL over results: the tables jobs, steps, confusion, failures and quantities, with the sweep as one more column.
//!
//! The engine sees them through an object store that begins where they do, so that a query reads nothing else; and
//! only queries run: nothing here can change a result.

mod error;
mod live;
mod output;
mod questions;

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::TableReference;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::object_store::ObjectStore;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext, col, lit};
use domain::{SweepName, Table};
use store::Store;
use tokio_stream::StreamExt;

use crate::results::{
    Difference, QUANTITIES, Results, ResultsError, quantities_schema, table_schema,
};
pub use error::SqlError;
pub use output::{FileAnswer, Format, TABLE_ROWS_MAX, Writer, writer};
pub use questions::{QUESTIONS, Question};

/// Where the engine finds the folder of results: an address of our own, so that no path needs quoting.
const STORE: &str = "results://folder";
/// The column that the folders' names give.
const SWEEP: &str = "sweep";
/// Names of segments, as the reader without SQL has them.
const SEGMENT_GLOB: &str = "[!.]*";
const SEGMENT_SUFFIX: &str = ".parquet";

/// Batches that wait to be written: with those the answer's memory ends.
const BATCHES_WAITING: usize = 2;

/// What a query is run over.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    pub results: &'a Results,
    /// Only this sweep, or all.
    pub sweep: Option<&'a SweepName>,
    /// Rows of running and of unwritten jobs in a folder of their own, which were taken before this query: those of them are
    /// added that are in no segment by then.
    pub live: Option<&'a Results>,
    /// Memory for sorting, grouping and joining. Beyond it what can goes through files; the rest fails.
    pub memory_bytes: usize,
}

impl Query<'_> {
    /// Hands what `sql` selects to `take`, some rows at a time and at least once, so that the columns are known where no
    /// row is, until it wants no more. Answers how files that were read differ from this version's columns, where that may
    /// show in the answer.
    ///
    /// Blocks until all is taken; it may be called anywhere, inside an async runtime too.
    ///
    /// # Errors
    /// [`SqlError`]: whatever is wrong with the folder, the query, or a segment that it reads; what `take` says.
    pub fn run(
        &self,
        sql: &str,
        mut take: impl FnMut(&RecordBatch) -> Result<bool, SqlError>,
    ) -> Result<Vec<Difference>, SqlError> {
        let (sender, batches) = mpsc::sync_channel(BATCHES_WAITING);
        let run = || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.map_err(SqlError::Runtime)?.block_on(self.answer(sql, sender))
        };
        // A thread of its own: a runtime can neither block nor end on a thread of another one, and if the decoder panics
        // on damaged bytes, that ends here.
        let (taken, ended) = std::thread::scope(|scope| {
            let running = scope.spawn(run);
            // Once this is dropped, the query ends.
            let mut batches = batches.into_iter();
            let taken = batches.try_for_each(|batch| match take(&batch) {
                Ok(true) => Ok(()),
                Ok(false) => Err(None),
                Err(error) => Err(Some(error)),
            });
            drop(batches);
            (taken, running.join())
        });
        let ended = ended.unwrap_or_else(|panic| {
            match damaged_segment(self.results, self.sweep, &Table::ALL) {
                Some(error) => Err(error.into()),
                None => std::panic::resume_unwind(panic),
            }
        });
        match taken {
            Err(Some(error)) => Err(error),
            Ok(()) | Err(None) => ended,
        }
    }

    async fn answer(
        &self,
        sql: &str,
        batches: mpsc::SyncSender<RecordBatch>,
    ) -> Result<Vec<Difference>, SqlError> {
        let context = self.context().await.map_err(SqlError::refused)?;
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
        let differences = self.differences(&tables, sql)?;
        let failed = |cause| self.failure(cause, &tables);
        let rows = context.execute_logical_plan(plan).await.map_err(failed)?;
        let schema = Arc::clone(rows.schema().inner());
        let mut stream = rows.execute_stream().await.map_err(failed)?;
        let mut is_empty = true;
        while let Some(batch) = stream.next().await {
            is_empty = false;
            if batches.send(batch.map_err(failed)?).is_err() {
                return Ok(differences);
            }
        }
        if is_empty {
            drop(batches.send(RecordBatch::new_empty(schema)));
        }
        Ok(differences)
    }

    async fn context(&self) -> EngineResult<SessionContext> {
        // So that SHOW TABLES and SHOW COLUMNS work.
        let config = SessionConfig::new().with_information_schema(true);
        let memory = RuntimeEnvBuilder::new().with_memory_limit(self.memory_bytes, 1.0);
        let memory = memory.with_object_list_cache_limit(live::LIST_BYTES_MAX);
        let context = SessionContext::new_with_config_rt(config, memory.build_arc()?);
        register_store(&context, STORE, self.results)?;
        if let Some(rows) = self.live {
            register_store(&context, live::STORE, rows)?;
            live::list_once(&context).await?;
        }
        let tables = Table::ALL.map(|table| (table.as_str(), table_schema(table)));
        for (name, schema) in tables.into_iter().chain([(QUANTITIES, quantities_schema())]) {
            let listing = Arc::new(listing_table(STORE, name, Arc::clone(&schema))?);
            if self.live.is_none() && self.sweep.is_none() {
                context.register_table(name, listing)?;
                continue;
            }
            let mut rows = context.read_table(listing)?;
            if self.live.is_some() && live::TABLES.map(Table::as_str).contains(&name) {
                let listing = Arc::new(listing_table(live::STORE, name, schema)?);
                rows = live::add(rows, context.read_table(listing)?)?;
            }
            if let Some(sweep) = self.sweep {
                rows = rows.filter(col(SWEEP).eq(lit(sweep.as_str())))?;
            }
            context.register_table(name, rows.into_view())?;
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
        if matches!(cause.find_root(), DataFusionError::ResourcesExhausted(_)) {
            return SqlError::TooLarge { bytes: self.memory_bytes };
        }
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

/// Lets the engine find `results` at `address`, and nothing beside them.
fn register_store(context: &SessionContext, address: &str, results: &Results) -> EngineResult<()> {
    let objects: Arc<dyn ObjectStore> = match results.store() {
        Store::Folder(root) => Arc::new(LocalFileSystem::new_with_prefix(root)?),
        #[cfg(feature = "cloud")]
        Store::Cloud(cloud) => cloud.objects(),
    };
    context.register_object_store(ObjectStoreUrl::parse(address)?.as_ref(), objects);
    Ok(())
}

/// All segments of a table in the store at `address`. The columns are those of the column list, whatever files there are: none, or files of an
/// older or newer writer.
fn listing_table(address: &str, name: &str, schema: SchemaRef) -> EngineResult<ListingTable> {
    let url = table_url(address, name)?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(SEGMENT_SUFFIX)
        .with_table_partition_cols(vec![(SWEEP.to_owned(), DataType::Utf8)]);
    let config = ListingTableConfig::new(url.with_glob(SEGMENT_GLOB)?)
        .with_listing_options(options)
        .with_schema(schema);
    ListingTable::try_new(config)
}

fn table_url(address: &str, name: &str) -> EngineResult<ListingTableUrl> {
    let url = ListingTableUrl::parse(format!("{address}/{name}/"))?;
    // The engine knows a list of files by this and the path, whatever the store.
    Ok(url.with_table_ref(TableReference::bare(address)))
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
