//! Flags over environment over file over defaults: one value for every key, with its origin.

use std::collections::HashMap;
use std::path::Path;

use super::Sources;
use super::file::{self, Found};
use super::key::{KEYS, Key};
use super::mistake::{Mistakes, Origin};
use super::value::{self, Kind, Value};

/// Names in the environment that are not keys but belong to this program.
const OTHER_NAMES: [&str; 3] = ["HOLDFAST_LOG", "HOLDFAST_CONFIG", "HOLDFAST_FAULT"];

/// The value in force for each key, and where it came from. A key that was given badly is missing.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) values: HashMap<&'static str, (Value, Origin)>,
    pub(super) warnings: Vec<String>,
}

/// Reads every source, the weakest first; what is wrong goes to `mistakes`, also where a stronger source hides it.
pub(super) fn read(sources: &Sources, mistakes: &mut Mistakes) -> Layers {
    let mut layers = Layers { values: HashMap::new(), warnings: Vec::new() };
    for key in KEYS {
        let value =
            if key.default.is_empty() { Ok(Value::Unset) } else { value::read(key.kind, key.default) };
        layers.put(key, value, Origin::Default, mistakes);
    }
    if let Some(path) = &sources.file {
        layers.read_file(path, mistakes);
    }
    for (name, text) in &sources.environment {
        match KEYS.iter().find(|key| key.environment() == *name) {
            Some(key) => {
                layers.put(key, value::read(key.kind, text), Origin::Environment(name.clone()), mistakes)
            }
            None if OTHER_NAMES.contains(&name.as_str()) => {}
            // Not a mistake: what starts a container may put names of its own beside ours.
            None => layers.warnings.push(format!("{name} in the environment is no setting and does nothing")),
        }
    }
    for (name, text) in &sources.flags {
        let key =
            KEYS.iter().find(|key| key.flag == Some(name)).expect("every flag of start has its row in KEYS");
        layers.put(key, value::read(key.kind, text), Origin::Flag(name), mistakes);
    }
    layers
}

impl Layers {
    fn put(&mut self, key: &Key, value: Result<Value, String>, origin: Origin, mistakes: &mut Mistakes) {
        match value {
            Ok(value) => {
                self.values.insert(key.name, (value, origin));
            }
            Err(text) => mistakes.add(origin, key.name, text),
        }
    }

    fn read_file(&mut self, path: &Path, mistakes: &mut Mistakes) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                mistakes.add(Origin::File(path.into(), None), "", format!("cannot be read: {error}"));
                return;
            }
        };
        let (entries, errors) = file::read(&text);
        for (line, text) in errors {
            mistakes.add(Origin::File(path.into(), Some(line)), "", text);
        }
        for entry in entries {
            let origin = Origin::File(path.into(), Some(entry.line));
            match KEYS.iter().find(|key| key.name == entry.key) {
                Some(key) => self.put(key, from_file(key.kind, entry.found), origin, mistakes),
                None => mistakes.add(origin, &entry.key, unknown(&entry.key)),
            }
        }
    }
}

/// A file says the type as well as the text: a number is not a string, and a time is.
fn from_file(kind: Kind, found: Found) -> Result<Value, String> {
    match (kind, found) {
        (Kind::Count { .. } | Kind::Size { .. }, Found::Number(text)) => value::read(kind, &text),
        (Kind::Switch, Found::Switch(switch)) => Ok(Value::Switch(switch)),
        (Kind::List, Found::List(texts)) => Ok(Value::List(texts)),
        (Kind::Count { .. } | Kind::Switch | Kind::List, Found::Text(text)) => {
            Err(format!("is the string \"{text}\"; expected {kind}, without quotes"))
        }
        (Kind::Time { .. }, Found::Number(text)) => {
            Err(format!("{text} has no unit; expected \"{text}s\" or the like"))
        }
        (Kind::Unavailable, Found::Other(_) | Found::Number(_) | Found::Switch(_) | Found::List(_)) => {
            value::read(kind, "set")
        }
        (kind, Found::Text(text)) => value::read(kind, &text),
        (kind, Found::Other(name)) => Err(format!("is of the type {name}; expected {kind}")),
        (kind, Found::Number(text)) => Err(format!("is the number {text}; expected {kind}")),
        (kind, Found::Switch(switch)) => Err(format!("is {switch}; expected {kind}")),
        (kind, Found::List(_)) => Err(format!("is an array; expected {kind}")),
    }
}

fn unknown(name: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    match KEYS.iter().find(|key| key.name.rsplit('.').next() == Some(last)) {
        Some(near) => format!("no such setting; there is {}", near.name),
        None => "no such setting".into(),
    }
}
