//! Reads the table out of `README.md`.

use std::collections::BTreeMap;

use sluicegate_channels::Phase;

/// What a row says.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) record: String,
    pub(crate) effects: String,
    pub(crate) next: String,
}

pub(crate) struct Table(BTreeMap<String, BTreeMap<String, Cell>>);

impl Table {
    pub(crate) fn read() -> Self {
        let file = include_str!("../../README.md");
        let (_, table) = file.split_once("## The table").expect("the file has the table");
        let (table, _) = table.split_once("\n## ").expect("more follows it");
        let mut rows: BTreeMap<String, BTreeMap<String, Cell>> = BTreeMap::new();
        for line in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
            let columns: Vec<_> =
                line.trim_matches('|').split('|').map(|column| column.trim().to_owned()).collect();
            let [input, phases, record, effects, next] =
                columns.try_into().expect("a row has five columns");
            for phase in phases.split(", ") {
                let cell =
                    Cell { record: record.clone(), effects: effects.clone(), next: next.clone() };
                let before = rows.entry(input.clone()).or_default().insert(phase.to_owned(), cell);
                assert!(before.is_none(), "{input} in {phase} stands there twice");
            }
        }
        assert!(rows.len() > 40, "the table was not read");
        Self(rows)
    }

    pub(crate) fn inputs(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The cell of an input and a phase, by its own row or by that of `others`.
    pub(crate) fn cell(&self, input: &str, phase: Phase) -> Cell {
        let rows = &self.0[input];
        let found = rows.get(phase.name()).or_else(|| rows.get("others"));
        found.unwrap_or_else(|| panic!("{input} in {phase} is empty")).clone()
    }
}
