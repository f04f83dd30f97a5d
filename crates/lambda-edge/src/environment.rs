//! Settings from the function's environment.

use std::fmt;

/// A setting is missing or wrong. One sentence that names what the operator set: the template's parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError(String);

impl SettingError {
    /// The parameter's value is wrong for this reason.
    pub fn of_parameter(parameter: &str, reason: impl fmt::Display) -> Self {
        Self(format!("the parameter {parameter} cannot be used: {reason}"))
    }

    /// The whole sentence, where it names the parameter already.
    pub fn sentence(sentence: impl fmt::Display) -> Self {
        Self(sentence.to_string())
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingError {}

/// Looks up variables: [`std::env::var`] in a function, a table in a test.
pub struct Environment<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    /// The variable that the template always sets.
    ///
    /// # Errors
    /// If it is not set, or empty.
    pub fn text(&self, variable: &str) -> Result<String, SettingError> {
        let value = (self.0)(variable).filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| {
            SettingError(format!("the environment variable {variable}, which the template sets, is missing"))
        })
    }

    /// The variable that a template parameter sets, parsed.
    ///
    /// # Errors
    /// If it is missing or does not parse; both name the parameter.
    pub fn parameter<T, E: fmt::Display>(
        &self,
        variable: &str,
        parameter: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, SettingError> {
        let value = (self.0)(variable).ok_or_else(|| SettingError::of_parameter(parameter, "it is missing"))?;
        parse(value.trim()).map_err(|error| SettingError::of_parameter(parameter, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let environment = Environment(&|variable| (variable == "SIZE").then(|| "many".to_owned()));
        let size = environment.parameter("SIZE", "Size", str::parse::<u8>).unwrap_err().to_string();
        assert!(size.starts_with("the parameter Size cannot be used: "), "{size}");
        let missing = environment.parameter("OTHER", "Other", str::parse::<u8>).unwrap_err().to_string();
        assert_eq!(missing, "the parameter Other cannot be used: it is missing");
        assert!(environment.text("TABLE").unwrap_err().to_string().contains("TABLE"));
        assert_eq!(environment.text("SIZE").unwrap(), "many");
    }
}
