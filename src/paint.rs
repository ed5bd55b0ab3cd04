//! Colours: on a terminal that wants them, nowhere else.

use std::io::IsTerminal;

use crate::config;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colour,
}

impl Paint {
    /// Colours where `stream` is a terminal, unless the environment says otherwise.
    pub fn of(stream: &impl IsTerminal) -> Self {
        if stream.is_terminal() && config::wants_colour() { Self::Colour } else { Self::Plain }
    }

    /// For what went wrong.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// For what wants a look.
    pub fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
