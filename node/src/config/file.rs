//! A TOML file as a flat list of dotted keys, each with its line.

use toml::de::{DeTable, DeValue};

/// One key of a file. `texts` is what a flag would say; a list has several.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) found: Found,
}

/// The value as it stands in the file.
#[derive(Debug)]
pub(super) enum Found {
    Text(String),
    Number(String),
    Switch(bool),
    List(Vec<String>),
    /// Something that no setting takes, by its name in TOML.
    Other(&'static str),
}

/// All keys of `text`, and what is not TOML in it as (line, message).
pub(super) fn read(text: &str) -> (Vec<Entry>, Vec<(usize, String)>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut entries = Vec::new();
    flatten(text, "", table.get_ref(), &mut entries);
    entries.sort_by_key(|entry| entry.line);
    let message = |error: &toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        (line, error.message().to_owned())
    };
    (entries, errors.iter().map(message).collect())
}

fn flatten(text: &str, prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        if let DeValue::Table(table) = value.get_ref() {
            flatten(text, &key, table, entries);
            continue;
        }
        let line = line_of(text, name.span().start);
        entries.push(Entry { key, line, found: found(value.get_ref()) });
    }
}

fn found(value: &DeValue<'_>) -> Found {
    match value {
        DeValue::String(text) => Found::Text(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Found::Number(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Found::Switch(*switch),
        DeValue::Array(items) => {
            let text = |item: &DeValue<'_>| item.as_str().map(str::to_owned);
            let texts: Option<Vec<String>> = items.iter().map(|item| text(item.get_ref())).collect();
            texts.map_or(Found::Other("array of something else than strings"), Found::List)
        }
        other => Found::Other(other.type_str()),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}
