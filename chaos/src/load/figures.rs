//! The result of a load: named numbers, which become one JSON object.

use serde_json::{Map, Value};

/// Named numbers. Names end in their unit.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<(String, Value)>);

impl Figures {
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// A rounded number: more digits than three would only be noise.
    pub(crate) fn set_round(&mut self, name: &str, value: f64) {
        let places = if value.abs() < 10.0 { 1000.0 } else { 10.0 };
        self.set(name, (value * places).round() / places);
    }

    /// The number with this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(own, _)| own == name).and_then(|(_, value)| value.as_f64())
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        Value::Object(self.0.iter().cloned().collect::<Map<_, _>>()).to_string()
    }
}
