//! What sets two revisions of a sweep apart so far that they share no job.

use std::collections::BTreeMap;

use super::Sweep;
use crate::json;
use crate::settings::Field;
use crate::value::Value;

/// A field whose values in two revisions have nothing in common.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Its dotted name.
    pub field: &'static str,
    /// Its values in the older revision, after defaults; none where it applied to no job.
    pub old: Vec<Value>,
    /// Its values in the newer revision.
    pub new: Vec<Value>,
}

/// For each field its values by canonical text. The empty text stands for jobs to which it does not apply.
type Values = BTreeMap<Field, BTreeMap<String, Value>>;

pub(super) fn between(older: &Sweep, newer: &Sweep) -> Vec<FieldChange> {
    let (old, new) = (values(older), values(newer));
    let mut fields: Vec<Field> = old.keys().chain(new.keys()).copied().collect();
    fields.sort_unstable();
    fields.dedup();
    let changes = fields.into_iter().filter_map(|field| {
        let absent = BTreeMap::from([(String::new(), Value::List(Vec::new()))]);
        let of = |values: &Values| values.get(&field).unwrap_or(&absent).clone();
        let (old, new) = (of(&old), of(&new));
        let is_shared = old.keys().any(|text| new.contains_key(text));
        let shown = |mut values: BTreeMap<String, Value>| {
            values.remove("");
            values.into_values().collect()
        };
        let change = || FieldChange { field: field.as_str(), old: shown(old), new: shown(new) };
        (!is_shared).then(change)
    });
    changes.collect()
}

/// Every value that each identity-relevant field has in some job.
fn values(sweep: &Sweep) -> Values {
    let mut values: Values = BTreeMap::new();
    let mut jobs_of: BTreeMap<Field, u64> = BTreeMap::new();
    let mut jobs = 0;
    sweep.visit_cells(|job| {
        jobs += 1;
        for (field, value) in job.settings().iter().filter(|(field, _)| !field.is_seed()) {
            *jobs_of.entry(field).or_default() += 1;
            let texts = values.entry(field).or_default();
            texts.entry(json::write(value)).or_insert_with(|| value.clone());
        }
    });
    for (field, count) in jobs_of {
        if count < jobs {
            let texts = values.entry(field).or_default();
            texts.insert(String::new(), Value::List(Vec::new()));
        }
    }
    for stream in [Field::DataSeed, Field::InitSeed, Field::OrderSeed, Field::MeasureSeed] {
        let texts = seeds(sweep, stream).into_iter().map(|seed| (json::write(&seed), seed));
        values.insert(stream, texts.collect());
    }
    values
}

/// The seeds of a stream: its own where it is set apart, else the common ones, else 0.
fn seeds(sweep: &Sweep, stream: Field) -> Vec<Value> {
    let given = |field| {
        let axis = sweep.axes().find(|axis| axis.field == field);
        let values = axis.map(|axis| axis.values.clone());
        values.or_else(|| Some(vec![sweep.plan.base.get(field)?.clone()]))
    };
    given(stream).or_else(|| given(Field::Seed)).unwrap_or_else(|| vec![Value::Int(0)])
}
