//! How figures look: colours that stay apart for colour-blind readers, in light and in dark.

/// The style sheet of the figures, for a page or for a figure that stands alone.
///
/// Lightness orders the series without any hue, whoever looks at them; each has a marker of its own besides, and stands out from the
/// paper as three to one. The tests hold that.
pub const SHEET: &str = "\
svg{font:12px system-ui,sans-serif;--ink:#222;--grid:#e3e3e3;--paper:#fff;\
--s0:#3c172a;--s1:#590563;--s2:#5a179a;--s3:#3f4992;--s4:#09668e;--s5:#028139;--s6:#77872c;--s7:#999405}\
@media(prefers-color-scheme:dark){svg{--ink:#ddd;--grid:#3a3a3a;--paper:#161616;\
--s0:#916675;--s1:#867da1;--s2:#977fff;--s3:#8c9ff7;--s4:#1bc5e9;--s5:#04e561;--s6:#8af247;--s7:#ffeb9d}}\
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
            flat.contains(".line.s0{stroke:#3c172a}") && flat.contains(".line.s7{stroke:#999405}")
        );
        assert!(!flat.contains("var(") && !flat.contains("@media"), "{flat}");
    }

    #[test]
    fn a_figure_alone_carries_its_colours() {
        let alone = standalone("<svg width=\"1\">\n<text>x</text></svg>\n");
        assert!(alone.starts_with("<svg width=\"1\">\n<style>svg{"), "{alone}");
        assert!(alone.ends_with("</style>\n<text>x</text></svg>\n"));
    }

    type Rgb = [f64; 3];

    /// A colour of the sheet, in linear light.
    fn linear(text: &str) -> Rgb {
        let part = |k: usize| {
            let digits = &text[1..];
            let digits = match digits.len() {
                3 => digits[k..=k].repeat(2),
                _ => digits[2 * k..2 * k + 2].to_owned(),
            };
            let value = f64::from(u8::from_str_radix(&digits, 16).expect("hexadecimal")) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        [part(0), part(1), part(2)]
    }

    fn through(matrix: [Rgb; 3], colour: Rgb) -> Rgb {
        matrix.map(|row| row.iter().zip(colour).map(|(a, b)| a * b).sum())
    }

    /// CIE 1931 of linear sRGB.
    const XYZ: [Rgb; 3] = [
        [0.412_456_4, 0.357_576_1, 0.180_437_5],
        [0.212_672_9, 0.715_152_2, 0.072_175],
        [0.019_333_9, 0.119_192, 0.950_304_1],
    ];

    /// CIELAB, D65.
    fn lab(colour: Rgb) -> Rgb {
        let white = [0.950_47, 1.0, 1.088_83];
        let xyz = through(XYZ, colour.map(|part| part.clamp(0.0, 1.0)));
        let f = |k: usize| {
            let share: f64 = xyz[k] / white[k];
            if share > 216.0 / 24_389.0 {
                share.cbrt()
            } else {
                (24_389.0 / 27.0 * share + 16.0) / 116.0
            }
        };
        [116.0 * f(1) - 16.0, 500.0 * (f(0) - f(1)), 200.0 * (f(1) - f(2))]
    }

    /// How eyes without one kind of cone see: Machado, Oliveira, Fernandes (2009), severity 1.
    const EYES: [(&str, [Rgb; 3]); 4] = [
        ("usual", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        (
            "protanope",
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
        ),
        (
            "deuteranope",
            [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_82, 0.042_94, 0.968_881],
            ],
        ),
        (
            "tritanope",
            [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.3039],
            ],
        ),
    ];

    #[test]
    fn series_stay_apart_for_every_eye_in_light_and_dark() {
        let (light, dark) = SHEET.split_once("@media").expect("two palettes");
        for sheet in [light, dark] {
            let colour = |name: &str| {
                let (_, rest) = sheet.split_once(&format!("--{name}:")).expect(name);
                linear(rest.split([';', '}']).next().expect("a value"))
            };
            let series: Vec<_> = (0..8).map(|k| colour(&format!("s{k}"))).collect();
            for (eye, matrix) in EYES {
                let seen: Vec<_> = series.iter().map(|one| lab(through(matrix, *one))).collect();
                for (k, one) in seen.iter().enumerate() {
                    for (j, other) in seen[..k].iter().enumerate() {
                        let apart: f64 = one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum();
                        assert!(apart.sqrt() > 12.0, "{j} and {k}, {eye}: {:.1}", apart.sqrt());
                        assert!(one[0] > other[0] + 3.0, "{j} and {k}, {eye}: as light");
                    }
                }
            }
            let luminance = |colour: Rgb| through(XYZ, colour)[1] + 0.05;
            let paper = luminance(colour("paper"));
            for (k, one) in series.iter().map(|one| luminance(*one)).enumerate() {
                let contrast = (one / paper).max(paper / one);
                assert!(contrast >= 3.0, "series {k} on paper: {contrast:.2}");
            }
        }
    }
}
