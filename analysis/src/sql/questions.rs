//! Questions that most sweeps are asked, kept as SQL files, which any engine takes that has the tables under their names.

use super::error::SqlError;

/// A question with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: &'static str,
    pub sql: &'static str,
}

macro_rules! questions {
    ($($name:literal),* $(,)?) => {
        /// The questions, by name.
        pub const QUESTIONS: &[Question] = &[
            $(Question { name: $name, sql: include_str!(concat!("questions/", $name, ".sql")) }),*
        ];
    };
}

questions!(
    "best-steps",
    "confusion",
    "convergence",
    "costs",
    "curves",
    "failures",
    "losses",
    "repeated",
);

impl Question {
    /// The question of this name.
    ///
    /// # Errors
    /// [`SqlError::UnknownQuestion`], with those there are.
    pub fn named(name: &str) -> Result<&'static Self, SqlError> {
        let found = QUESTIONS.iter().find(|question| question.name == name);
        found.ok_or_else(|| {
            let known = QUESTIONS.iter().map(|question| question.name).collect();
            SqlError::UnknownQuestion { name: name.to_owned(), known }
        })
    }

    /// What it asks, in a line: its file begins with it.
    pub fn about(&self) -> &'static str {
        self.sql.lines().next().unwrap_or_default().trim_start_matches("-- ")
    }
}
