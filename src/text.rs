//! Numbers, sizes and durations as a person reads them.

use std::time::Duration;

/// A count with commas: `9,800`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 job`, `1,200 jobs`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A size: `812 B`, `1.5 GiB`.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let mut value = size as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {unit}")
}

/// A duration in its two largest units that matter: `3h 20m`, `45s`, `120ms`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let unit = match seconds {
        0 => {
            let millis = Duration::from_millis(u64::from(time.subsec_millis()));
            return match millis.is_zero() {
                true => "0s".to_owned(),
                false => humantime::format_duration(millis).to_string(),
            };
        }
        1..600 => 1,
        600..36_000 => 60,
        36_000..864_000 => 3_600,
        _ => 86_400,
    };
    let whole = (seconds + unit / 2) / unit * unit;
    // Days alone: humantime would turn 40 of them into months of 30.44.
    match whole / 86_400 {
        0..10 => humantime::format_duration(Duration::from_secs(whole)).to_string(),
        days => format!("{}d", count(days)),
    }
}

/// A measured number with four digits that matter: `0.1234`, `1.234e-8`.
pub fn figure(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => "not finite".to_owned(),
        size if (0.001..10_000.0).contains(&size) => {
            let digits = 3 - (size.log10().floor() as i32).clamp(-3, 3);
            let digits = usize::try_from(digits).unwrap_or(0);
            format!("{number:.digits$}")
        }
        _ => format!("{number:.3e}"),
    }
}

/// A text that somebody else gave, in one line and without what a terminal would obey: control characters and marks of writing
/// direction are spelled out.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// An error and its causes, each on a line of its own.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Transparent wrappers say the same twice.
        if !text.ends_with(&cause_text) {
            text.push_str("\n  cause: ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas_and_nouns_agree() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), expected);
        }
        assert_eq!(
            (counted(1, "job"), counted(2_000, "job")),
            ("1 job".into(), "2,000 jobs".into())
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(plain("η=1 \"x\" ok"), "η=1 \"x\" ok");
        assert_eq!(
            plain("\x1b[2Jgone\r\nnext\u{9b}1m\u{202e}"),
            "\\u{1b}[2Jgone\\r\\nnext\\u{9b}1m\\u{202e}"
        );
    }

    #[test]
    fn sizes_take_the_largest_unit_below_them() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536 << 20, "1.5 GiB"),
            (64 << 30, "64 GiB"),
            ((1 << 20) - 1, "1.0 MiB"),
        ];
        for (size, expected) in cases {
            assert_eq!(bytes(size), expected);
        }
    }

    #[test]
    fn durations_are_rounded_to_what_matters() {
        let cases = [
            (0, "0s"),
            (120, "120ms"),
            (45_400, "45s"),
            (599_000, "9m 59s"),
            (725_000, "12m"),
            (12_000_000, "3h 20m"),
            (100_000_000, "1day 4h"),
            (40 * 86_400_000, "40d"),
        ];
        for (millis, expected) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), expected, "{millis}");
        }
    }

    #[test]
    fn figures_keep_four_digits() {
        let cases = [
            (0.0, "0"),
            (1.0, "1.000"),
            (-0.31234, "-0.3123"),
            (0.0012345, "0.001234"),
            (1234.56, "1235"),
            (1.23456e-8, "1.235e-8"),
            (2.5e9, "2.500e9"),
            (f64::NAN, "not finite"),
        ];
        for (number, expected) in cases {
            assert_eq!(figure(number), expected, "{number}");
        }
    }
}
