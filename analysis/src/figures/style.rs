//! How figures look: colours that stay apart for colour-blind readers, in light and in dark.

/// The style sheet of the figures, for a page or for a figure that stands alone.
///
/// Series run along viridis, whose lightness orders them without any hue; each has a marker of its own besides.
pub const SHEET: &str = "\
svg{font:12px system-ui,sans-serif;--ink:#222;--grid:#e3e3e3;--paper:#fff;\
--s0:#440154;--s1:#46327e;--s2:#365c8d;--s3:#277f8e;--s4:#1fa187;--s5:#3cae60;--s6:#7cb518;--s7:#b59a00}\
@media(prefers-color-scheme:dark){svg{--ink:#ddd;--grid:#3a3a3a;--paper:#161616;\
--s0:#b48ce0;--s1:#8f95e6;--s2:#6fa8dc;--s3:#4fb9c4;--s4:#35c7a0;--s5:#6bd66b;--s6:#b5de2b;--s7:#fde725}}\
text{fill:var(--ink);stroke:none}.mid{text-anchor:middle}.end{text-anchor:end}.head{font-weight:600}.small{font-size:11px}\
.grid{stroke:var(--grid);fill:none}.frame{stroke:var(--ink);fill:none;stroke-width:.8}\
.spot{fill:var(--ink)}.cross{stroke:var(--ink);fill:none;stroke-width:1.5}\
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}\
.s4{--c:var(--s4)}.s5{--c:var(--s5)}.s6{--c:var(--s6)}.s7{--c:var(--s7)}\
.line{stroke:var(--c);fill:none;stroke-width:1.6}.dash{stroke-dasharray:5 4}\
.dot{fill:var(--c);stroke:var(--c)}.ring{fill:var(--paper);stroke:var(--c);stroke-width:1.4}\
.band{fill:var(--c);opacity:.16;stroke:none}.area{fill:var(--c);fill-opacity:.14;stroke:var(--c);stroke-width:1.6}";

/// A figure with its style sheet, as a file of its own.
pub fn standalone(svg: &str) -> String {
    match svg.split_once(">\n") {
        Some((head, rest)) => {
            format!("{head}>\n<style>{SHEET}svg{{background:var(--paper)}}</style>\n{rest}")
        }
        None => svg.to_owned(),
    }
}

/// A figure in its light colours, with nothing left to resolve: for programs that know neither variables nor media in CSS.
#[cfg(any(feature = "png", test))]
pub(super) fn flat(svg: &str) -> String {
    let light = |name: &str| {
        let after = SHEET.split_once(&format!("--{name}:")).map_or("#000", |(_, rest)| rest);
        after.split([';', '}']).next().unwrap_or("#000")
    };
    let [ink, grid, paper] = ["ink", "grid", "paper"].map(light);
    let mut sheet = format!(
        "svg{{font-family:'DejaVu Sans';font-size:12px}}text{{fill:{ink}}}.mid{{text-anchor:middle}}.end{{text-anchor:end}}\
         .head{{font-weight:700}}.small{{font-size:11px}}.grid{{stroke:{grid};fill:none}}\
         .frame{{stroke:{ink};fill:none;stroke-width:.8}}.spot{{fill:{ink}}}.cross{{stroke:{ink};fill:none;stroke-width:1.5}}.line{{fill:none;stroke-width:1.6}}\
         .dash{{stroke-dasharray:5 4}}.ring{{stroke-width:1.4}}.band{{opacity:.16}}.area{{fill-opacity:.14;stroke-width:1.6}}"
    );
    for series in 0..8 {
        let colour = light(&format!("s{series}"));
        sheet += &format!(
            ".line.s{series}{{stroke:{colour}}}.dot.s{series}{{fill:{colour};stroke:{colour}}}\
             .ring.s{series}{{fill:{paper};stroke:{colour}}}.band.s{series}{{fill:{colour}}}\
             .area.s{series}{{fill:{colour};stroke:{colour}}}"
        );
    }
    let (head, rest) = svg.split_once(">\n").unwrap_or((svg, ""));
    format!(
        "{head}>\n<style>{sheet}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"{paper}\"/>\n{rest}"
    )
}

/// Text as it may stand in HTML and SVG.
pub fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// Viridis at a share from 0 to 1, and whether dark ink reads on it.
pub(super) fn viridis(share: f64) -> (String, bool) {
    const STOPS: [[f64; 3]; 6] = [
        [68.0, 1.0, 84.0],
        [65.0, 68.0, 135.0],
        [42.0, 120.0, 142.0],
        [34.0, 168.0, 132.0],
        [122.0, 209.0, 81.0],
        [253.0, 231.0, 37.0],
    ];
    let place = share.clamp(0.0, 1.0) * 5.0;
    let below = (place as usize).min(4);
    let rest = place - below as f64;
    let [r, g, b] =
        [0, 1, 2].map(|k| STOPS[below][k] + rest * (STOPS[below + 1][k] - STOPS[below][k]));
    (format!("rgb({r:.0},{g:.0},{b:.0})"), 0.3 * r + 0.59 * g + 0.11 * b > 120.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_colours_stay_in_range() {
        assert_eq!(escape("a<b & \"c\">"), "a&lt;b &amp; &quot;c&quot;&gt;");
        assert_eq!(viridis(-3.0), ("rgb(68,1,84)".to_owned(), false));
        assert_eq!(viridis(7.0), ("rgb(253,231,37)".to_owned(), true));
        assert_eq!(viridis(f64::NAN).0.matches("NaN").count(), 3);
    }

    #[test]
    fn flat_colours_are_those_of_the_sheet_in_light() {
        let flat = flat("<svg width=\"1\">\n<text>x</text></svg>\n");
        assert!(flat.starts_with("<svg width=\"1\">\n<style>svg{"), "{flat}");
        assert!(flat.ends_with("fill=\"#fff\"/>\n<text>x</text></svg>\n"), "{flat}");
        assert!(
            flat.contains(".line.s0{stroke:#440154}") && flat.contains(".line.s7{stroke:#b59a00}")
        );
        assert!(!flat.contains("var(") && !flat.contains("@media"), "{flat}");
    }

    #[test]
    fn a_figure_alone_carries_its_colours() {
        let alone = standalone("<svg width=\"1\">\n<text>x</text></svg>\n");
        assert!(alone.starts_with("<svg width=\"1\">\n<style>svg{"), "{alone}");
        assert!(alone.ends_with("</style>\n<text>x</text></svg>\n"));
    }
}
