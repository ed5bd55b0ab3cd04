//! Identities. Content-derived ones (sweep revision, job, blob) are blake3; the others are given out once.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    #[error(
        "a sweep's name is 1 to 48 of a-z, 0-9 and '-', starting with a letter; found \"{found}\""
    )]
    Name { found: String },
    #[error("expected {digits} lowercase hexadecimal digits, found \"{found}\"")]
    Hex { digits: usize, found: String },
}

/// A sweep's lineage: `[a-z][a-z0-9-]{0,47}`. Results of every revision live under it. Cheap to clone: every message names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepName(Arc<str>);

impl SweepName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SweepName {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let rest_ok =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let head_ok = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if rest_ok && head_ok && text.len() <= 48 {
            Ok(Self(text.into()))
        } else {
            Err(BadId::Name { found: text.chars().take(60).collect() })
        }
    }
}

impl fmt::Display for SweepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digit of half a byte.
fn digit(half: u8) -> u8 {
    b"0123456789abcdef"[usize::from(half & 15)]
}

/// The half of a byte that a digit stands for.
fn half_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// An identity of fixed bytes that is shown as lowercase hexadecimal digits.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; 2 * $bytes];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
                    pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
                }
                f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = || BadId::Hex { digits: 2 * $bytes, found: text.chars().take(80).collect() };
                if text.len() != 2 * $bytes {
                    return Err(bad());
                }
                let mut bytes = [0; $bytes];
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let half = |index: usize| half_of(pair[index]).ok_or_else(bad);
                    *byte = half(0)? << 4 | half(1)?;
                }
                Ok(Self(bytes))
            }
        }
    };
}

hex_id!(
    /// One revision of a sweep: 128 bits of blake3 of its canonical content.
    SweepId,
    16
);
hex_id!(
    /// One job: 128 bits of blake3 of everything that can change a result row.
    JobId,
    16
);
hex_id!(
    /// Bytes named by their blake3 digest.
    Digest,
    32
);
hex_id!(
    /// A worker process; fresh each time one starts.
    WorkerId,
    16
);
hex_id!(
    /// A journal, from its creation on.
    JournalId,
    16
);

impl SweepId {
    /// The identity of a revision whose canonical content is `canonical`.
    pub fn of(canonical: &str) -> Self {
        Self(half_blake3(canonical))
    }
}

impl JobId {
    /// The identity of a job whose canonical spec is `canonical`.
    pub fn of(canonical: &str) -> Self {
        Self(half_blake3(canonical))
    }
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

fn half_blake3(text: &str) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    half
}

/// One try of a job, numbered from 1: the fencing token. 0 is "never tried".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptNo(pub u32);

impl AttemptNo {
    /// No attempt yet.
    pub const NONE: Self = Self(0);

    /// The attempt after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for AttemptNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How often a journal has been opened by a coordinator, from 1. (An epoch of training is in [`crate::spec`].)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lowercase_and_short() {
        for good in ["a", "tanh-width-depth", "x9", &"a".repeat(48)] {
            assert_eq!(good.parse::<SweepName>().map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "9a", "-a", "A", "a_b", "a b", "é", &"a".repeat(49), "a/b", "..", "a=b"] {
            assert!(bad.parse::<SweepName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hexadecimal_identities_read_back_and_refuse_all_else() {
        let id = JobId::of("{}");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "0", &"g".repeat(32), &"A".repeat(32), &"é".repeat(16), &"0".repeat(33)] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
        }
    }
}
