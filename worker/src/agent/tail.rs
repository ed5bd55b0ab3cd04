//! The last lines of a text that never ends, in bounded memory.

use std::collections::VecDeque;

use proto::limits::LOG_TAIL_BYTES_MAX;

/// The last [`LOG_TAIL_BYTES_MAX`] bytes of what was written.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    /// Takes in more of the text.
    pub fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(LOG_TAIL_BYTES_MAX)..];
        let over = (self.bytes.len() + bytes.len()).saturating_sub(LOG_TAIL_BYTES_MAX);
        self.bytes.drain(..over);
        self.bytes.extend(bytes);
    }

    /// Forgets it all.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The text, from a line's start where it was cut and has one.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        // What is not UTF-8 grows by its replacement characters.
        let over = text.len().saturating_sub(LOG_TAIL_BYTES_MAX);
        text.drain(..text.ceil_char_boundary(over));
        let is_cut = over > 0 || bytes.len() == LOG_TAIL_BYTES_MAX;
        if let (true, Some(end)) = (is_cut, text.find('\n')) {
            text.drain(..=end);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_kept_whole() {
        let mut tail = Tail::default();
        tail.push(b"one\ntw");
        tail.push(b"o\n");
        assert_eq!(tail.text(), "one\ntwo\n");
        tail.clear();
        assert_eq!(tail.text(), "");
    }

    #[test]
    fn a_long_text_keeps_its_last_lines() {
        let mut tail = Tail::default();
        (0..10_000).for_each(|line| tail.push(format!("line {line}\n").as_bytes()));
        let text = tail.text();
        assert!(text.starts_with("line ") && text.ends_with("line 9999\n"), "{text:?}");
        assert!(text.len() <= LOG_TAIL_BYTES_MAX && text.len() > LOG_TAIL_BYTES_MAX - 20);
        tail.push(&vec![0xff; 3 * LOG_TAIL_BYTES_MAX]);
        assert!(tail.text().len() <= LOG_TAIL_BYTES_MAX);
        tail.push("é".repeat(LOG_TAIL_BYTES_MAX).as_bytes());
        assert!(tail.text().len() <= LOG_TAIL_BYTES_MAX);
    }
}
